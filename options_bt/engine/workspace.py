"""Where the backtests of a thread write: memory that was had once costs nothing more, and new much."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from options_bt.engine.records import OPEN, POSITION, POSITION_WORDS, RULES, STATE, TRADE_WORDS


class Room(threading.local):
    """Memory for the backtests that a thread runs, one row of them after the other, as `kernel.simulate` takes it.

    Attributes
    ----------
    jobs : array of RULES
    states : array of STATE
        Zeros where backtests begin.
    book : array of OPEN, one element a place
        As many places as the backtests may have positions open, in all.
    positions : array of POSITION, one element a day
    trades : array of int64, (days, TRADE_WORDS)
        The same memory as the positions: their first words.
    equity : array of float64, one element a day of each backtest
    open_positions, margin, returns : arrays of int32, float64 and float64, one element a day
    at : dict of str to int
        Where each of them lies in memory, as compiled code takes it.
    """

    def __init__(self) -> None:
        self._make(0, 0, 0, 0)

    def fit(self, places: int, days: int, jobs: int) -> None:
        """Have at least so many places and days, and so many jobs with as many days each; begin them."""
        has = len(self.book), len(self.positions), len(self.equity), len(self.jobs)
        wanted = places, days, days * jobs, jobs
        if any(few < many for few, many in zip(has, wanted, strict=True)):
            self._make(*map(max, has, wanted))
        self._state_words[:jobs] = 0

    def _make(self, places: int, days: int, cells: int, jobs: int) -> None:
        self.jobs, self.states = np.empty(jobs, RULES), np.empty(jobs, STATE)
        self.book, self.positions = np.empty(places, OPEN), np.empty(days, POSITION)
        self.equity = np.empty(cells)
        self.open_positions, self.margin, self.returns = np.empty(days, np.int32), np.empty(days), np.empty(days)
        self.at = {name: address(array) for name, array in vars(self).items() if isinstance(array, np.ndarray)}
        words: NDArray[np.int64] = self.positions.view(np.int64).reshape(-1, POSITION_WORDS)
        self.trades = words[:, :TRADE_WORDS]
        self._state_words = self.states.view(np.int64).reshape(jobs, STATE.itemsize // 8)

    def equity_of(self, jobs: int, days: int) -> NDArray[np.float64]:
        """Return the equity of backtests, a row each."""
        return self.equity[: jobs * days].reshape(jobs, days)


def address(array: Any) -> int:
    """Return where an array lies in memory."""
    found: int = array.ctypes.data
    return found
