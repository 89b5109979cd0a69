"""Trades and equity that a run did not keep: computed again from the cached data, the same to the last bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from options_bt.data.market.market import Market
from options_bt.data.prepare import market_with
from options_bt.engine.backtest import run_backtest
from options_bt.engine.frames import JobOutcome
from options_bt.errors import RunFolderError, SourceError
from options_bt.job.planner import Plan
from options_bt.job.spec import SEMANTICS_VERSION
from options_bt.runner.run_folder.folder import RunInfo
from options_bt.runner.run_folder.ledger import Ledger

MOST = 10_000
"""Jobs that are computed again at once: on six years of the sparse demo market 20 seconds and 400 MB of equity."""
_AT_ONCE = 200  # outcomes hold far more than their tables


def recomputed(
    table: Callable[[Sequence[JobOutcome]], pl.DataFrame],
    info: RunInfo,
    ledger: Ledger,
    jobs: Sequence[str],
    data: Path,
) -> pl.DataFrame:
    """Return the trades or the equity of jobs that are done.

    Parameters
    ----------
    table : callable
        `engine.frames.trades_table` or `equity_table`.
    info : RunInfo
    ledger : Ledger
        Of the run; its metrics are what the outcomes are checked against.
    jobs : sequence of str
        Ids.
    data : Path
        The cache.

    Returns
    -------
    polars.DataFrame
        In the order of the plan.

    Raises
    ------
    RunFolderError
        When the cache has other data, or the engine gives other numbers than that of the run.
    """
    if info.semantics != SEMANTICS_VERSION:
        raise _refusal(
            info, f"it was made by rules of version {info.semantics}, and this program has {SEMANTICS_VERSION}"
        )
    plan = Plan(info.job)

    @cache
    def market(symbol: str) -> Market:
        try:
            return market_with(data, symbol, plan.years, info.fingerprints[symbol]).open()
        except SourceError as error:
            raise _refusal(info, str(error)) from None

    def identified(position: int, job: str, metrics: bytes) -> JobOutcome:
        spec = plan[position]
        outcome = run_backtest(spec, market(spec.symbol))
        if not np.array_equal(outcome.metrics, np.frombuffer(metrics), equal_nan=True):
            raise _refusal(info, f"{job} gives other metrics here than with {_versions(info)}; --fresh runs it anew")
        return job, outcome

    rows = ledger.metrics_of(jobs)
    chunks = (rows[first : first + _AT_ONCE] for first in range(0, len(rows), _AT_ONCE))
    return pl.concat([table([]), *(table([identified(*row) for row in chunk]) for chunk in chunks)])


def _refusal(info: RunInfo, why: str) -> RunFolderError:
    return RunFolderError(
        f"{info.job.name} does not keep these trades and equity, and they cannot be computed again: {why}"
    )


def _versions(info: RunInfo) -> str:
    return ", ".join(f"{name} {version}" for name, version in info.versions.items())
