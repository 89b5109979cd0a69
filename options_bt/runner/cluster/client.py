"""What is said to a cluster, in the thread of Dask's client; what comes of it is put on a queue."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple
from uuid import uuid4

from distributed.client import FutureCancelledError

from options_bt.runner.cluster import on_worker
from options_bt.runner.cluster.markets import market_name, packed
from options_bt.runner.cluster.registry import Host, Member
from options_bt.runner.execution.batch import Result
from options_bt.runner.execution.executor import Lost, TransferStats

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
DISCONNECTED = "the connection to the scheduler was lost"
_SENT_AT_ONCE = 4
_RESTART_SECONDS = 30
_STORE_AGAIN_SECONDS = 60


class Present(NamedTuple):
    """The addresses of the workers that the scheduler knows."""

    addresses: frozenset[str]


class Greeted(NamedTuple):
    """What a new worker said of itself, or why it could not."""

    address: str
    answer: on_worker.Hello | str


class Unfit(NamedTuple):
    """A worker cannot be used any more."""

    address: str
    reason: str


class Ended(NamedTuple):
    """A worker was told to restart: what has its address from now on is a new one."""

    address: str


class Disconnected(NamedTuple):
    """The connection to the scheduler broke; Dask's client makes a new one, and nobody is known there any more."""


class Closed(NamedTuple):
    """The scheduler is gone, and Dask's client has given up."""


News = Present | Greeted | Unfit | Ended | Disconnected | Closed | Result | Lost


class _CannotKeepError(Exception):
    """A worker cannot keep the market that was sent to it."""


class Conversation:
    """Talks to the workers of one cluster.

    Parameters
    ----------
    client : distributed.Client
    brought : TransferStats
        Where the markets that come to each host are counted.

    Attributes
    ----------
    news : SimpleQueue of News
    """

    def __init__(self, client: Any, brought: TransferStats) -> None:
        self.news: SimpleQueue[News] = SimpleQueue()
        self._brought = brought
        self._client = client
        self._loop: asyncio.AbstractEventLoop = client.loop.asyncio_loop
        self._locks: defaultdict[tuple[Host, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._sending = asyncio.Semaphore(_SENT_AT_ONCE)
        self._without_store: dict[Host, float] = {}
        self._looking = self._start(self._look())

    def greet(self, address: str) -> None:
        """Ask a worker who it is; `Greeted` follows."""
        self._start(self._greet(address))

    def run(self, number: int, member: Member, folder: Path, task: bytes) -> Future[None]:
        """Run a batch on a worker, whose host is brought the market if it lacks it; Finished or Lost follows."""
        return self._start(self._run(number, member, folder, task))

    def end(self, address: str) -> Future[None]:
        """Have a worker's process replaced; `Ended` follows."""
        return self._start(self._end(address))

    def close(self) -> None:
        """Stop looking for workers."""
        self._looking.cancel()

    def _start(self, said: Coroutine[Any, Any, None]) -> Future[None]:
        return asyncio.run_coroutine_threadsafe(said, self._loop)

    async def _look(self) -> None:
        while self._client.status not in ("closing", "closed"):
            if self._client.status == "running":
                try:
                    self.news.put(Present(frozenset(await self._client.scheduler.ncores())))
                except OSError:  # the client notices too, and connects again
                    logger.debug("The scheduler does not answer")
            await asyncio.sleep(LOOK_SECONDS)
        self.news.put(Closed())

    async def _greet(self, address: str) -> None:
        try:
            answer = await self._call(address, on_worker.hello)
        except FutureCancelledError:
            self.news.put(Disconnected())
        except Exception as error:
            self.news.put(Greeted(address, f"it cannot run options-bt here: {type(error).__name__}: {error}"))
        else:
            self.news.put(Greeted(address, answer))

    async def _run(self, number: int, member: Member, folder: Path, task: bytes) -> None:
        market, brought = market_name(folder), True
        try:
            answer = await self._call(member.address, on_worker.run, market, task)
            if isinstance(answer, on_worker.Missing):
                brought = False
                await self._bring(member, market, folder)
                brought = True
                answer = await self._call(member.address, on_worker.run, market, task)
        except FutureCancelledError:
            self.news.put(Disconnected())
            self.news.put(Lost(number, DISCONNECTED, not_at_fault=True))
        except _CannotKeepError as error:
            self.news.put(Unfit(member.address, str(error)))
            self.news.put(Lost(number, str(error), not_at_fault=True))
        except Exception as error:
            # A batch that was cut off while it waited for its market had not begun.
            self.news.put(Lost(number, f"{type(error).__name__}: {error}", not_at_fault=not brought))
        else:
            if isinstance(answer, Result):
                self.news.put(answer)
            else:
                self.news.put(Lost(number, f"the worker {member.address} could not run it: {answer}"))

    async def _bring(self, member: Member, market: str, folder: Path) -> None:
        """Bring a market to a host that lacks it; the batches of a host that ask for one wait for each other."""
        async with self._locks[member.host, market]:
            if await self._call(member.address, on_worker.holds, market) or await self._fetched(member, market):
                return
            async with self._sending:
                data = await asyncio.to_thread(packed, folder)
                (sent,) = await self._client.scatter([data], workers=[member.address], hash=False)
                if why := await self._call(member.address, on_worker.keep, market, sent):
                    raise _CannotKeepError(why)
        host, symbol = member.host[0], folder.parent.name
        self._brought.sent[host] += 1
        self._brought.size[host] += len(data)
        extra = {"symbol": symbol, "host": host, "bytes": len(data)}
        logger.debug("%s: %d bytes sent to %s", symbol, len(data), host, extra=extra)

    async def _fetched(self, member: Member, market: str) -> bool:
        """Have a host read a market from its store; one that cannot be read is left alone for a while."""
        if self._loop.time() < self._without_store.get(member.host, 0.0):
            return False
        host = member.host[0]
        answer: bool | str = await self._call(member.address, on_worker.fetch, market)
        if isinstance(answer, str):
            level = logging.DEBUG if member.host in self._without_store else logging.WARNING
            logger.log(level, "%s: %s; markets are sent there instead", host, answer)
            self._without_store[member.host] = self._loop.time() + _STORE_AGAIN_SECONDS
            return False
        if answer:
            self._brought.stored[host] += 1
            logger.debug("%s has read %s from its store", host, market, extra={"host": host})
        return answer

    async def _end(self, address: str) -> None:
        try:
            await self._client.restart_workers([address], timeout=_RESTART_SECONDS, raise_for_error=False)
        except Exception as error:  # it is gone already, cannot be reached, or has no nanny: it gets no batches
            logger.debug("%s could not be restarted: %s", address, error)
        else:
            self.news.put(Ended(address))

    async def _call(self, address: str, function: Callable[..., Any], *arguments: Any) -> Any:
        # On this worker or on none: a batch whose worker dies is the schedule's to try again, one job at a time, and
        # not Dask's, which would give it to one worker after the other.
        return await self._client.submit(
            function,
            *arguments,
            key=f"options-bt-{function.__name__}-{uuid4().hex}",
            workers=[address],
            allow_other_workers=False,
            retries=0,
            pure=False,
        )
