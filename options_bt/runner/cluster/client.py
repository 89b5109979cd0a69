"""The cluster as seen by its client: workers that come and go, and the batches that run on them.

All of it runs in the thread of one event loop, the only one to touch this state; events go out through a queue.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import time
from contextlib import AsyncExitStack
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from distributed import Client
from distributed.client import FutureCancelledError

from options_bt.errors import InputError, StorageError
from options_bt.runner.cluster import on_worker
from options_bt.runner.cluster.connection import call, connect, local_cluster
from options_bt.runner.cluster.market_sender import MarketSender
from options_bt.runner.cluster.markets import market_name
from options_bt.runner.cluster.registry import Worker, WorkerRegistry
from options_bt.runner.execution.batch import Result, Task
from options_bt.runner.execution.executor import Lost, Scheduler, TransferStats

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_RESTART_SECONDS = 30
_PATIENCE_SECONDS = 600.0


class Returned(NamedTuple):
    """A task's result, as it came from a worker."""

    task: Task
    result: Result


class WorkerCount(NamedTuple):
    """How many workers may be given batches, and how many are new or being replaced."""

    ready: int = 0
    coming: int = 0


Event = Returned | Lost | WorkerCount | Exception
"""What is reported; after an exception nothing more is."""


class ClusterClient:
    """Runs tasks on the workers of one cluster; its parameters are those of `DaskExecutor`.

    Attributes
    ----------
    events : SimpleQueue of Event
    transfers : TransferStats
        How markets came to each host.
    """

    def __init__(self, scheduler: Scheduler | None, workers: int, cache: Path) -> None:
        self.events: SimpleQueue[Event] = SimpleQueue()
        self.transfers = TransferStats()
        self._scheduler, self._local = scheduler, (workers, cache)
        self._workers, self._markets = WorkerRegistry(), MarketSender(self.transfers)
        self._running: dict[int, tuple[Worker, asyncio.Task[None]]] = {}
        self._count: WorkerCount | None = None
        self._lost_at = 0.0

    async def serve(self) -> None:
        """Connect, and keep track of workers and batches until cancelled; then end the workers that are busy."""
        try:
            async with AsyncExitStack() as stack:
                if self._scheduler:
                    self._client = await connect(self._scheduler)
                else:
                    cluster = await stack.enter_async_context(local_cluster(*self._local))
                    self._client = await Client(cluster, set_as_default=False, asynchronous=True)
                stack.push_async_callback(self._close)
                async with asyncio.TaskGroup() as self._tasks:
                    await self._watch()
        except* Exception as errors:
            self.events.put(errors.exceptions[0])

    def submit(self, task: Task) -> None:
        """Start a task on a free worker, if possible one that holds its market; Returned or Lost follows."""
        busy = {worker.address for worker, _ in self._running.values()}
        if worker := self._workers.choose(str(task.market), busy):
            self._running[task.number] = worker, self._tasks.create_task(self._run(task, worker))
        else:
            self.events.put(Lost(task.number, "its worker left before it began", not_at_fault=True))

    def kill(self, number: int) -> None:
        """Have the worker of a task replaced; the task is lost even if the worker cannot be reached."""
        if number in self._running:
            address = self._running[number][0].address
            self._update(Worker(address, "leaving"))
            self._tasks.create_task(self._replace(address))
            self._end(number, Lost(number, f"the worker {address} was killed"))

    async def _watch(self) -> None:
        while True:
            if self._client.status == "running":
                try:
                    present = frozenset(await self._client.scheduler.ncores())
                except (OSError, RuntimeError):  # Dask's client notices too, and reconnects
                    logger.debug("The scheduler does not answer")
                else:
                    self._seen(present)
            else:
                self._disconnected()
                if self._scheduler and self._client.status == "closed":  # Dask's client has given up
                    await self._reconnect(self._scheduler)
            await asyncio.sleep(_LOOK_SECONDS)

    def _seen(self, present: frozenset[str]) -> None:
        """Prepare the workers that came, and lose the tasks of those that are gone."""
        if self._lost_at:
            logger.info("Connected to the scheduler at %s again", self._scheduler)
            self._lost_at, self._count = 0.0, None
        for address in self._workers.add(present):
            self._tasks.create_task(self._prepare(address))
        fallen = self._workers.delete_absent(present)
        self._report_workers()
        for number, (worker, _) in list(self._running.items()):
            if worker.host in fallen:  # a batch does not take every worker of a host with it
                self._end(number, Lost(number, f"every worker of {worker.host[0]} is gone", not_at_fault=True))
            elif worker.address not in present:
                self._end(number, Lost(number, f"the worker {worker.address} is gone"))

    def _disconnected(self) -> None:
        """Lose every task; which workers are left is seen when the connection is back."""
        if not self._lost_at:
            logger.warning("Lost connection to the scheduler at %s; waiting for it", self._scheduler)
            self._lost_at = time.monotonic()
        self._workers.delete_absent(())
        self._report_workers()
        for number in list(self._running):
            self._end(number, Lost(number, "lost connection to the scheduler", not_at_fault=True))

    async def _reconnect(self, scheduler: Scheduler) -> None:
        """Try once; give up when the scheduler has been gone for long."""
        try:
            self._client = await connect(scheduler)
        except InputError as error:
            if time.monotonic() - self._lost_at > _PATIENCE_SECONDS:
                raise InputError(f"{error}. Finished backtests are kept; run the same command to resume") from None

    async def _prepare(self, address: str) -> None:
        try:
            versions, cache = await call(self._client, address, on_worker.prepare)
        except FutureCancelledError:
            self._workers.delete(address)  # to be prepared when it is seen again
        except Exception as error:
            self._reject(address, f"it cannot run options-bt here: {type(error).__name__}: {error}")
        else:
            if different := on_worker.differences(versions):
                self._reject(address, f"it has {different}")
            else:
                self._update(Worker(address, "ready", cache))

    def _reject(self, address: str, why: str) -> None:
        logger.warning("The worker %s gets no batches: %s", address, why)
        self._update(Worker(address, "rejected", rejection=why))

    def _update(self, worker: Worker) -> None:
        self._workers.update(worker)
        self._report_workers()

    def _report_workers(self) -> None:
        """Report how many workers there are, if that has changed; give up when all of them are rejected."""
        those = self._workers.those
        count = WorkerCount(len(those("ready")), len(those("new", "leaving")))
        if count == self._count:
            return
        self._count = count
        self.events.put(count)
        if any(count) or self._lost_at:
            return
        cluster = self._scheduler or "the local cluster"
        if rejected := those("rejected"):
            raise InputError(
                f"none of the {len(rejected)} workers of {cluster} can be used; {rejected[0].address}: "
                f"{rejected[0].rejection}. Install the same versions there and restart the workers; finished "
                "backtests are kept, run the same command to resume"
            )
        logger.warning("%s has no workers; waiting for some, start them with `options-bt worker`", cluster)

    async def _run(self, task: Task, worker: Worker) -> None:
        number, arguments = task.number, (on_worker.run, market_name(task.market), pickle.dumps((task, task.job)))
        began = True
        try:
            while (result := await call(self._client, worker.address, *arguments)) is None:
                began = False
                await self._markets.provide(self._client, worker, task.market)
                began = True
        except FutureCancelledError as error:
            if self._client.status != "running":
                self._disconnected()
            self._end(number, Lost(number, str(error), not_at_fault=True))
        except Exception as error:
            # A batch that was cut off while it waited for its market is not at fault.
            if isinstance(error, StorageError) and not began:
                self._reject(worker.address, str(error))
            reason = f"on {worker.address}: {type(error).__name__}: {error}"
            self._end(number, Lost(number, reason, not_at_fault=not began))
        else:
            self._end(number, Returned(task, result))

    def _end(self, number: int, event: Returned | Lost) -> None:
        """Report how a task ended, and drop its call."""
        if number in self._running:
            self._running.pop(number)[1].cancel()
            self.events.put(event)

    async def _replace(self, address: str) -> None:
        """Have a worker's process replaced: what has its address afterwards is a new one."""
        try:
            await self._client.restart_workers([address], timeout=_RESTART_SECONDS, raise_for_error=False)
        except Exception as error:  # it is gone already, cannot be reached, or has no nanny: it gets no batches
            logger.debug("%s could not be restarted: %s", address, error)
        else:
            self._workers.delete(address)

    async def _close(self) -> None:
        if self._scheduler and self._client.status == "running":
            await asyncio.gather(*(self._replace(worker.address) for worker, _ in self._running.values()))
        await self._client.close()
