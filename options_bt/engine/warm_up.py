"""Compiling the engine before its first use, so that it happens once a machine and is announced."""

from __future__ import annotations

import logging
import os
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numba.core import event

from options_bt.data.market import ACTION, DAY, GROUP, HISTORY, IMPLIED, QUOTE, TRADED, Chain, Market, Records
from options_bt.engine.backtest import run_backtest
from options_bt.engine.kernel import simulate
from options_bt.job.parameters import Parameters
from options_bt.job.spec import JobSpec
from options_bt.job.strategies import STRATEGIES

logger = logging.getLogger(__name__)


class _Announcer(event.Listener):
    """Says once that numba is compiling; loading from its cache raises no event."""

    def __init__(self) -> None:
        self._said = False

    def on_start(self, event: Any) -> None:
        if not self._said:
            self._said = True
            logger.info("Compiling the engine for this machine; it takes about half a minute and happens once")

    def on_end(self, event: Any) -> None:
        pass


def is_compiled() -> bool:
    """Tell whether a compiled engine lies where numba keeps it; after an update it may be an older one."""
    if _without_compiler():
        return True
    kernel: Any = simulate
    return any(Path(kernel.stats.cache_path).glob("kernel.simulate-*.nbi"))


def _without_compiler() -> bool:
    return os.environ.get("NUMBA_DISABLE_JIT", "0") != "0"


def warm_up() -> None:
    """Load the compiled engine, or compile it now if this machine has not yet."""
    if _without_compiler():
        return
    chain = Chain(*map(_nothing, (DAY, GROUP, QUOTE, IMPLIED, ACTION)))
    about: dict[str, Any] = {"symbol": "", "fingerprint": "", "dropped": {}, "implied_closes": 0}
    market = Market(chain=chain, traded=_nothing(TRADED), history=_nothing(HISTORY), **about)
    day = date(2000, 1, 1)
    with event.install_listener("numba:compile", _Announcer()):
        run_backtest(
            JobSpec(symbol="", start=day, end=day, strategy=STRATEGIES["short_put"], params=Parameters()), market
        )


def _nothing(dtype: np.dtype[Any]) -> Records:
    records = np.empty(0, dtype).view(np.recarray)
    records.flags.writeable = False  # as those of a memory map, for which the kernel is compiled
    return records
