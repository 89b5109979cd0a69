"""The Dask executor: a batch at a time on each worker of a cluster."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from queue import Empty
from threading import Thread

from options_bt.runner.cluster.client import ClusterClient, Returned, WorkerCount
from options_bt.runner.execution.batch import Task, store_result
from options_bt.runner.execution.executor import Finished, Lost, Scheduler
from options_bt.runner.signals import hold_interrupts

_START_SECONDS = 120.0  # a first start compiles the engine


class DaskExecutor:
    """Runs tasks on the workers of a Dask cluster, which may come and go.

    The worker of a task is chosen here and not by Dask's scheduler: so a batch begins when it is submitted, and it is
    known which worker to kill when it takes too long.

    Parameters
    ----------
    scheduler : Scheduler, optional
        Of the cluster; without one a local cluster is started.
    workers : int
        How many worker processes a local cluster has.
    cache : Path
        Where the workers of a local cluster find markets.

    Raises
    ------
    InputError
        When the scheduler does not answer, or all of its workers are rejected; `wait` raises it too.
    """

    def __init__(self, scheduler: Scheduler | None, workers: int, cache: Path) -> None:
        self._scheduler = scheduler
        self._client = ClusterClient(scheduler, workers, cache)
        self.transfers = self._client.transfers
        self._workers = WorkerCount()
        self._loop = asyncio.new_event_loop()
        self._serving = self._loop.create_task(self._client.serve())
        self._thread = Thread(target=self._run_loop, daemon=True)
        with hold_interrupts():  # for the thread and all processes that it starts, as long as they live
            self._thread.start()
        try:
            self._await_workers(0 if scheduler else workers)
        except BaseException:
            self.close()
            raise

    @property
    def slots(self) -> int:
        """How many workers there were when `wait` ended."""
        return self._workers.ready

    @property
    def description(self) -> str:
        """Where tasks run."""
        workers = f"{self.slots} worker{'' if self.slots == 1 else 's'}"
        return f"the Dask cluster of {self._scheduler or 'this machine'}, {workers}"

    def submit(self, task: Task) -> None:
        """Start a task on a free worker, of those that hold its market if there is one."""
        self._loop.call_soon_threadsafe(self._client.submit, task)

    def wait(self, timeout: float) -> list[Finished | Lost]:
        """Return what ended within `timeout` seconds, its parts stored."""
        ended: list[Finished | Lost] = []
        with suppress(Empty):
            event = self._client.events.get(timeout=max(timeout, 0))
            while True:
                match event:
                    case Returned(task, result):
                        ended.append(Finished(store_result(result, task.folder)))
                    case Lost():
                        ended.append(event)
                    case WorkerCount():
                        self._workers = event
                    case error:
                        raise error
                event = self._client.events.get_nowait()
        return ended

    def kill(self, number: int) -> None:
        """Have the worker of a task replaced; the task is lost even if the worker cannot be reached."""
        self._loop.call_soon_threadsafe(self._client.kill, number)

    def close(self) -> None:
        """End the workers that run something, or every worker of a local cluster."""
        with suppress(RuntimeError):  # the loop is closed: it ended with an error
            self._loop.call_soon_threadsafe(self._serving.cancel)
        self._thread.join()

    def _run_loop(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(asyncio.wait([self._serving]))

    def _await_workers(self, wanted: int) -> None:
        """Wait until so many workers are ready, and all that came have told their versions."""
        self.wait(_START_SECONDS)
        deadline = time.monotonic() + _START_SECONDS
        while (self._workers.coming or self.slots < wanted) and time.monotonic() < deadline:
            self.wait(deadline - time.monotonic())
