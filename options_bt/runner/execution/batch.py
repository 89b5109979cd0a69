"""What travels between the coordinator and its workers: a batch of jobs out, their results back."""

from __future__ import annotations

import io
import logging
import time
import traceback
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
from msgspec import Struct
from numpy.typing import NDArray

from options_bt.data.market.market import Market, open_market
from options_bt.engine.backtest import Outcome, run_backtest, run_metrics
from options_bt.engine.frames import equity_table, trades_table
from options_bt.engine.metrics import METRICS
from options_bt.job.planner import Plan
from options_bt.job.schema import JobFile
from options_bt.job.spec import JobSpec
from options_bt.runner.memory import forget_peak, peak_memory

logger = logging.getLogger(__name__)

_FOOTER = "options_bt"


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
    """A batch with all that a worker needs to run it.

    Attributes
    ----------
    market : Path
        Where the market lies.
    fingerprint : str
        Of the market's data.
    job : JobFile
        Returns the plan that the batch's positions are in.
    tables : bool
        Whether trades and equity are wanted, beside the metrics.
    """

    batch: Batch
    market: Path
    fingerprint: str
    job: JobFile
    tables: bool

    @property
    def number(self) -> int:
        """The number of its batch."""
        return self.batch.number


class Result(Struct, frozen=True, kw_only=True):
    """What a batch gave.

    Attributes
    ----------
    jobs : tuple of str
        The ids of the batch's jobs.
    metrics : bytes
        A float64 matrix, one row a job, by `engine.metrics.METRICS`; all NaN for a job that failed.
    errors : dict of int to str
        Index of each failed job in the batch, with its traceback.
    trades, equity : bytes
        Parquet files; a batch without trades has one without rows. The first carries a `Footer`. Where the task
        wanted no tables the first has no rows, and the second is no file: empty.
    seconds : float
    peak : int
        Bytes of memory that the worker held at most during the batch.
    """

    number: int
    jobs: tuple[str, ...]
    metrics: bytes
    errors: dict[int, str]
    trades: bytes
    equity: bytes
    seconds: float
    peak: int = 0


class Footer(Struct, frozen=True, kw_only=True):
    """What the file of a batch's trades says of the batch: enough to enter it in a ledger again, and no times."""

    batch: Batch
    jobs: tuple[str, ...]
    metrics: bytes
    errors: dict[int, str]
    equity: str


def checksum(part: bytes) -> str:
    """Return the SHA-256 of a part; nothing for one that is not stored."""
    return sha256(part).hexdigest() if part else ""


def run_batch(task: Task) -> Result:
    """Run the jobs of a batch; an error in one is recorded and the others go on."""
    started = time.perf_counter()
    forget_peak()
    plan = Plan(task.job)
    specs = [plan[position] for position in task.batch.positions]
    jobs = tuple(spec.id(task.fingerprint) for spec in specs)
    market = _market(task.market)
    metrics, outcomes, errors = _each(specs, market) if task.tables else _together(specs, market)
    identified = [(jobs[index], outcome) for index, outcome in outcomes.items()]
    equity = _parquet(equity_table(identified), {}) if task.tables else b""
    trades = trades_table(identified)
    footer = Footer(
        batch=task.batch,
        jobs=jobs,
        metrics=metrics.tobytes(),
        errors=errors,
        equity=checksum(equity),
    )
    return Result(
        number=task.number,
        jobs=jobs,
        metrics=footer.metrics,
        errors=errors,
        trades=_parquet(trades, {_FOOTER: msgspec.json.encode(footer).decode()}),
        equity=equity,
        seconds=time.perf_counter() - started,
        peak=peak_memory(),
    )


Ran = tuple[NDArray[np.float64], dict[int, Outcome], dict[int, str]]
"""The metrics of jobs, and by the index of a job its outcome and its error."""


def _together(specs: Sequence[JobSpec], market: Market) -> Ran:
    """Run jobs for their metrics alone."""
    try:
        return run_metrics(specs, market), {}, {}
    except Exception as error:  # of one of them; which, is told when each is run alone
        logger.debug("A batch of %s is run job by job: %s", market.symbol, error)
        metrics, _, errors = _each(specs, market)
        return metrics, {}, errors


def _each(specs: Sequence[JobSpec], market: Market) -> Ran:
    """Run jobs one after the other; an error in one is recorded, and the others go on."""
    metrics = np.full((len(specs), len(METRICS)), np.nan)
    outcomes: dict[int, Outcome] = {}
    errors: dict[int, str] = {}
    for index, spec in enumerate(specs):
        try:
            outcomes[index] = run_backtest(spec, market)
        except Exception:
            errors[index] = traceback.format_exc()
        else:
            metrics[index] = outcomes[index].metrics
    return metrics, outcomes, errors


def footer_of(trades: bytes) -> Footer:
    """Return what a file of trades says of its batch.

    Raises
    ------
    ValueError
        When it is not such a file.
    """
    try:
        return msgspec.json.decode(pl.read_parquet_metadata(io.BytesIO(trades))[_FOOTER], type=Footer)
    except (pl.exceptions.PolarsError, KeyError, msgspec.MsgspecError) as error:
        raise ValueError(str(error)) from None


@lru_cache(maxsize=4)
def _market(folder: Path) -> Market:
    return open_market(folder)


def _parquet(table: pl.DataFrame, metadata: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd", metadata=metadata)
    return buffer.getvalue()
