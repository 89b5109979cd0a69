"""The slots executor: a worker process for each batch in flight, each with a pipe of its own.

A pool of N workers loses every batch when one worker dies; a slot loses only its own. The pipes are our own too:
concurrent.futures keeps the writing end of its result queue open in this process, so that a worker killed in the
middle of its result leaves it waiting for the rest for ever. Here the end of a worker is the end of its pipe.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from options_bt.runner.execution.batch import Result, Task, run_batch
from options_bt.runner.execution.executor import Brought, Finished, Lost
from options_bt.runner.execution.process_env import without_blas
from options_bt.runner.signals import ignore_interrupts, interrupts_held

_THREADS = ("POLARS_MAX_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
ONE_THREAD = dict.fromkeys(_THREADS, "1")
"""The variables that a worker process is started with: as many of them as there are cores fill these already."""


class Slots:
    """Runs tasks in worker processes.

    Parameters
    ----------
    slots : int
    """

    def __init__(self, slots: int) -> None:
        self.slots, self.place, self.brought = slots, f"{slots} worker processes", Brought()
        self._free = [_Worker() for _ in range(slots)]
        self._busy: dict[int, _Worker] = {}

    def submit(self, task: Task) -> None:
        """Start a task in a free slot."""
        worker = self._free.pop()
        self._busy[task.number] = worker
        worker.send(task)

    def wait(self, timeout: float) -> list[Finished | Lost]:
        """Return what ended within `timeout` seconds."""
        numbers = {worker.pipe: number for number, worker in self._busy.items()}
        ready = connection.wait(list(numbers), timeout)
        return [self._ended(number) for pipe, number in numbers.items() if pipe in ready]

    def _ended(self, number: int) -> Finished | Lost:
        worker = self._busy.pop(number)
        try:
            answer = worker.pipe.recv()
        except (EOFError, OSError):
            worker.close()
            self._free.append(_Worker())
            return Lost(number, worker.epitaph())
        self._free.append(worker)
        return Finished(answer) if isinstance(answer, Result) else Lost(number, str(answer))

    def kill(self, number: int) -> None:
        """Kill the worker of a task."""
        self._busy[number].process.kill()

    def close(self) -> None:
        """Kill every worker."""
        for worker in [*self._free, *self._busy.values()]:
            worker.close()


class _Worker:
    """One worker process, and our end of its pipe."""

    def __init__(self) -> None:
        # Forking a process that runs polars' threads can deadlock.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs,), daemon=True)
        with _environment(ONE_THREAD), interrupts_held():
            self.process.start()
        theirs.close()  # so that the worker's end is the only one

    def send(self, task: Task) -> None:
        with suppress(BrokenPipeError):  # it is dead already, and its pipe says so
            self.pipe.send(task)

    def close(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()

    def epitaph(self) -> str:
        """Return how a closed worker ended."""
        code = self.process.exitcode
        if code is None or code >= 0:
            return f"the worker process ended with exit code {code}"
        return f"the worker process was killed by {signal.Signals(-code).name}"


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _work(pipe: Connection) -> None:
    """Answer each task with its result, or with the reason why it could not be run."""
    ignore_interrupts()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    without_blas()
    with suppress(EOFError, BrokenPipeError):  # the coordinator is gone
        while True:
            task = pipe.recv()
            try:
                answer: Result | str = run_batch(task)
            except Exception as error:
                answer = f"{type(error).__name__}: {error}"
            pipe.send(answer)


def _die_with(parent: BaseProcess) -> None:
    with suppress(OSError):
        connection.wait([parent.sentinel])
    os._exit(1)
