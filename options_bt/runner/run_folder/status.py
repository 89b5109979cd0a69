"""How a run stands, seen from outside: read from its folder alone, without a trace."""

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
from options_bt.runner.run_folder.heartbeat import Live, Standing
from options_bt.runner.run_folder.ledger import BusyLedgerError, Ledger

State = Literal["preparing", "running", "finished", "stopped", "died"]
_NEWS = {
    "preparing": "preparing, its data is brought and checked",
    "stopped": "stopped, goes on with its `options-bt run` command",
    "died": "died, goes on with its `options-bt run` command",
}
_SYMBOLS = {"symbol": pl.String, "total": pl.Int64, "done": pl.Int64, "failed": pl.Int64}
_FLIGHTS = {"batch": pl.Int64, "symbol": pl.String, "jobs": pl.Int64, "attempt": pl.Int64, "seconds": pl.Int64}


class Status(NamedTuple):
    """How a run stands.

    Attributes
    ----------
    state : 'preparing', 'running', 'finished', 'stopped' or 'died'
        Died when its process ended without closing the ledger.
    begun : datetime or None
        When the run was begun; None before it has a `run.json`.
    symbols : polars.DataFrame
        ``symbol, total, done, failed`` in the order of the job: numbers of jobs.
    live : Live or None
        What its last go told last; None before that told anything.
    peak : int
        Bytes that a worker held at most during a batch.
    at : float
        Seconds since 1970: now while it runs, else when it was heard of last.
    """

    path: Path
    state: State
    begun: datetime | None = None
    symbols: pl.DataFrame = pl.DataFrame(schema=_SYMBOLS)
    live: Live | None = None
    peak: int = 0
    at: float = 0.0

    @property
    def going(self) -> bool:
        """Whether a process is at it."""
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
        """Jobs that ended in a second of the last go; 0 before any has."""
        if self.live is None or self.at <= self.live.started:
            return 0.0
        return max(0, self.done + self.failed - self.live.begun_with) / (self.at - self.live.started)

    @property
    def flights(self) -> pl.DataFrame:
        """``batch, symbol, jobs, attempt, seconds`` of what is in flight, or was when the run died; oldest first."""
        found = self.live.flights if self.live and self.state in ("running", "died") else ()
        rows = [(one.number, one.symbol, one.jobs, one.attempt, round(self.at - one.started)) for one in found]
        return pl.DataFrame(sorted(rows), schema=_FLIGHTS, orient="row")


def read_status(folder: RunFolder) -> Status:
    """Look how a run stands; the run does not notice.

    Raises
    ------
    RunFolderError
        When the folder is no run, or cannot be read.
    """
    try:
        claimed = folder.in_use()
        if claimed and not folder.exists():
            return Status(folder.path, "preparing")
        info = folder.info()
        plan = Plan(info.job)
        standing = _standing(folder, plan)
    except OSError as error:
        raise RunFolderError(f"{folder.path} cannot be read: {error.strerror}; check its permissions") from None
    ended = [standing.symbols.get(place, (0, 0)) for place in range(len(info.job.symbols))]
    rows = [(symbol, plan.per_symbol, *counts) for symbol, counts in zip(info.job.symbols, ended, strict=True)]
    symbols = pl.DataFrame(rows, schema=_SYMBOLS, orient="row")
    state = _state(folder, claimed, standing.live, left=len(plan) - sum(map(sum, ended)))
    live = None if state == "preparing" else standing.live
    heard = max(standing.last, live.updated if live else 0.0)
    at = time.time() if state == "running" else heard
    return Status(folder.path, state, info.created, symbols, live, standing.peak, at)


def _standing(folder: RunFolder, plan: Plan) -> Standing:
    if not folder.ledger.is_file() or not folder.ledger.stat().st_size:
        return Standing(None, {}, 0, 0.0)
    ledger = Ledger(folder.ledger, read_only=True)
    try:
        return ledger.standing(plan.per_symbol)
    finally:
        ledger.close()


def _state(folder: RunFolder, claimed: bool, live: Live | None, left: int) -> State:
    if not left and folder.results.is_file():
        return "finished"
    if claimed:
        return "running" if live is not None and _lives(live) else "preparing"
    return "died" if folder.ledger.with_name(f"{folder.ledger.name}-wal").exists() else "stopped"


def _lives(live: Live) -> bool:
    """Return whether the process that told this lives, and not another that has its number now."""
    try:
        return psutil.Process(live.pid).create_time() <= live.updated
    except psutil.Error:
        return False


def looks(folder: RunFolder) -> Iterator[Status]:
    """Look how a run stands about every second, until it has ended.

    Raises
    ------
    RunFolderError
        When the folder is no run, or cannot be read.
    """
    while True:
        began = time.monotonic()
        with suppress(BusyLedgerError):  # the next look will tell
            status = read_status(folder)
            yield status
            if not status.going:
                return
        # A look at a very large ledger takes a while: it gets a fifth of a core at most.
        time.sleep(max(1.0, 4 * (time.monotonic() - began)))


def headline(status: Status) -> str:
    """Return a run in one line: name, state, and how many jobs are done and failed."""
    running = f"running (process {status.live.pid})" if status.live else ""
    state = running if status.state == "running" else _NEWS.get(status.state, status.state)
    if not status.total:
        return f"{status.path.name}: {state}"
    share = (status.done + status.failed) / status.total
    return (
        f"{status.path.name}: {state}; {status.done:,} of {status.total:,} done, {status.failed:,} failed ({share:.0%})"
    )


def speed(status: Status) -> str:
    """Return the rate of the last go, and while it runs the time left; nothing before a job has ended."""
    if not status.rate:
        return ""
    left = (status.total - status.done - status.failed) / status.rate
    return f"{status.rate:,.1f} jobs/s" + (f", {duration(left)} left" if status.state == "running" and left else "")


def details(status: Status) -> str:
    """Return what is known of a run but its tables, as lines of text."""
    lines, live = [headline(status), f"  folder    {status.path}"], status.live
    if status.begun:
        lines.append(f"  begun     {_clock(status.begun.timestamp())}")
    if live is not None:
        went_on = f"  went on   {_clock(live.started)}, after {live.begun_with:,} jobs"
        held = f"{live.held / 1e6:,.0f} MB held, {live.free / 1e6:,.0f} MB free, " if status.state == "running" else ""
        lines += [
            *([went_on] if live.begun_with else []),
            f"  heard of  {_clock(live.updated if status.going else status.at)}",
            f"  speed     {speed(status) or 'no job has ended yet'}",
            f"  workers   {live.workers}; batches retried: {live.retried}",
            f"  memory    {held}{status.peak / 1e6:,.0f} MB at most in a batch",
        ]
    return "\n".join(lines) + "\n"


def _clock(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M:%S}"
