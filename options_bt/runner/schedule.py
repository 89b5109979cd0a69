"""The schedule: what to run next, decided from what happened alone; no process, clock or disk in here."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from math import ceil, inf
from typing import NamedTuple

from msgspec import Struct

from options_bt.runner.run_folder.parts import Batch

BATCH_SECONDS = 0.5
BATCHES_A_SECOND = 100
"""What a coordinator can keep up with: with more than half as many slots, batches get longer."""
FIRST_BATCH = 4
LARGEST_BATCH = 5000
_SMOOTHING = 0.3


class Work(NamedTuple):
    """The jobs of one symbol that are still to be run."""

    symbol: str
    positions: Iterator[int]
    pending: int


class BatchDone(NamedTuple):
    """A worker finished a batch, and its results are on the disk; so many of its jobs failed."""

    number: int
    seconds: float
    failed: int = 0


class WorkerDied(NamedTuple):
    """The worker of a batch is gone without a result; `not_at_fault` if the batch is known not to be the cause."""

    number: int
    reason: str
    not_at_fault: bool = False


class Interrupted(NamedTuple):
    """The user wants to stop: running batches finish, and nothing new starts."""


class Tick(NamedTuple):
    """Time has passed, or the run starts; `free` bytes of memory are left, where it was just measured."""

    free: float | None = None


Event = BatchDone | WorkerDied | Interrupted | Tick


class Submit(NamedTuple):
    """Return this batch to a free worker."""

    batch: Batch


class Kill(NamedTuple):
    """Kill the worker of this batch; a WorkerDied has to follow."""

    number: int
    reason: str


class Quarantine(NamedTuple):
    """Fail a job whose worker died as often as is allowed."""

    position: int
    symbol: str
    attempts: int
    reason: str


Action = Submit | Kill | Quarantine


class _Running(Struct):
    batch: Batch
    deadline: float
    killed: str = ""
    not_at_fault: bool = False


class Schedule:
    """Decides which batches run when.

    Every job is submitted until it is done or quarantined. A batch whose worker died is split into single
    jobs, so that the culprit is named; a single job whose worker dies is tried `retries` times more. A batch that is
    known not to be at fault runs again as it is, once.

    While less than `floor` bytes of memory are free, one batch runs at a time, so that the run still ends. Below half
    of that the batch that started last is killed and runs again, not at fault; when it runs alone, it took the
    memory itself, and its worker's death counts.

    Parameters
    ----------
    work : sequence of Work
        What is to be run, symbol by symbol.
    slots : int
        How many batches may run at once; may be set at any time, also to 0.
    timeout : float
        Seconds for one job.
    retries : int
    first_number : int
        Number of the first batch.
    floor : float
        Bytes of memory that have to stay free.
    max_failures : float
        With more failed jobs than these, nothing new starts.
    """

    def __init__(
        self,
        work: Sequence[Work],
        *,
        slots: int,
        timeout: float,
        retries: int,
        first_number: int = 0,
        floor: float = 0.0,
        max_failures: float = inf,
    ) -> None:
        self._work = {part.symbol: part for part in work if part.pending}
        self._unopened = deque(self._work)
        self._waiting = sum(part.pending for part in work)
        self.slots = slots
        self._timeout = timeout
        self._retries = retries
        self._number = first_number
        self._rerun_whole: set[int] = set()
        self._again: deque[tuple[str, int]] = deque()
        self._deaths: dict[int, int] = {}
        self._running: dict[int, _Running] = {}
        self._seconds_per_job = 0.0
        self._stopping = False
        self._floor, self._free = floor, inf
        self._max_failures, self._failures = max_failures, 0
        self.retried = 0

    @property
    def finished(self) -> bool:
        """Whether nothing is running and nothing more will be submitted."""
        return not self._running and (self._stopping or not (self._waiting or self._again))

    @property
    def gave_up(self) -> bool:
        """Whether more jobs failed than is allowed."""
        return self._failures > self._max_failures

    @property
    def running(self) -> list[Batch]:
        """The batches that are running."""
        return [running.batch for running in self._running.values()]

    def handle(self, event: Event, now: float) -> list[Action]:
        """Return what to do after an event.

        Parameters
        ----------
        event : Event
        now : float
            Seconds on any clock that never goes back.

        Returns
        -------
        list of Action
        """
        actions: list[Action] = []
        last = ""
        match event:
            case BatchDone(number, seconds, failed):
                batch = self._running.pop(number).batch
                last = batch.symbol
                self._learn(seconds, len(batch.positions))
                self._failures += failed
            case WorkerDied(number, reason, not_at_fault):
                running = self._running.pop(number)
                running.not_at_fault |= not_at_fault and self._rerun_whole.isdisjoint(running.batch.positions)
                actions += self._died(running, running.killed or reason)
            case Interrupted():
                self._stopping = True
            case Tick(free):
                actions += self._overdue(now)
                if free is not None:
                    self._free = free
                    actions += self._too_large()
        self._stopping |= self.gave_up
        while len(self._running) < self._admitted() and (following := self._next(last)):
            allowance = self._allowance(len(following.positions))
            self._running[following.number] = _Running(following, now + allowance)
            actions.append(Submit(following))
        return actions

    def _learn(self, seconds: float, jobs: int) -> None:
        each = seconds / jobs
        known = self._seconds_per_job
        self._seconds_per_job = known + _SMOOTHING * (each - known) if known else each

    def _allowance(self, jobs: int) -> float:
        if not self._seconds_per_job:
            return self._timeout * jobs
        # A batch is sized to a fraction of a second: what is past one job's timeout is one job stuck.
        return self._timeout + 10 * jobs * self._seconds_per_job

    def _died(self, running: _Running, reason: str) -> list[Action]:
        batch = running.batch
        self.retried += 1
        if running.not_at_fault:
            self._rerun_whole.add(batch.positions[0])
            self._put_back(batch)
            return []
        if len(batch.positions) > 1:
            self._again.extend((batch.symbol, position) for position in batch.positions)
            return []
        (position,) = batch.positions
        deaths = self._deaths[position] = self._deaths.get(position, 0) + 1
        if deaths > self._retries:
            self._failures += 1
            self.retried -= 1
            return [Quarantine(position, batch.symbol, deaths, reason)]
        self._again.append((batch.symbol, position))
        return []

    def _admitted(self) -> int:
        return self.slots if self._free >= self._floor else min(self.slots, 1)

    def _too_large(self) -> list[Action]:
        """Kill the batch that started last when little memory is left, one at a time."""
        if self._free >= self._floor / 2 or not self._running or any(f.killed for f in self._running.values()):
            return []
        number = max(self._running)
        running = self._running[number]
        running.not_at_fault = len(self._running) > 1
        running.killed = f"only {self._free / 1e6:,.0f} MB of memory were left"
        return [Kill(number, running.killed)]

    def _overdue(self, now: float) -> list[Action]:
        actions: list[Action] = []
        for number, running in self._running.items():
            if now > running.deadline and not running.killed:
                running.killed = f"no result within {self._timeout:g} s (run.timeout)"
                actions.append(Kill(number, running.killed))
        return actions

    def _next(self, last: str) -> Batch | None:
        """Return the next batch for a slot that has run one of the symbol `last`."""
        if self._stopping:
            return None
        if self._again:
            symbol, position = self._again.popleft()
            return self._batch(symbol, (position,))
        if not self._work:
            return None
        symbol, positions, pending = self._work[self._symbol_after(last)]
        taken = tuple(islice(positions, self._size()))
        self._waiting -= len(taken)
        self._work[symbol] = Work(symbol, positions, pending - len(taken))
        if pending == len(taken):
            del self._work[symbol]
        return self._batch(symbol, taken)

    def _symbol_after(self, last: str) -> str:
        """Return the symbol that a slot has, while there is work; else one that none has, else that with most work.

        So a market is read by few workers, which counts where each host has to be sent it.
        """
        if last in self._work:
            return last
        while self._unopened:
            symbol = self._unopened.popleft()
            if symbol in self._work:
                return symbol
        return max(self._work.values(), key=lambda part: part.pending).symbol

    def _put_back(self, batch: Batch) -> None:
        old = self._work.get(batch.symbol, Work(batch.symbol, iter(()), 0))
        count = len(batch.positions)
        self._work[batch.symbol] = Work(batch.symbol, chain(old.positions, batch.positions), old.pending + count)
        self._waiting += count

    def _size(self) -> int:
        if not self._seconds_per_job:
            return FIRST_BATCH
        # Towards the end batches get small, so that the workers finish together; one has nobody to wait for.
        fair = ceil(self._waiting / (2 * self.slots)) if self.slots > 1 else self._waiting
        length = max(BATCH_SECONDS, self.slots / BATCHES_A_SECOND)
        return max(1, min(int(length / self._seconds_per_job), fair, LARGEST_BATCH))

    def _batch(self, symbol: str, positions: tuple[int, ...]) -> Batch:
        attempt = self._deaths.get(positions[0], 0) + 1
        batch = Batch(number=self._number, symbol=symbol, positions=positions, attempt=attempt)
        self._number += 1
        return batch
