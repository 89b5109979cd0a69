"""How a run is going, as its coordinator writes it down and as the ledger has it."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct


class RunningBatch(Struct, frozen=True, kw_only=True):
    """A batch that a worker is running.

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


class Heartbeat(Struct, frozen=True, kw_only=True):
    """How a run is going, for those who watch it.

    Attributes
    ----------
    started, updated : float
        Seconds since 1970: when the run was started or resumed, and when this was written.
    ended_before : int
        Jobs that had ended before that start.
    retried : int
        Batches whose worker died, and whose jobs were run again.
    held, free : int
        Bytes that this run's processes hold, and that the machine has left.
    """

    pid: int
    started: float
    updated: float
    ended_before: int
    workers: int
    retried: int
    held: int
    free: int
    running: tuple[RunningBatch, ...]


class LedgerState(NamedTuple):
    """What a ledger says of a run at one moment.

    Attributes
    ----------
    heartbeat : Heartbeat or None
        The last one, less the batches that have ended since; None before the first.
    symbols : dict of int to (done, failed)
        By the index of the symbol in the job; without those of which no job has ended.
    peak : int
        The most memory that a worker held during a batch, in bytes.
    last : float
        Seconds since 1970: when the last batch ended; 0 before any has.
    """

    heartbeat: Heartbeat | None
    symbols: dict[int, tuple[int, int]]
    peak: int
    last: float
