"""JobSpec: one backtest, frozen, picklable and small."""

from __future__ import annotations

from datetime import date
from hashlib import sha256
from typing import Any, Literal

import msgspec
from msgspec import Struct

from options_bt.job.parameters import Parameters
from options_bt.job.strategies import Strategy

SEMANTICS_VERSION = 6
"""Raised with every change of the engine's results for the same job on the same data."""

Role = Literal["full", "train", "test"]


class JobSpec(Struct, frozen=True, kw_only=True):
    """One backtest: a strategy and its parameters, a symbol and its days.

    Attributes
    ----------
    symbol : str
    window : int
        Number of the walk-forward window, from 1; 0 without windows.
    role : {'full', 'train', 'test'}
        The purpose of the days.
    start, end : datetime.date
        First and last day, both included.
    strategy : Strategy
    params : Parameters
    """

    symbol: str
    window: int = 0
    role: Role = "full"
    start: date
    end: date
    strategy: Strategy
    params: Parameters

    def id(self, fingerprint: str) -> str:
        """Return the id of this job on data with this fingerprint: equal ids mean equal results.

        Parameters
        ----------
        fingerprint : str
            The fingerprint of the symbol's data, from the cache.

        Returns
        -------
        str
            16 hexadecimal digits.
        """
        canonical = msgspec.json.encode((SEMANTICS_VERSION, fingerprint, self))
        return sha256(canonical).hexdigest()[:16]

    def row(self) -> dict[str, Any]:
        """Return this job as a flat row: symbol, window, role, start, end, strategy, every parameter."""
        days = {name: getattr(self, name) for name in ("symbol", "window", "role", "start", "end")}
        return days | {"strategy": self.strategy.name} | msgspec.structs.asdict(self.params)
