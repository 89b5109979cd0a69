"""options-bt: batch backtests of premium-selling option strategies on DoltHub's free chains.

The same five steps as the command line: `load_job`, `plan`, `run`, `open_run`, and `backtest` for a single one.
Functions import what they need when they are called, so that ``import options_bt`` is quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from options_bt.api import backtest, load_job, open_run, plan, run

__all__ = ["backtest", "load_job", "open_run", "plan", "run"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from options_bt import api

        return getattr(api, name)
    raise AttributeError(f"module 'options_bt' has no attribute {name!r}")
