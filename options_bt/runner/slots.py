"""The slots executor: a pool of one worker process for each batch in flight.

A single pool of N workers loses every batch when one worker dies; a slot loses only its own.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import connection
from multiprocessing.process import BaseProcess

from options_bt.runner.batch import Result, Task, run_batch
from options_bt.runner.executor import Finished, Lost

# One thread a worker: the slots already fill the cores.
_ONE_THREAD = ("POLARS_MAX_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Slots:
    """Runs tasks in worker processes of their own.

    Parameters
    ----------
    slots : int
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._free = [_Slot() for _ in range(slots)]
        self._busy: dict[Future[Result], tuple[int, _Slot]] = {}

    def submit(self, task: Task) -> None:
        """Start a task in a free slot."""
        slot = self._free.pop()
        self._busy[slot.submit(task)] = task.number, slot

    def wait(self, timeout: float) -> list[Finished | Lost]:
        """Give what ended within `timeout` seconds."""
        done, _ = wait(self._busy, timeout, FIRST_COMPLETED)
        return [self._ended(future) for future in done]

    def _ended(self, future: Future[Result]) -> Finished | Lost:
        number, slot = self._busy.pop(future)
        try:
            result = future.result()
        except BrokenProcessPool:
            slot.close()
            self._free.append(_Slot())
            return Lost(number, slot.epitaph())
        except Exception as error:
            self._free.append(slot)
            return Lost(number, f"{type(error).__name__}: {error}")
        self._free.append(slot)
        return Finished(result)

    def kill(self, number: int) -> None:
        """Kill the worker of a task."""
        for other, slot in self._busy.values():
            if other == number:
                slot.kill()

    def close(self) -> None:
        """Kill every worker."""
        for slot in [*self._free, *(slot for _, slot in self._busy.values())]:
            slot.close()


class _Slot:
    """One worker process and the pool that feeds it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, mp_context=context, initializer=_prepare_worker)
        self._process: BaseProcess | None = None

    def submit(self, task: Task) -> Future[Result]:
        known = set(multiprocessing.active_children())
        with _environment(dict.fromkeys(_ONE_THREAD, "1")):
            future = self._pool.submit(run_batch, task)
        if self._process is None:
            self._process = next(iter(set(multiprocessing.active_children()) - known), None)
        return future

    def epitaph(self) -> str:
        """Say how the worker of a closed slot ended."""
        if self._process is None:
            return "the worker process could not be started"
        code = self._process.exitcode
        if code is None or code >= 0:
            return f"the worker process ended with exit code {code}"
        return f"the worker process was killed by {signal.Signals(-code).name}"

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        self.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)


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


def _prepare_worker() -> None:
    # Ctrl-C reaches the whole terminal; only the coordinator answers it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent,), daemon=True).start()


def _die_with(parent: BaseProcess) -> None:
    with suppress(OSError):
        connection.wait([parent.sentinel])
    os._exit(1)
