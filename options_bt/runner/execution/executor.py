"""The contract of an executor: something that runs batches."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple, Protocol

from msgspec import Struct, field

from options_bt.errors import StorageError
from options_bt.runner.execution.batch import Answer, Task
from options_bt.runner.run_folder.parts import Receipt


class Finished(NamedTuple):
    """A batch that was run: its parts are in the run folder, under temporary names."""

    receipt: Receipt


class Lost(NamedTuple):
    """A batch without results: its worker is gone, or could not run it at all.

    Attributes
    ----------
    not_at_fault : bool
        Whether the batch is known not to be the cause.
    """

    number: int
    reason: str
    not_at_fault: bool = False


def ended(number: int, answer: Answer) -> Finished | Lost:
    """Return what a worker's answer means for its batch.

    Raises
    ------
    StorageError
        When the disk refused its parts.
    """
    if isinstance(answer, StorageError):
        raise answer
    return Finished(answer) if isinstance(answer, Receipt) else Lost(number, answer)


class TransferStats(Struct):
    """How markets came to the hosts that lacked them, by host.

    Attributes
    ----------
    sent, size : Counter of str
        Markets that were sent there, and their bytes.
    stored : Counter of str
        Markets that the host read from its store.
    """

    sent: Counter[str] = field(default_factory=Counter)
    size: Counter[str] = field(default_factory=Counter)
    stored: Counter[str] = field(default_factory=Counter)

    def plus(self, other: TransferStats) -> TransferStats:
        """Return these transfers and others."""
        return TransferStats(self.sent + other.sent, self.size + other.size, self.stored + other.stored)


class Scheduler(Struct, frozen=True, kw_only=True):
    """Where the scheduler of a cluster is, and what the connection to it is secured with.

    Attributes
    ----------
    address : str, optional
        As ``tcp://10.0.0.1:8786``.
    file : Path, optional
        Where the scheduler wrote its address.
    tls_ca_file, tls_cert, tls_key : Path, optional
        Without any of them Dask's own configuration decides.
    """

    address: str | None = None
    file: Path | None = None
    tls_ca_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None

    def __str__(self) -> str:
        return self.address or str(self.file)


class Executor(Protocol):
    """Runs tasks, one in each slot.

    The contract: at most `slots` tasks are submitted at a time; for each of them `wait` returns exactly one
    Finished or Lost, sooner or later, whatever becomes of its worker. A lost worker is replaced before its
    slot is used again, and no other task is affected. The executor runs no task a second time. After `close`
    no worker is left of those that the executor has started, and no task runs on any other.
    """

    @property
    def slots(self) -> int:
        """How many tasks run at once; it changes in `wait` only, and is 0 while a cluster has no workers."""
        ...

    @property
    def description(self) -> str:
        """Where tasks run, as a phrase that follows "in"."""
        ...

    @property
    def transfers(self) -> TransferStats:
        """How markets came to other hosts so far."""
        ...

    def submit(self, task: Task) -> None:
        """Start a task in a free slot."""
        ...

    def wait(self, timeout: float) -> list[Finished | Lost]:
        """Return what ended; an empty list after `timeout` seconds without anything, or when `slots` has changed.

        Raises
        ------
        StorageError
            When the disk refuses the parts of a batch.
        """
        ...

    def kill(self, number: int) -> None:
        """Kill the worker of a task; its Lost follows from `wait`."""
        ...

    def close(self) -> None:
        """Kill every worker at once."""
        ...
