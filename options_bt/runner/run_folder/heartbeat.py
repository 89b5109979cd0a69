"""How a run is going, as its coordinator tells it and as the ledger has it."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct


class Flight(Struct, frozen=True, kw_only=True):
    """A batch in flight.

    Attributes
    ----------
    started : float
        Seconds since 1970.
    """

    number: int
    symbol: str
    jobs: int
    attempt: int
    started: float


class Live(Struct, frozen=True, kw_only=True):
    """How a run is going, for those who look on.

    Attributes
    ----------
    started, updated : float
        Seconds since 1970: when this go of the run began, and when this was written.
    begun_with : int
        Jobs that had ended before this go.
    retried : int
        Batches whose worker died, and whose jobs were run again.
    held, free : int
        Bytes that this run's processes hold, and that the machine has left.
    """

    pid: int
    started: float
    updated: float
    begun_with: int
    workers: int
    retried: int
    held: int
    free: int
    flights: tuple[Flight, ...]


class Standing(NamedTuple):
    """How a run stands at one moment, as its ledger has it.

    Attributes
    ----------
    live : Live or None
        What the run told last, less the batches that have ended since; None before it told anything.
    symbols : dict of int to (done, failed)
        By the place of the symbol in the job; without those of which no job has ended.
    peak : int
        Bytes that a worker held at most during a batch.
    last : float
        Seconds since 1970: when the last batch ended; 0 before any has.
    """

    live: Live | None
    symbols: dict[int, tuple[int, int]]
    peak: int
    last: float
