"""The coordinator: does what the schedule says, and records what comes of it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from math import inf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from options_bt.data.prepare import Prepared
from options_bt.engine.metrics import METRICS
from options_bt.job.objectives import LOWER_IS_BETTER
from options_bt.job.planner import Plan
from options_bt.runner.execution.batch import Task
from options_bt.runner.execution.executor import Executor, Finished, Lost, TransferStats
from options_bt.runner.memory import free_memory, held_memory, memory_floor
from options_bt.runner.preflight.estimate import BYTES_PER_WORKER, estimated
from options_bt.runner.progress import Progress
from options_bt.runner.run_folder.folder import RunFolder
from options_bt.runner.run_folder.heartbeat import Heartbeat, RunningBatch
from options_bt.runner.run_folder.ledger import Ledger
from options_bt.runner.run_folder.parts import (
    Batch,
    BatchMetadata,
    Receipt,
    accept_parts,
    batch_metadata,
    discard_parts,
    part_path,
)
from options_bt.runner.schedule import (
    Action,
    BatchDone,
    Interrupted,
    Kill,
    Quarantine,
    Schedule,
    Submit,
    Tick,
    Work,
    WorkerDied,
)
from options_bt.runner.signals import caught_signals

logger = logging.getLogger(__name__)
backtests = logging.getLogger("options_bt.engine")

TICK_SECONDS = 0.5
MEMORY_SECONDS = 0.2
HEARTBEAT_SECONDS = 2.0
INFO_UP_TO = 100
"""Jobs up to which each backtest is logged as information; in larger runs as a detail."""
LOGGED_UP_TO = 10_000
"""Jobs up to which each backtest has a line in the log; above, each batch has one."""


class RunContext(NamedTuple):
    """What a run is made of.

    Attributes
    ----------
    plan : Plan
    folder : RunFolder
        Claimed by this process.
    identity : str
        Of the run, as its `run.json` has it.
    ledger : Ledger
    markets : mapping of str to Prepared
        By symbol.
    make_executor : callable
        Returns where batches run, told how many workers this machine has memory for.
    workers : int or 'auto'
    max_failures : float
        With more failed jobs than these the run gives up.
    shown : bool
        Whether to show progress.
    """

    plan: Plan
    folder: RunFolder
    identity: str
    ledger: Ledger
    markets: Mapping[str, Prepared]
    make_executor: Callable[[int], Executor]
    workers: int | str
    max_failures: float
    shown: bool


class Coordinator:
    """Runs the pending jobs of one run.

    Parameters
    ----------
    run : RunContext
    pending : array of bool
        Which positions of the plan to run.
    tables : bool
        Whether to keep their trades and equity.

    Attributes
    ----------
    gave_up : bool
        Whether more jobs failed than is allowed.
    working, writing : float
        Seconds that workers spent on batches, and that this process spent on recording them.
    transfers : TransferStats
        How markets came to other hosts.
    """

    def __init__(self, run: RunContext, pending: NDArray[np.bool_], tables: bool) -> None:
        self._run, self._pending, self._tables = run, pending, tables
        self._ended_before = len(run.plan) - int(pending.sum())
        self._running: dict[int, tuple[Batch, RunningBatch]] = {}
        self._started = self._heartbeat_at = self._measured_at = 0.0
        self._free = free_memory()
        self._retried = self._slots = 0
        self.gave_up, self.writing, self.working, self.transfers = False, 0.0, 0.0, TransferStats()
        self._best: tuple[float, str] | None = None
        self._failed = run.ledger.counts()[1]

    def run(self) -> int:
        """Run what is pending; return the number of the signal that stopped it, or 0."""
        plan, settings = self._run.plan, self._run.plan.job.run
        pending, total = len(plan) - self._ended_before, len(plan)
        self._started = time.time()
        schedule = Schedule(
            self._work(),
            slots=0,
            timeout=settings.timeout,
            retries=settings.retries,
            first_number=self._run.ledger.next_batch(),
            floor=memory_floor(),
            max_failures=self._run.max_failures,
        )
        with ExitStack() as stack:
            signals = stack.enter_context(caught_signals())
            executor = self._run.make_executor(self._affordable(estimated(plan, pending, 0, self._run.workers).workers))
            stack.callback(executor.close)
            before = f" ({self._ended_before} are done already)" if self._ended_before else ""
            logger.info("Running %d backtests%s in %s", pending, before, executor.description)
            self._progress = stack.enter_context(
                Progress(plan.job.name, total, "job", done=self._ended_before, shown=self._run.shown)
            )
            self._loop(schedule, executor, signals)
            self.gave_up, self.transfers = schedule.gave_up, executor.transfers
        return signals[0] if signals and sum(self._run.ledger.counts()) < total else 0

    def _affordable(self, workers: int) -> int:
        """Return as many workers as there is memory for, and warn when they are fewer than wanted."""
        affordable = max(1, min(workers, (self._free - memory_floor()) // BYTES_PER_WORKER))
        if affordable < workers:
            logger.warning(
                "%d instead of %d workers: each takes about %d MB, and only %d MB of memory are free",
                *(affordable, workers, BYTES_PER_WORKER // 1_000_000, self._free // 1_000_000),
            )
        return affordable

    def _work(self) -> list[Work]:
        size = self._run.plan.per_symbol
        work = []
        for number, symbol in enumerate(self._run.plan.job.symbols):
            positions = number * size + np.flatnonzero(self._pending[number * size : (number + 1) * size])
            work.append(Work(symbol, map(int, positions), len(positions)))
        return work

    def _loop(self, schedule: Schedule, executor: Executor, signals: list[int]) -> None:
        schedule.slots = self._slots = executor.slots
        self._do(schedule.handle(Tick(), time.monotonic()), executor)
        interrupted = False
        while not schedule.finished:
            if signals and not interrupted:
                interrupted = True
                self._do(schedule.handle(Interrupted(), time.monotonic()), executor)
                logger.warning(
                    "Interrupted. Finishing the %d batches that are running; press Ctrl-C again to abort",
                    len(schedule.running),
                )
                continue
            events = executor.wait(TICK_SECONDS)
            schedule.slots = self._slots = executor.slots
            for event in events:
                actions = schedule.handle(self._recorded(event), time.monotonic())
                self._do(actions, executor)
            self._retried = schedule.retried
            self._do(schedule.handle(Tick(self._memory()), time.monotonic()), executor)
            if time.time() - self._heartbeat_at > HEARTBEAT_SECONDS:
                self._run.ledger.write_heartbeat(self._heartbeat())

    def _memory(self) -> int | None:
        """Return the free memory; None when it was measured just before."""
        if time.monotonic() - self._measured_at < MEMORY_SECONDS:
            return None
        self._measured_at, self._free = time.monotonic(), free_memory()
        return self._free

    def _heartbeat(self) -> Heartbeat:
        self._heartbeat_at = time.time()
        return Heartbeat(
            pid=os.getpid(),
            started=self._started,
            updated=self._heartbeat_at,
            ended_before=self._ended_before,
            workers=self._slots,
            retried=self._retried,
            held=held_memory(),
            free=self._free,
            running=tuple(shown for _, shown in self._running.values()),
        )

    def _do(self, actions: Sequence[Action], executor: Executor) -> None:
        for action in actions:
            match action:
                case Submit(batch):
                    executor.submit(self._task(batch))
                case Kill(number, reason):
                    logger.warning("Batch %d: %s; its worker is replaced", number, reason)
                    executor.kill(number)
                case Quarantine(position, symbol, attempts, reason):
                    spec = self._run.plan[position]
                    job = spec.id(self._run.markets[symbol].fingerprint)
                    self._run.ledger.quarantine(position, job, spec, attempts, reason)
                    self._failed += 1
                    logger.error("Backtest %s of %s failed: %s", job, symbol, reason)
                    self._progress.advance(1, self._note())

    def _task(self, batch: Batch) -> Task:
        market = self._run.markets[batch.symbol]
        shown = RunningBatch(
            number=batch.number,
            symbol=batch.symbol,
            jobs=len(batch.positions),
            attempt=batch.attempt,
            started=time.time(),
        )
        self._running[batch.number] = batch, shown
        return Task(
            batch=batch,
            folder=self._run.folder.path,
            identity=self._run.identity,
            market=market.folder,
            fingerprint=market.fingerprint,
            tables=self._tables,
        )

    def _recorded(self, event: Finished | Lost) -> BatchDone | WorkerDied:
        """Record a batch that ended, or delete its traces; return what the schedule has to know of it."""
        if isinstance(event, Finished):
            return self._record(event.receipt)
        logger.warning("Batch %d: %s", event.number, event.reason)
        self._running.pop(event.number)
        discard_parts(self._run.folder.path, event.number)
        return WorkerDied(*event)

    def _record(self, receipt: Receipt) -> BatchDone:
        """Give a batch's parts their names, and only then enter its jobs as done."""
        batch, _ = self._running.pop(receipt.number)
        began = time.monotonic()
        accept_parts(self._run.folder.path, receipt)
        metadata = batch_metadata(part_path(self._run.folder.path, "trades", receipt.number))
        heartbeat = self._heartbeat() if time.time() - self._heartbeat_at > MEMORY_SECONDS else None
        self._run.ledger.record(receipt, metadata, self._run.plan, heartbeat)
        self.writing += time.monotonic() - began
        self.working += receipt.seconds
        for index, error in metadata.errors.items():
            self._failed += 1
            reason = error.strip().splitlines()[-1]
            logger.error("Backtest %s of %s failed: %s", metadata.jobs[index], batch.symbol, reason)
        metrics = np.frombuffer(metadata.metrics).reshape(len(metadata.jobs), len(METRICS))
        self._log_backtests(metadata, metrics)
        self._keep_best(batch, metrics)
        self._progress.advance(len(metadata.jobs), self._note())
        return BatchDone(receipt.number, receipt.seconds, len(metadata.errors))

    def _log_backtests(self, metadata: BatchMetadata, metrics: NDArray[np.float64]) -> None:
        """Log each backtest that is done, or in a very large run how many."""
        extra: dict[str, object] = {"symbol": metadata.batch.symbol, "batch": metadata.batch.number}
        if len(self._run.plan) > LOGGED_UP_TO:
            backtests.debug("%d backtests complete", len(metadata.jobs) - len(metadata.errors), extra=extra)
            return
        level = logging.INFO if len(self._run.plan) <= INFO_UP_TO else logging.DEBUG
        for index, job in enumerate(metadata.jobs):
            if index not in metadata.errors:
                trades = int(metrics[index][METRICS.index("trades")])
                backtests.log(level, "Backtest complete: %d trades", trades, extra={"job": job} | extra)

    def _keep_best(self, batch: Batch, metrics: NDArray[np.float64]) -> None:
        job = self._run.plan.job
        sign = -1 if job.objective in LOWER_IS_BETTER else 1
        values = np.nan_to_num(sign * metrics[:, METRICS.index(job.objective)], nan=-inf, posinf=inf, neginf=-inf)
        best = int(np.argmax(values))
        if values[best] > -inf and (self._best is None or values[best] > sign * self._best[0]):
            spec = self._run.plan[batch.positions[best]]
            axes = " ".join(f"{name} {spec.row()[name]}" for name, _ in job.grid)
            self._best = sign * float(values[best]), f"{spec.symbol} {axes}".strip()

    def _note(self) -> str:
        failed = f"{self._failed} failed"
        if self._free < memory_floor():
            failed += f", only {self._free / 1e6:,.0f} MB of memory left"
        if self._best is None:
            return failed
        return f"{failed}, best {self._run.plan.job.objective} {self._best[0]:.3g} ({self._best[1]})"
