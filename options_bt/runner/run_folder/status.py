"""The status of a run, read from its folder alone, without disturbing it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

import polars as pl
import psutil

from options_bt.errors import RunFolderError
from options_bt.job.planner import Plan
from options_bt.runner.preflight.estimate import duration
from options_bt.runner.run_folder.folder import RunFolder
from options_bt.runner.run_folder.heartbeat import Heartbeat, LedgerState
from options_bt.runner.run_folder.ledger import BusyLedgerError, Ledger

State = Literal["preparing", "running", "finished", "stopped", "died"]
_DETAILS = {
    "preparing": "preparing: pulling and checking its data",
    "stopped": "stopped; its `options-bt run` command resumes it",
    "died": "died; its `options-bt run` command resumes it",
}
_SYMBOLS = {"symbol": pl.String, "total": pl.Int64, "done": pl.Int64, "failed": pl.Int64}
_RUNNING = {"batch": pl.Int64, "symbol": pl.String, "jobs": pl.Int64, "attempt": pl.Int64, "seconds": pl.Int64}


class Status(NamedTuple):
    """The status of a run.

    Attributes
    ----------
    state : 'preparing', 'running', 'finished', 'stopped' or 'died'
        Died when its process ended without closing the ledger.
    created : datetime or None
        When the run was first started; None before it has a `run.json`.
    symbols : polars.DataFrame
        ``symbol, total, done, failed`` in the order of the job: numbers of jobs.
    heartbeat : Heartbeat or None
        The last one; None before the first.
    peak : int
        The most memory that a worker held during a batch, in bytes.
    at : float
        Seconds since 1970: now while it runs, else the last sign of life.
    """

    path: Path
    state: State
    created: datetime | None = None
    symbols: pl.DataFrame = pl.DataFrame(schema=_SYMBOLS)
    heartbeat: Heartbeat | None = None
    peak: int = 0
    at: float = 0.0

    @property
    def active(self) -> bool:
        """Whether a process is running it."""
        return self.state in ("preparing", "running")

    @property
    def total(self) -> int:
        """Jobs of the plan."""
        return int(self.symbols["total"].sum())

    @property
    def done(self) -> int:
        """Jobs that are done."""
        return int(self.symbols["done"].sum())

    @property
    def failed(self) -> int:
        """Jobs that failed."""
        return int(self.symbols["failed"].sum())

    @property
    def rate(self) -> float:
        """Jobs that ended in a second since the run was last started; 0 before any has."""
        if self.heartbeat is None or self.at <= self.heartbeat.started:
            return 0.0
        return max(0, self.done + self.failed - self.heartbeat.ended_before) / (self.at - self.heartbeat.started)

    @property
    def running(self) -> pl.DataFrame:
        """``batch, symbol, jobs, attempt, seconds`` of the batches that run, or ran when the run died; oldest first."""
        found = self.heartbeat.running if self.heartbeat and self.state in ("running", "died") else ()
        rows = [(one.number, one.symbol, one.jobs, one.attempt, round(self.at - one.started)) for one in found]
        return pl.DataFrame(sorted(rows), schema=_RUNNING, orient="row")


def read_status(folder: RunFolder) -> Status:
    """Return the status of a run; the run does not notice.

    Raises
    ------
    RunFolderError
        When the folder is not a run, or cannot be read.
    """
    try:
        claimed = folder.in_use()
        if claimed and not folder.exists():
            return Status(folder.path, "preparing")
        info = folder.info()
        plan = Plan(info.job)
        ledger = _ledger_state(folder, plan)
    except OSError as error:
        raise RunFolderError(f"{folder.path} cannot be read: {error.strerror}; check its permissions") from None
    ended = [ledger.symbols.get(index, (0, 0)) for index in range(len(info.job.symbols))]
    rows = [(symbol, plan.per_symbol, *counts) for symbol, counts in zip(info.job.symbols, ended, strict=True)]
    symbols = pl.DataFrame(rows, schema=_SYMBOLS, orient="row")
    state = _state(folder, claimed, ledger.heartbeat, left=len(plan) - sum(map(sum, ended)))
    heartbeat = None if state == "preparing" else ledger.heartbeat
    last = max(ledger.last, heartbeat.updated if heartbeat else 0.0)
    at = time.time() if state == "running" else last
    return Status(folder.path, state, info.created, symbols, heartbeat, ledger.peak, at)


def _ledger_state(folder: RunFolder, plan: Plan) -> LedgerState:
    if not folder.ledger.is_file() or not folder.ledger.stat().st_size:
        return LedgerState(None, {}, 0, 0.0)
    ledger = Ledger(folder.ledger, read_only=True)
    try:
        return ledger.state(plan.per_symbol)
    finally:
        ledger.close()


def _state(folder: RunFolder, claimed: bool, heartbeat: Heartbeat | None, left: int) -> State:
    if not left and folder.results.is_file():
        return "finished"
    if claimed:
        return "running" if heartbeat is not None and _is_alive(heartbeat) else "preparing"
    return "died" if folder.ledger.with_name(f"{folder.ledger.name}-wal").exists() else "stopped"


def _is_alive(heartbeat: Heartbeat) -> bool:
    """Return whether the process of a heartbeat lives, and not another that has its number now."""
    try:
        return psutil.Process(heartbeat.pid).create_time() <= heartbeat.updated
    except psutil.Error:
        return False


def watched(folder: RunFolder) -> Iterator[Status]:
    """Yield the status of a run about every second, until it has ended.

    Raises
    ------
    RunFolderError
        When the folder is not a run, or cannot be read.
    """
    while True:
        began = time.monotonic()
        with suppress(BusyLedgerError):  # it can be read a second later
            status = read_status(folder)
            yield status
            if not status.active:
                return
        # Reading a very large ledger takes a while: that gets a fifth of a core at most.
        time.sleep(max(1.0, 4 * (time.monotonic() - began)))


def status_line(status: Status) -> str:
    """Return a run in one line: name, state, and how many jobs are done and failed."""
    running = f"running (process {status.heartbeat.pid})" if status.heartbeat else ""
    state = running if status.state == "running" else _DETAILS.get(status.state, status.state)
    if not status.total:
        return f"{status.path.name}: {state}"
    share = (status.done + status.failed) / status.total
    return (
        f"{status.path.name}: {state}; {status.done:,} of {status.total:,} done, {status.failed:,} failed ({share:.0%})"
    )


def speed(status: Status) -> str:
    """Return jobs per second since the last start, and while it runs the time left; nothing before a job has ended."""
    if not status.rate:
        return ""
    left = (status.total - status.done - status.failed) / status.rate
    return f"{status.rate:,.1f} jobs/s" + (f", {duration(left)} left" if status.state == "running" and left else "")


def details(status: Status) -> str:
    """Return all of a status but its tables, as lines of text."""
    lines, heartbeat = [status_line(status), f"  folder    {status.path}"], status.heartbeat
    if status.created:
        lines.append(f"  started   {_clock(status.created.timestamp())}")
    if heartbeat is not None:
        resumed = f"  resumed   {_clock(heartbeat.started)}, after {heartbeat.ended_before:,} jobs"
        memory = f"{heartbeat.held / 1e6:,.0f} MB held, {heartbeat.free / 1e6:,.0f} MB free, "
        lines += [
            *([resumed] if heartbeat.ended_before else []),
            f"  updated   {_clock(heartbeat.updated if status.active else status.at)}",
            f"  speed     {speed(status) or 'no job has ended yet'}",
            f"  workers   {heartbeat.workers}; batches retried: {heartbeat.retried}",
            f"  memory    {memory if status.state == 'running' else ''}{status.peak / 1e6:,.0f} MB at most in a batch",
        ]
    return "\n".join(lines) + "\n"


def _clock(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M:%S}"
