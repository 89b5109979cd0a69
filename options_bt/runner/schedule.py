"""The schedule: what to run next, decided purely from what happened; no process, clock or disk in here."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from math import ceil, inf
from typing import NamedTuple

from msgspec import Struct

from options_bt.runner.execution.batch import Batch

BATCH_SECONDS = 0.5
BATCHES_A_SECOND = 100
"""What a coordinator can keep up with: with more slots than half of it, batches get longer."""
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
    """The worker of a batch is gone without a result; if `innocent`, it is known that the batch was not why."""

    number: int
    reason: str
    innocent: bool = False


class Interrupted(NamedTuple):
    """The user wants to stop: batches in flight are waited for, and nothing new is begun."""


class Tick(NamedTuple):
    """Time has passed, or the run begins; where it was just measured, so many bytes of memory are left."""

    free: float | None = None


Event = BatchDone | WorkerDied | Interrupted | Tick


class Submit(NamedTuple):
    """Return this batch to a free worker."""

    batch: Batch


class Kill(NamedTuple):
    """End the worker of this batch; a WorkerDied has to follow."""

    number: int
    reason: str


class Quarantine(NamedTuple):
    """Fail a job whose worker died as often as is allowed."""

    position: int
    symbol: str
    attempts: int
    reason: str


Action = Submit | Kill | Quarantine


class _Flight(Struct):
    batch: Batch
    deadline: float
    killed: str = ""
    innocent: bool = False


class Schedule:
    """Decides which batches run when.

    Every job is submitted until it is done or quarantined. A batch whose worker died is split into single
    jobs, so that the culprit is named; a single job that dies is tried again `retries` times. A batch that is known
    not to be why its worker died is run again as it is, once.

    While less than `floor` bytes of memory are free, nothing is begun beside what is in flight; one batch at a time
    goes on, so that the run ends. Below half of it the batch that was begun last is killed, and its jobs are run
    again, without blame; when it is the only one in flight, it took the memory itself, and died of it.

    Parameters
    ----------
    work : sequence of Work
        What is to be run, symbol by symbol.
    slots : int
        How many batches may be in flight; may be set anew at any time, also to 0.
    timeout : float
        Seconds for one job.
    retries : int
    first_number : int
        Number of the first batch.
    floor : float
        Bytes of memory that have to stay free.
    max_failures : float
        With more failed jobs than these, nothing new is begun.
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
        self._excused: set[int] = set()
        self._again: deque[tuple[str, int]] = deque()
        self._deaths: dict[int, int] = {}
        self._flights: dict[int, _Flight] = {}
        self._seconds_per_job = 0.0
        self._stopping = False
        self._floor, self._free = floor, inf
        self._max_failures, self._failures = max_failures, 0
        self.retried = 0

    @property
    def finished(self) -> bool:
        """Whether nothing is in flight and nothing more will be submitted."""
        return not self._flights and (self._stopping or not (self._waiting or self._again))

    @property
    def gave_up(self) -> bool:
        """Whether more jobs failed than is allowed."""
        return self._failures > self._max_failures

    @property
    def flights(self) -> list[Batch]:
        """The batches in flight."""
        return [flight.batch for flight in self._flights.values()]

    def handle(self, event: Event, now: float) -> list[Action]:
        """Return what has to be done after an event.

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
                batch = self._flights.pop(number).batch
                last = batch.symbol
                self._learn(seconds, len(batch.positions))
                self._failures += failed
            case WorkerDied(number, reason, innocent):
                flight = self._flights.pop(number)
                flight.innocent |= innocent and self._excused.isdisjoint(flight.batch.positions)
                actions += self._died(flight, flight.killed or reason)
            case Interrupted():
                self._stopping = True
            case Tick(free):
                actions += self._overdue(now)
                if free is not None:
                    self._free = free
                    actions += self._too_large()
        self._stopping |= self.gave_up
        while len(self._flights) < self._admitted() and (following := self._next(last)):
            allowance = self._allowance(len(following.positions))
            self._flights[following.number] = _Flight(following, now + allowance)
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

    def _died(self, flight: _Flight, reason: str) -> list[Action]:
        batch = flight.batch
        self.retried += 1
        if flight.innocent:
            self._excused.add(batch.positions[0])
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
        """Kill the youngest batch when little memory is left, one at a time."""
        if self._free >= self._floor / 2 or not self._flights or any(f.killed for f in self._flights.values()):
            return []
        number = max(self._flights)
        flight = self._flights[number]
        flight.innocent = len(self._flights) > 1
        flight.killed = f"only {self._free / 1e6:,.0f} MB of memory were left"
        return [Kill(number, flight.killed)]

    def _overdue(self, now: float) -> list[Action]:
        actions: list[Action] = []
        for number, flight in self._flights.items():
            if now > flight.deadline and not flight.killed:
                flight.killed = f"no result within {self._timeout:g} s (run.timeout)"
                actions.append(Kill(number, flight.killed))
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
