"""The slots executor: a ProcessPoolExecutor of one worker for each batch that runs at the same time.

A pool of N workers fails every batch when one worker dies; a slot loses only its own. A worker killed in the middle of
a large answer would leave the pool waiting for the rest: answers are receipts, which a pipe takes in one piece.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait as wait_for
from multiprocessing.context import SpawnContext, SpawnProcess
from signal import Signals
from typing import Any

from options_bt.engine.compiling import warm_up
from options_bt.errors import InputError
from options_bt.runner.execution.batch import Answer, Task, run_task
from options_bt.runner.execution.executor import Finished, Lost, TransferStats, ended
from options_bt.runner.execution.worker_process import ONE_THREAD, environment, initialize_worker
from options_bt.runner.signals import hold_interrupts

_LOST_SECONDS = 2.0
"""So long after its process is gone a batch without an answer is lost: submitting can miss that the pool breaks."""
_EXIT_SECONDS = 5.0
_START_SECONDS = 600.0
"""In which a worker that is not stuck has loaded, even where it compiles the engine on a busy machine."""
_FAILED_STARTS, _KILLED_STARTS = 3, 30
"""In a row, after which it is not by chance that workers end, or are killed by a signal."""


class Slots:
    """Runs tasks in worker processes.

    A slot counts from when its worker has loaded, so that no task waits for the start of a process.

    Parameters
    ----------
    workers : int
        The cap on workers.
    run : callable
        Runs a task in a worker.
    load : callable
        What a worker loads when it starts.
    """

    def __init__(
        self, workers: int, run: Callable[[Task], Answer] = run_task, load: Callable[[], object] = warm_up
    ) -> None:
        self.slots, self.description, self.transfers = 0, f"{workers} worker processes", TransferStats()
        self._run, self._load = run, load
        self._starting = [_Slot(load) for _ in range(workers)]
        self._free: list[_Slot] = []
        self._busy: dict[int, _Slot] = {}
        self._failed_starts = 0

    @property
    def worker_ids(self) -> list[int]:
        """The process id of each worker."""
        return [slot.process.pid or 0 for slot in (*self._starting, *self._free, *list(self._busy.values()))]

    def submit(self, task: Task) -> None:
        """Start a task in a free slot."""
        slot = self._busy[task.number] = self._free.pop()
        slot.submit(self._run, task)

    def wait(self, timeout: float) -> list[Finished | Lost]:
        """Return what ended within `timeout` seconds.

        Raises
        ------
        InputError
            When one worker after the other ends before it has loaded.
        """
        futures = [slot.future for slot in (*self._starting, *self._busy.values())]
        if futures:
            wait(futures, timeout, FIRST_COMPLETED)
        else:
            time.sleep(timeout)
        for slot in list(self._starting):
            if slot.has_ended():
                self._started(slot)
            elif time.monotonic() - slot.created_at > _START_SECONDS:
                slot.process.kill()
        events = [self._ended(number) for number, slot in list(self._busy.items()) if slot.has_ended()]
        self.slots = len(self._free) + len(self._busy)
        return events

    def _started(self, slot: _Slot) -> None:
        self._starting.remove(slot)
        if slot.is_alive():
            self._failed_starts = 0
            self._free.append(slot)
            return
        slot.close()
        self._failed_starts += 1
        if self._failed_starts > (_FAILED_STARTS if slot.exit_code() >= 0 else _KILLED_STARTS):
            raise InputError(
                f"worker processes cannot start: {slot.exit_reason()}; a script that runs jobs with several workers "
                'has to do so below `if __name__ == "__main__":`, and --workers 1 needs no other process'
            )
        self._starting.append(_Slot(self._load))

    def _ended(self, number: int) -> Finished | Lost:
        slot = self._busy.pop(number)
        try:
            answer = slot.future.result(0)
        except (BrokenProcessPool, TimeoutError):
            slot.close()
            self._starting.append(_Slot(self._load))
            return Lost(number, slot.exit_reason(), not_at_fault=slot.was_broken)
        self._free.append(slot)
        return ended(number, answer)

    def kill(self, number: int) -> None:
        """Kill the worker of a task."""
        self._busy[number].process.kill()

    def close(self) -> None:
        """Kill every worker."""
        for slot in (*self._starting, *self._free, *self._busy.values()):
            slot.close()


class _SpawnContext(SpawnContext):
    """Spawns, since forking a process that runs polars' threads can deadlock, and keeps the process that it made.

    `multiprocessing.active_children` would not have one that was killed as soon as it started.
    """

    process: SpawnProcess

    def Process(self, *args: Any, **kwargs: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802  # a class there
        self.process = SpawnProcess(*args, **kwargs)
        return self.process


class _Slot:
    """One worker process, in a pool of its own.

    Attributes
    ----------
    future : Future
        Of the last task, or before any of loading.
    created_at : float
        By `time.monotonic`.
    was_broken : bool
        Whether the worker had died before that task reached it.
    """

    def __init__(self, load: Callable[[], object]) -> None:
        context = _SpawnContext()
        self._pool = ProcessPoolExecutor(1, mp_context=context, initializer=initialize_worker)
        self.was_broken = False
        self.created_at, self._gone_at = time.monotonic(), 0.0
        with environment(ONE_THREAD), hold_interrupts():
            self.future: Future[Any] = self._pool.submit(load)  # the first submit starts the process
        self.process = context.process

    def submit(self, run: Callable[[Task], Answer], task: Task) -> None:
        try:
            self.future = self._pool.submit(run, task)
        except BrokenProcessPool as error:
            self.future, self.was_broken = Future(), True
            self.future.set_exception(error)

    def is_alive(self) -> bool:
        return not wait_for([self.process.sentinel], 0)

    def has_ended(self) -> bool:
        """Return whether the task has ended, or never will since its process is gone."""
        if self.future.done():
            return True
        if self.is_alive():
            return False
        self._gone_at = self._gone_at or time.monotonic()
        return time.monotonic() - self._gone_at > _LOST_SECONDS

    def close(self) -> None:
        self.process.kill()
        self._pool.shutdown(wait=False, cancel_futures=True)
        wait_for([self.process.sentinel], _EXIT_SECONDS)

    def exit_code(self) -> int:
        """Return the exit code of a closed worker, negative for a signal."""
        deadline = time.monotonic() + _EXIT_SECONDS
        # The pool's thread may be reaping the process: then its exit code is there a moment later.
        while self.process.exitcode is None and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.process.exitcode or 0

    def exit_reason(self) -> str:
        """Return how a closed worker ended."""
        code = self.exit_code()
        return (
            f"the worker process ended with exit code {code}"
            if code >= 0
            else f"the worker process was killed by {Signals(-code).name}"
        )
