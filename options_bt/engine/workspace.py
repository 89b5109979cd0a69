"""Where the backtests of a thread write: memory that is kept costs nothing, and new memory much."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from options_bt.engine.records import OPEN_POSITION, POSITION, POSITION_WORDS, RULES, STATE, TRADE_WORDS


class Workspace(threading.local):
    """Memory for the backtests that a thread runs together, as `kernel.simulate` takes it.

    Attributes
    ----------
    jobs, states : arrays of RULES and STATE, one element a job
    open_slots : array of OPEN_POSITION
        One element for each position that the jobs may have open, in all.
    positions : array of POSITION, one element a day
    trades : array of int64, (days, TRADE_WORDS)
        The same memory as the positions: their first words.
    equity : array of float64, (jobs, days)
    open_positions, margin, returns : arrays of int32, float64 and float64, one element a day
    """

    jobs: NDArray[np.void]
    states: NDArray[np.void]
    open_slots: NDArray[np.void]
    positions: NDArray[np.void]
    equity: NDArray[np.float64]
    open_positions: NDArray[np.int32]
    margin: NDArray[np.float64]
    returns: NDArray[np.float64]

    def __init__(self) -> None:
        self._memory: dict[str, NDArray[Any]] = {}
        self._shape = (-1, -1, -1)

    def fit(self, slots: int, days: int, jobs: int) -> None:
        """Begin backtests: so many jobs of so many days, with so many slots for open positions."""
        if self._shape != (slots, days, jobs):
            self._shape = slots, days, jobs
            self.jobs, self.states = self._array("jobs", RULES, jobs), self._array("states", STATE, jobs)
            self.open_slots = self._array("open_slots", OPEN_POSITION, slots)
            self.positions = self._array("positions", POSITION, days)
            self.equity = self._array("equity", np.float64, jobs * days).reshape(jobs, days)
            self.open_positions = self._array("open_positions", np.int32, days)
            self.margin, self.returns = (self._array(name, np.float64, days) for name in ("margin", "returns"))
            words: NDArray[np.int64] = self.positions.view(np.int64).reshape(days, POSITION_WORDS)
            self.trades = words[:, :TRADE_WORDS]
            self._state_words = self.states.view(np.int64)
        self._state_words.fill(0)

    def _array(self, name: str, dtype: Any, size: int) -> NDArray[Any]:
        """Return the beginning of the memory that is kept under a name, which grows where it is too short."""
        kept = self._memory.get(name)
        if kept is None or len(kept) < size:
            kept = self._memory[name] = np.empty(size, dtype)
        return kept[:size]
