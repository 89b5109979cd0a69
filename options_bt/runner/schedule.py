"""The schedule: what to run next, decided purely from what happened; no process, clock or disk in here."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from math import ceil
from typing import NamedTuple

from msgspec import Struct

from options_bt.runner.batch import Batch

BATCH_SECONDS = 0.5
FIRST_BATCH = 4
LARGEST_BATCH = 5000
_SMOOTHING = 0.3


class Work(NamedTuple):
    """The jobs of one symbol that are still to be run."""

    symbol: str
    positions: Iterator[int]
    pending: int


class BatchDone(NamedTuple):
    """A worker finished a batch, and its results are on the disk."""

    number: int
    seconds: float


class WorkerDied(NamedTuple):
    """The worker of a batch is gone without a result."""

    number: int
    reason: str


class Interrupted(NamedTuple):
    """The user wants to stop: batches in flight are waited for, and nothing new is begun."""


class Tick(NamedTuple):
    """Time has passed, or the run begins."""


Event = BatchDone | WorkerDied | Interrupted | Tick


class Submit(NamedTuple):
    """Give this batch to a free worker."""

    batch: Batch


class Kill(NamedTuple):
    """End the worker of this batch; a WorkerDied has to follow."""

    number: int
    reason: str


class Quarantine(NamedTuple):
    """Give up on a job: its worker died as often as is allowed."""

    position: int
    symbol: str
    attempts: int
    reason: str


Action = Submit | Kill | Quarantine


class _Flight(Struct):
    batch: Batch
    deadline: float
    killed: str = ""


class Schedule:
    """Decides which batches run when.

    Every job is submitted until it is done or quarantined. A batch whose worker died is split into single
    jobs, so that the culprit is named; a single job that dies is tried again `retries` times.

    Parameters
    ----------
    work : sequence of Work
        What is to be run, symbol by symbol.
    slots : int
        How many batches may be in flight.
    timeout : float
        Seconds for one job.
    retries : int
    first_number : int
        Number of the first batch.
    """

    def __init__(
        self, work: Sequence[Work], *, slots: int, timeout: float, retries: int, first_number: int = 0
    ) -> None:
        self._work = deque(work)
        self._waiting = sum(part.pending for part in work)
        self._slots = slots
        self._timeout = timeout
        self._retries = retries
        self._number = first_number
        self._again: deque[tuple[str, int]] = deque()
        self._deaths: dict[int, int] = {}
        self._flights: dict[int, _Flight] = {}
        self._seconds_per_job = 0.0
        self._stopping = False

    @property
    def finished(self) -> bool:
        """Whether nothing is in flight and nothing more will be submitted."""
        return not self._flights and (self._stopping or not (self._waiting or self._again))

    @property
    def flights(self) -> list[Batch]:
        """The batches in flight."""
        return [flight.batch for flight in self._flights.values()]

    def handle(self, event: Event, now: float) -> list[Action]:
        """Give what has to be done after an event.

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
        match event:
            case BatchDone(number, seconds):
                self._learn(seconds, len(self._flights.pop(number).batch.positions))
            case WorkerDied(number, reason):
                flight = self._flights.pop(number)
                actions += self._died(flight.batch, flight.killed or reason)
            case Interrupted():
                self._stopping = True
            case Tick():
                actions += self._overdue(now)
        while len(self._flights) < self._slots and (batch := self._next()):
            self._flights[batch.number] = _Flight(batch, now + self._allowance(len(batch.positions)))
            actions.append(Submit(batch))
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

    def _died(self, batch: Batch, reason: str) -> list[Action]:
        if len(batch.positions) > 1:
            self._again.extend((batch.symbol, position) for position in batch.positions)
            return []
        (position,) = batch.positions
        deaths = self._deaths[position] = self._deaths.get(position, 0) + 1
        if deaths > self._retries:
            return [Quarantine(position, batch.symbol, deaths, reason)]
        self._again.append((batch.symbol, position))
        return []

    def _overdue(self, now: float) -> list[Action]:
        actions: list[Action] = []
        for number, flight in self._flights.items():
            if now > flight.deadline and not flight.killed:
                flight.killed = f"no result within {self._timeout:g} s (run.timeout)"
                actions.append(Kill(number, flight.killed))
        return actions

    def _next(self) -> Batch | None:
        if self._stopping:
            return None
        if self._again:
            symbol, position = self._again.popleft()
            return self._batch(symbol, (position,))
        while self._work:
            symbol, positions, _ = self._work[0]
            taken = tuple(islice(positions, self._size()))
            if taken:
                self._waiting -= len(taken)
                return self._batch(symbol, taken)
            self._work.popleft()
        self._waiting = 0
        return None

    def _size(self) -> int:
        if not self._seconds_per_job:
            return FIRST_BATCH
        # Towards the end batches get small, so that the workers finish together.
        fair = ceil(self._waiting / (2 * self._slots))
        return max(1, min(int(BATCH_SECONDS / self._seconds_per_job), fair, LARGEST_BATCH))

    def _batch(self, symbol: str, positions: tuple[int, ...]) -> Batch:
        attempt = self._deaths.get(positions[0], 0) + 1
        batch = Batch(number=self._number, symbol=symbol, positions=positions, attempt=attempt)
        self._number += 1
        return batch
