"""The coordinator: does what the schedule says, and writes down what comes of it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from math import inf

import numpy as np
from numpy.typing import NDArray

from options_bt.data.prepare import Prepared
from options_bt.engine.metrics import METRICS
from options_bt.job.objectives import LOWER_IS_BETTER
from options_bt.job.planner import Plan
from options_bt.runner.execution.batch import Batch, Result, Task
from options_bt.runner.execution.executor import Brought, Executor, Finished
from options_bt.runner.memory import free_memory, held_memory, memory_floor
from options_bt.runner.preflight.estimate import BYTES_PER_WORKER, estimated
from options_bt.runner.progress import Progress
from options_bt.runner.run_folder.folder import RunFolder
from options_bt.runner.run_folder.heartbeat import Flight, Live
from options_bt.runner.run_folder.ledger import Ledger
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
from options_bt.runner.signals import kept_signals
from options_bt.storage import write_atomically

logger = logging.getLogger(__name__)
backtests = logging.getLogger("options_bt.engine")

TICK_SECONDS = 0.5
LOOK_SECONDS = 0.2
TELL_SECONDS = 2.0
NEWS_UP_TO = 100
"""Jobs up to which each backtest is news; in larger runs it is a detail."""
DETAILS_UP_TO = 10_000
"""Jobs up to which each backtest has a line in the log; above, each batch has one."""


class Coordinator:
    """Runs the pending jobs of one run.

    Parameters
    ----------
    plan : Plan
    folder : RunFolder
        Claimed by this process.
    ledger : Ledger
    markets : sequence of Prepared
        One for each symbol of the plan.
    pending : array of bool
        Which positions of the plan are to be run.
    tables : bool
        Whether their trades and equity are stored.
    make_executor : callable
        Returns where they are run, told how many workers this machine has room for.
    max_failures : float
        With more failed jobs than these the run is given up.

    Attributes
    ----------
    gave_up : bool
        Whether it was.
    writing : float
        Seconds spent on writing parts and ledger.
    working : float
        Seconds that workers spent on batches.
    brought : Brought
        How markets came to other hosts.
    """

    def __init__(
        self,
        plan: Plan,
        folder: RunFolder,
        ledger: Ledger,
        markets: Sequence[Prepared],
        pending: NDArray[np.bool_],
        tables: bool,
        make_executor: Callable[[int], Executor],
        max_failures: float = inf,
    ) -> None:
        self._plan, self._folder, self._ledger, self._pending = plan, folder, ledger, pending
        self._tables, self._make_executor, self._max_failures = tables, make_executor, max_failures
        self._flights: dict[int, Flight] = {}
        self._started = self._told = self._looked = 0.0
        self._free = free_memory()
        self._retried = self._count = 0
        self.gave_up, self.writing, self.working, self.brought = False, 0.0, 0.0, Brought()
        self._markets = {market.symbol: market for market in markets}
        self._batches: dict[int, Batch] = {}
        self._best: tuple[float, str] | None = None
        self._failed = ledger.counts()[1]

    def run(self, workers: int | str, shown: bool) -> int:
        """Run what is pending; return the number of the signal that stopped it, or 0."""
        pending, settings = int(self._pending.sum()), self._plan.job.run
        self._started = time.time()
        schedule = Schedule(
            self._work(),
            slots=0,
            timeout=settings.timeout,
            retries=settings.retries,
            first_number=self._ledger.next_batch(),
            floor=memory_floor(),
            max_failures=self._max_failures,
        )
        with ExitStack() as stack:
            signals = stack.enter_context(kept_signals())
            executor = self._make_executor(self._fitting(estimated(self._plan, pending, 0, workers).workers))
            stack.callback(executor.close)
            logger.info(
                "Running %d backtests%s in %s",
                pending,
                f" ({len(self._plan) - pending} are done already)" if pending < len(self._plan) else "",
                executor.place,
            )
            done = len(self._plan) - pending
            self._progress = stack.enter_context(
                Progress(self._plan.job.name, len(self._plan), "job", done=done, shown=shown)
            )
            self._loop(schedule, executor, signals)
            self.gave_up, self.brought = schedule.gave_up, executor.brought
        return signals[0] if signals and sum(self._ledger.counts()) < len(self._plan) else 0

    def _fitting(self, workers: int) -> int:
        """Return as many workers as there is memory for, and say so when they are fewer than wanted."""
        room = self._free - memory_floor()
        fitting = max(1, min(workers, room // BYTES_PER_WORKER))
        if fitting < workers:
            logger.warning(
                "%d instead of %d workers: each takes about %d MB, and only %d MB of memory are free",
                *(fitting, workers, BYTES_PER_WORKER // 1_000_000, self._free // 1_000_000),
            )
        return fitting

    def _work(self) -> list[Work]:
        size = self._plan.per_symbol
        work = []
        for number, symbol in enumerate(self._plan.job.symbols):
            positions = number * size + np.flatnonzero(self._pending[number * size : (number + 1) * size])
            work.append(Work(symbol, map(int, positions), len(positions)))
        return work

    def _loop(self, schedule: Schedule, executor: Executor, signals: list[int]) -> None:
        schedule.slots = self._count = executor.slots
        self._do(schedule.handle(Tick(), time.monotonic()), executor)
        told = False
        while not schedule.finished:
            if signals and not told:
                told = True
                self._do(schedule.handle(Interrupted(), time.monotonic()), executor)
                logger.warning("Stopping after the %d batches in flight; once more stops now", len(schedule.flights))
                continue
            events = executor.wait(TICK_SECONDS)
            schedule.slots = self._count = executor.slots
            for event in events:
                if isinstance(event, Finished):
                    result = event.result
                    self._record(result)
                    done = BatchDone(result.number, result.seconds, len(result.errors))
                    actions = schedule.handle(done, time.monotonic())
                else:
                    logger.warning("Batch %d: %s", event.number, event.reason)
                    self._batches.pop(event.number)
                    self._flights.pop(event.number)
                    actions = schedule.handle(WorkerDied(*event), time.monotonic())
                self._do(actions, executor)
            self._retried = schedule.retried
            self._do(schedule.handle(Tick(self._memory()), time.monotonic()), executor)
            if time.time() - self._told > TELL_SECONDS:
                self._ledger.tell(self._live())

    def _memory(self) -> int | None:
        """Return the free memory; None when it was looked at just before."""
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return None
        self._looked, self._free = time.monotonic(), free_memory()
        return self._free

    def _live(self) -> Live:
        self._told = time.time()
        return Live(
            pid=os.getpid(),
            started=self._started,
            updated=self._told,
            begun_with=len(self._plan) - int(self._pending.sum()),
            workers=self._count,
            retried=self._retried,
            held=held_memory(),
            free=self._free,
            flights=tuple(self._flights.values()),
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
                    spec = self._plan[position]
                    job = spec.id(self._markets[symbol].fingerprint)
                    self._ledger.quarantine(position, job, spec, attempts, reason)
                    self._failed += 1
                    logger.error("Backtest %s of %s failed: %s", job, symbol, reason)
                    self._progress.advance(1, self._note())

    def _task(self, batch: Batch) -> Task:
        market = self._markets[batch.symbol]
        self._batches[batch.number] = batch
        self._flights[batch.number] = Flight(
            number=batch.number,
            symbol=batch.symbol,
            jobs=len(batch.positions),
            attempt=batch.attempt,
            started=time.time(),
        )
        return Task(
            batch=batch,
            market=market.folder,
            fingerprint=market.fingerprint,
            job=self._plan.job,
            tables=self._tables,
        )

    def _record(self, result: Result) -> None:
        """Put a batch's parts on the disk, and only then enter its jobs as done."""
        batch = self._batches.pop(result.number)
        self._flights.pop(result.number)
        began = time.monotonic()
        write_atomically(self._folder.part("trades", batch.number), result.trades)
        if result.equity:
            write_atomically(self._folder.part("equity", batch.number), result.equity)
        told = self._live() if time.time() - self._told > LOOK_SECONDS else None
        self._ledger.record(batch, result, self._plan, told)
        self.writing += time.monotonic() - began
        self.working += result.seconds
        metrics = np.frombuffer(result.metrics).reshape(len(result.jobs), len(METRICS))
        for index in result.errors:
            self._failed += 1
            reason = result.errors[index].strip().splitlines()[-1]
            logger.error("Backtest %s of %s failed: %s", result.jobs[index], batch.symbol, reason)
        self._tell_of(batch, metrics, result)
        self._keep_best(batch, metrics)
        self._progress.advance(len(result.jobs), self._note())

    def _tell_of(self, batch: Batch, metrics: NDArray[np.float64], result: Result) -> None:
        """Log each backtest that was done, or in a very large run how many."""
        if len(self._plan) > DETAILS_UP_TO:
            extra = {"symbol": batch.symbol, "batch": batch.number}
            backtests.debug("%d backtests complete", len(result.jobs) - len(result.errors), extra=extra)
            return
        level = logging.INFO if len(self._plan) <= NEWS_UP_TO else logging.DEBUG
        for index, job in enumerate(result.jobs):
            if index not in result.errors:
                trades = int(metrics[index][METRICS.index("trades")])
                extra = {"job": job, "symbol": batch.symbol, "batch": batch.number}
                backtests.log(level, "Backtest complete: %d trades", trades, extra=extra)

    def _keep_best(self, batch: Batch, metrics: NDArray[np.float64]) -> None:
        objective = self._plan.job.objective
        sign = -1 if objective in LOWER_IS_BETTER else 1
        values = np.nan_to_num(sign * metrics[:, METRICS.index(objective)], nan=-inf, posinf=inf, neginf=-inf)
        best = int(np.argmax(values))
        if values[best] > -inf and (self._best is None or values[best] > sign * self._best[0]):
            spec = self._plan[batch.positions[best]]
            axes = " ".join(f"{name} {spec.row()[name]}" for name, _ in self._plan.job.grid)
            self._best = sign * float(values[best]), f"{spec.symbol} {axes}".strip()

    def _note(self) -> str:
        failed = f"{self._failed} failed"
        if self._free < memory_floor():
            failed += f", only {self._free / 1e6:,.0f} MB of memory left"
        if self._best is None:
            return failed
        return f"{failed}, best {self._plan.job.objective} {self._best[0]:.3g} ({self._best[1]})"
