"""The public Python API; `options_bt` exports each of these."""

from __future__ import annotations

import os
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from options_bt.analysis.run_reader import Run, open_run
from options_bt.data.cache.cache import cache_folder
from options_bt.engine.backtest import Outcome, metrics_row, run_backtest
from options_bt.engine.frames import equity_table, trades_table
from options_bt.engine.metrics import COUNTS
from options_bt.errors import JobFileError
from options_bt.job.load import load_job
from options_bt.job.planner import Plan
from options_bt.job.reading import read_job
from options_bt.job.schema import JobFile
from options_bt.runner.execution.executor import Scheduler
from options_bt.runner.executors import make_executor
from options_bt.runner.preparing import open_data, prepare_markets
from options_bt.runner.run import run_job

__all__ = ["Backtest", "backtest", "load_job", "open_run", "plan", "run"]


def runs_folder(given: str | Path | None = None) -> Path:
    """Return the folder of the runs: the one given, else ``OPTIONS_BT_RUNS``, else ``./runs``."""
    return Path(given or os.environ.get("OPTIONS_BT_RUNS") or "runs")


def plan(job: JobFile) -> Plan:
    """Return every backtest of a job as a lazy sequence of specs.

    Parameters
    ----------
    job : JobFile
        From `load_job`.

    Returns
    -------
    Plan
        A sequence: it has a length and takes positions and slices. Each spec is made on access.

    Examples
    --------
    >>> import options_bt
    >>> sweep = options_bt.plan(options_bt.load_job("jobs/grid.yaml"))
    >>> len(sweep)
    60
    >>> sweep[1].params.dte
    '30-45'
    """
    return Plan(job)


def run(
    job: JobFile,
    *,
    workers: int | str | None = None,
    fresh: bool = False,
    resume_failed: bool = False,
    max_failures: int | str | None = None,
    executor: str = "local",
    scheduler: str | None = None,
    runs: str | Path | None = None,
    cache: str | Path | None = None,
) -> Run:
    """Run every backtest of a job that its run folder does not hold yet.

    With more than one worker, call it under ``if __name__ == "__main__":``: worker processes import the
    calling script.

    Parameters
    ----------
    job : JobFile
    workers : int or 'auto', optional
        1 runs in this process; the job's own setting by default.
    fresh : bool
        Start over; what the run folder holds is set aside.
    resume_failed : bool
        Rerun the jobs that failed.
    max_failures : int or str, optional
        Stop when more jobs than this have failed, or more than this share of the plan, as in ``5%``; never by default.
    executor : 'local' or 'dask'
        Where to run: in processes of this machine, or on a Dask cluster.
    scheduler : str, optional
        Address of that cluster's scheduler; None starts a cluster on this machine.
    runs, cache : str or Path, optional
        Folders of the runs and of the cached data; see `runs_folder` and `cache_folder`.

    Returns
    -------
    Run
        Returned also when some jobs failed or a signal stopped the run; `results` has the status of each job.

    Raises
    ------
    OptionsBtError
        When the data cannot be read, the run folder holds another job, or the disk cannot be written.

    Examples
    --------
    >>> import options_bt, tempfile
    >>> job = options_bt.load_job("jobs/delta.yaml", symbols=["SPY"], quick=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     done = options_bt.run(job, workers=1, runs=folder)
    ...     done.results().select("symbol", "delta", "status").row(0)
    ('SPY', 0.15, 'done')
    """
    summary = run_job(
        job,
        runs=runs_folder(runs),
        cache=cache_folder(cache),
        workers=workers,
        fresh=fresh,
        resume_failed=resume_failed,
        max_failures=max_failures,
        make_executor=make_executor(executor, Scheduler(address=scheduler), cache_folder(cache)),
        shown=False,
    )
    return open_run(summary.path, cache)


class Backtest:
    """The outcome of one backtest: metrics and tables.

    Attributes
    ----------
    metrics : dict
        Every metric and refusal counter by name; None where it is undefined.
    """

    def __init__(self, job: str, outcome: Outcome) -> None:
        self._identified = [(job, outcome)]
        self.job = job
        self.spec = outcome.spec
        row = metrics_row(outcome.metrics)
        self.metrics: dict[str, Any] = {
            name: int(value) if name in COUNTS and value is not None else value for name, value in row.items()
        }

    @property
    def trades(self) -> pl.DataFrame:
        """The trades; columns as in `Run.trades`."""
        return trades_table(self._identified)

    @property
    def equity(self) -> pl.DataFrame:
        """The equity; columns as in `Run.equity`."""
        return equity_table(self._identified)

    def __repr__(self) -> str:
        spec, metrics = self.spec, self.metrics
        pnl = f"{metrics['total_pnl']:,.2f}"
        return f"<Backtest {spec.symbol} {spec.strategy.name}: {metrics['trades']} trades, P/L {pnl}>"


def backtest(
    symbol: str,
    start: date | str,
    end: date | str,
    *,
    source: str = "demo",
    cache: str | Path | None = None,
    columns: dict[str, str] | None = None,
    strategy: str | dict[str, Any] = "put_credit_spread",
    **params: Any,
) -> Backtest:
    """Run one backtest in this process.

    Parameters
    ----------
    symbol : str
    start, end : date or str
        First and last day, both inclusive.
    source : str
        As in a job file.
    cache : str or Path, optional
        Folder of the cached data; see `cache_folder`.
    columns : dict, optional
        For a `files:` source: maps our column names to the vendor's.
    strategy : str or dict
        A strategy's name, or a mapping with legs or arms, as in a job file.
    **params
        Any parameter of a job file.

    Returns
    -------
    Backtest

    Raises
    ------
    JobFileError
        When an argument is wrong, with every fault.
    OptionsBtError
        When the data cannot be read.

    Examples
    --------
    >>> import options_bt
    >>> result = options_bt.backtest("SPY", "2023-01-01", "2024-12-31", delta=0.2, dte="30-45")
    >>> result.trades.columns[:4]
    ['job', 'symbol', 'entry_date', 'exit_date']
    >>> result.metrics["trades"] == result.trades.height
    True
    """
    job, faults = read_job(
        {
            "name": "backtest",
            "symbols": [symbol],
            "period": _plain({"start": start, "end": end}),
            "source": source,
            "columns": columns or {},
            "strategy": _plain(strategy),
            "params": _plain(params),
        }
    )
    if job is None:
        raise JobFileError("backtest()", faults)
    single = Plan(job)
    (market,), _ = prepare_markets(single, *open_data(single, cache_folder(cache)))
    return Backtest(single[0].id(market.fingerprint), run_backtest(single[0], market.open()))


def _plain(value: Any) -> Any:
    """Return a value of numpy or datetime as a job file would hold it."""
    match value:
        case np.generic() | np.ndarray():
            return _plain(value.tolist())
        case datetime():
            return value.date()
        case list() | tuple():
            return [_plain(item) for item in value]
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case _:
            return value
