"""Running a batch of jobs: a task in, Parquet files and a receipt out."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from options_bt.data.market.market import Market, open_market
from options_bt.engine.backtest import Outcome, run_backtest, run_metrics
from options_bt.engine.frames import equity_table, trades_table
from options_bt.engine.metrics import METRICS
from options_bt.errors import StorageError
from options_bt.job.planner import Plan
from options_bt.job.schema import JobFile
from options_bt.job.spec import JobSpec
from options_bt.runner.memory import peak_memory, reset_peak
from options_bt.runner.run_folder.folder import RunFolder
from options_bt.runner.run_folder.parts import (
    Batch,
    BatchMetadata,
    Receipt,
    checksum,
    equity_part,
    store_parts,
    trades_part,
)

logger = logging.getLogger(__name__)

_REASON_CHARACTERS = 500


class Task(Struct, frozen=True, kw_only=True):
    """A batch, and where a worker finds what it needs to run it.

    Attributes
    ----------
    folder : Path
        The run folder: its `run.json` has the job, and the parts are written there.
    identity : str
        Of the run, as `run.json` has it.
    market : Path
        The folder of the symbol's market.
    fingerprint : str
        Of the market's data.
    tables : bool
        Whether trades and equity are kept, beside the metrics.
    """

    batch: Batch
    folder: Path
    identity: str
    market: Path
    fingerprint: str
    tables: bool

    @property
    def number(self) -> int:
        """The number of its batch."""
        return self.batch.number

    @property
    def job(self) -> JobFile:
        """The job file of its run."""
        return _job(self.folder, self.identity)


class Result(Struct, frozen=True, kw_only=True):
    """What running a batch gives.

    Attributes
    ----------
    trades, equity : bytes
        Parquet files; a batch without trades has one without rows. The first carries a `BatchMetadata`. Where the
        task keeps no tables the first has no rows, and the second is empty bytes.
    seconds : float
    peak : int
        The most memory that the worker held during the batch, in bytes.
    """

    number: int
    trades: bytes
    equity: bytes
    seconds: float
    peak: int = 0


Answer = Receipt | StorageError | str
"""What a worker says of a batch: its receipt, that the disk refused, or in a short line why it cannot be run at all.

A pipe takes it in one piece, so that a worker killed while it answers leaves no half of it.
"""


def run_task(task: Task) -> Answer:
    """Run a batch and write its parts into the run folder."""
    try:
        return store_result(run_batch(task, task.job), task.folder)
    except StorageError as error:
        return error
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:_REASON_CHARACTERS]


def store_result(result: Result, folder: Path) -> Receipt:
    """Write the parts of a batch into a run folder under temporary names.

    Raises
    ------
    StorageError
        When the disk refuses.
    """
    store_parts(folder, result.number, result.trades, result.equity)
    return Receipt(
        number=result.number,
        trades=checksum(result.trades),
        equity=checksum(result.equity),
        seconds=result.seconds,
        peak=result.peak,
    )


def run_batch(task: Task, job: JobFile) -> Result:
    """Run the jobs of a batch; an error in one is recorded, and the others go on."""
    started = time.perf_counter()
    reset_peak()
    plan = Plan(job)
    specs = [plan[position] for position in task.batch.positions]
    jobs = tuple(spec.id(task.fingerprint) for spec in specs)
    market = _market(task.market)
    metrics, outcomes, errors = _each(specs, market) if task.tables else _together(specs, market)
    identified = [(jobs[index], outcome) for index, outcome in outcomes.items()]
    equity = equity_part(equity_table(identified)) if task.tables else b""
    metadata = BatchMetadata(
        batch=task.batch, jobs=jobs, metrics=metrics.tobytes(), errors=errors, equity=checksum(equity)
    )
    return Result(
        number=task.number,
        trades=trades_part(trades_table(identified), metadata),
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
    except Exception as error:  # which of them failed shows when each runs alone
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


@lru_cache(maxsize=4)
def _market(folder: Path) -> Market:
    return open_market(folder)


@lru_cache(maxsize=4)
def _job(folder: Path, identity: str) -> JobFile:  # a folder may hold one run after another
    return RunFolder(folder).info().job
