"""What travels between the coordinator and its workers: a batch of jobs out, their results back."""

from __future__ import annotations

import io
import time
import traceback
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl
from msgspec import Struct

from options_bt.data.market import Market, open_market
from options_bt.engine.backtest import Outcome, run_backtest
from options_bt.engine.frames import equity_table, trades_table
from options_bt.engine.metrics import METRICS
from options_bt.job.spec import JobSpec


class Batch(Struct, frozen=True, kw_only=True):
    """Jobs of one symbol that one worker runs in one go.

    Attributes
    ----------
    number : int
        Unique within a run, also across resumes.
    positions : tuple of int
        Of the jobs in the plan.
    attempt : int
        Above 1 for a single job whose worker died before.
    """

    number: int
    symbol: str
    positions: tuple[int, ...]
    attempt: int = 1


class Task(Struct, frozen=True, kw_only=True):
    """A batch with all that a worker needs to run it."""

    number: int
    market: Path
    jobs: tuple[tuple[str, JobSpec], ...]


class Result(Struct, frozen=True, kw_only=True):
    """What a batch gave.

    Attributes
    ----------
    metrics : bytes
        A float64 matrix, one row a job, by `engine.metrics.METRICS`; all NaN for a job that failed.
    errors : dict of int to str
        Index of each failed job in the batch, with its traceback.
    trades, equity : bytes
        Parquet files; a batch without trades has an empty one.
    seconds : float
    """

    number: int
    metrics: bytes
    errors: dict[int, str]
    trades: bytes
    equity: bytes
    seconds: float


def run_batch(task: Task) -> Result:
    """Run the jobs of a batch; an error in one is recorded and the others go on."""
    started = time.perf_counter()
    market = _market(task.market)
    metrics = np.full((len(task.jobs), len(METRICS)), np.nan)
    outcomes: list[tuple[str, Outcome]] = []
    errors: dict[int, str] = {}
    for index, (job, spec) in enumerate(task.jobs):
        try:
            outcome = run_backtest(spec, market)
        except Exception:
            errors[index] = traceback.format_exc()
        else:
            outcomes.append((job, outcome))
            metrics[index] = outcome.metrics
    return Result(
        number=task.number,
        metrics=metrics.tobytes(),
        errors=errors,
        trades=_parquet(trades_table(outcomes)),
        equity=_parquet(equity_table(outcomes)),
        seconds=time.perf_counter() - started,
    )


@lru_cache(maxsize=4)
def _market(folder: Path) -> Market:
    return open_market(folder)


def _parquet(table: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()
