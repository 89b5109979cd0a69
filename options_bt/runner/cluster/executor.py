"""The Dask executor: a batch at a time on each worker of a cluster."""

from __future__ import annotations

import logging
import pickle
import time
from collections.abc import Collection
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from pathlib import Path
from queue import Empty
from typing import Any, NamedTuple

from options_bt.errors import InputError
from options_bt.runner.cluster.client import (
    DISCONNECTED,
    Closed,
    Conversation,
    Disconnected,
    Ended,
    Greeted,
    News,
    Present,
    Unfit,
)
from options_bt.runner.cluster.connection import connected, local_cluster
from options_bt.runner.cluster.on_worker import Hello
from options_bt.runner.cluster.registry import Host, Member, Members
from options_bt.runner.cluster.versions import differing
from options_bt.runner.execution.batch import Result, Task, store_result
from options_bt.runner.execution.executor import Finished, Lost, Scheduler, TransferStats

logger = logging.getLogger(__name__)

_GREETING_SECONDS = 60.0
_PATIENCE_SECONDS = 600.0


class _Flight(NamedTuple):
    member: Member
    said: Future[None]
    folder: Path


class Dask:
    """Runs tasks on the workers of a Dask cluster, which may come and go.

    The worker of a task is chosen here and not by Dask's scheduler: so a batch begins when it is submitted, and it is
    known whom to end when it takes too long.

    Parameters
    ----------
    scheduler : Scheduler, optional
        Of the cluster; without one a local cluster is started.
    workers : int
        How many worker processes a local cluster has.
    cache : Path
        Where the workers of a local cluster find markets.

    Attributes
    ----------
    slots : int
        How many workers there were when `wait` ended.
    transfers : TransferStats
    """

    def __init__(self, scheduler: Scheduler | None, workers: int, cache: Path) -> None:
        self._scheduler = scheduler
        self._local = ExitStack()
        self._cluster: Any = None if scheduler else self._local.enter_context(local_cluster(workers, cache))
        self._members = Members()
        self._flights: dict[int, _Flight] = {}
        self._alone, self._gone_since = False, 0.0
        self.transfers = TransferStats()
        self._connect()
        try:
            self._await(1 if scheduler else workers)
        except BaseException:
            self.close()
            raise
        self.slots = len(self._members)

    @property
    def description(self) -> str:
        """Where tasks run."""
        workers = f"{self.slots} worker{'' if self.slots == 1 else 's'}"
        return f"the Dask cluster of {self._scheduler or 'this machine'}, {workers}"

    def submit(self, task: Task) -> None:
        """Start a task on a free worker, of those that hold its market if there is one."""
        busy = {flight.member.address for flight in self._flights.values()}
        member = self._members.choose(str(task.market), busy)
        if member is None:
            raise RuntimeError(f"batch {task.number} was submitted while no worker was free")
        said = self._conversation.run(task.number, member, task.market, pickle.dumps((task, task.job)))
        self._flights[task.number] = _Flight(member, said, task.folder)

    def wait(self, timeout: float) -> list[Finished | Lost]:
        """Return what ended within `timeout` seconds."""
        events = [event for news in self._news(timeout) for event in self._learnt(news)]
        self._require_workers()
        self.slots = len(self._members)
        return events

    def kill(self, number: int) -> None:
        """Have the worker of a task replaced; the task is lost also where the worker cannot be reached."""
        flight = self._flights[number]
        self._members.end(flight.member.address)
        self._conversation.end(flight.member.address)
        self._conversation.news.put(Lost(number, f"the worker {flight.member.address} was ended"))

    def close(self) -> None:
        """End the workers that run something, or of a local cluster every worker."""
        self._conversation.close()
        if self._cluster is None and self._client.status == "running":
            ending = [self._conversation.end(flight.member.address) for flight in self._flights.values()]
            for ended in ending:
                with suppress(Exception):  # what cannot be reached cannot be ended
                    ended.result(_GREETING_SECONDS)
        self._client.close()
        self._local.close()

    def _connect(self) -> None:
        self._client = connected(self._scheduler) if self._scheduler else self._cluster.get_client()
        self._conversation = Conversation(self._client, self.transfers)

    def _await(self, workers: int) -> None:
        """Wait until so many workers are here, and all that came so far have said who they are."""
        deadline = time.monotonic() + _GREETING_SECONDS
        while time.monotonic() < deadline and (len(self._members) < workers or self._members.asked):
            looked = self._news(deadline - time.monotonic())
            for news in looked:
                self._learnt(news)
            self._require_workers()
            if self._scheduler and any(isinstance(news, Present) and not news.addresses for news in looked):
                break

    def _news(self, timeout: float) -> list[News]:
        news: list[News] = []
        with suppress(Empty):
            news.append(self._conversation.news.get(timeout=max(timeout, 0)))
            while True:
                news.append(self._conversation.news.get_nowait())
        return news

    def _learnt(self, news: News) -> list[Finished | Lost]:
        """Return what a piece of news says of tasks that are in flight."""
        match news:
            case Present(addresses):
                return self._seen(addresses)
            case Greeted(address, answer):
                self._greeted(address, answer)
            case Unfit(address, reason):
                self._refuse(address, reason)
            case Ended(address):
                self._members.ended(address)
            case Disconnected():
                return self._all_lost()
            case Closed():
                return self._reconnected()
            case Result() if flight := self._flights.pop(news.number, None):
                return [Finished(store_result(news, flight.folder))]
            case Lost(number) if flight := self._flights.pop(number, None):
                flight.said.cancel()
                return [news]
        return []

    def _seen(self, present: frozenset[str]) -> list[Finished | Lost]:
        """Greet workers that came; return the tasks of those that are gone."""
        for address in self._members.newcomers(present):
            self._conversation.greet(address)
        fallen = self._members.leave(present)
        lost = {number: flight for number, flight in self._flights.items() if flight.member.address not in present}
        for number, flight in lost.items():
            flight.said.cancel()
            del self._flights[number]
        return [_lost(number, flight.member, fallen) for number, flight in lost.items()]

    def _greeted(self, address: str, answer: Hello | str) -> None:
        if isinstance(answer, Hello):
            if faults := differing(answer.versions):
                self._refuse(address, f"it has {faults}")
            else:
                self._members.welcome(address, answer.cache)
        else:
            self._refuse(address, answer)

    def _refuse(self, address: str, why: str) -> None:
        logger.warning("The worker %s gets no batches: %s", address, why)
        self._members.refuse(address, why)

    def _require_workers(self) -> None:
        """Say when there is no worker; give up when there are some, and none can be used."""
        if self._members or self._members.asked:
            self._alone = False
        elif self._members.refused:
            address, why = next(iter(self._members.refused.items()))
            count = len(self._members.refused)
            raise InputError(
                f"none of the {count} workers of {self._scheduler} can be used; {address}: {why}. Install the same "
                "versions there and start the workers again; what was done is kept, and the same command goes on"
            )
        elif not self._alone:
            self._alone = True
            logger.warning(
                "%s has no worker now; waiting for some, which `options-bt worker` starts",
                self._scheduler or "The cluster",
            )

    def _reconnected(self) -> list[Finished | Lost]:
        """Connect again to a scheduler that was gone; give up after a while."""
        if not self._gone_since:
            logger.warning("The scheduler at %s is gone; waiting for it", self._scheduler)
            self._gone_since = time.monotonic()
        lost = self._all_lost()
        try:
            self._connect()
        except InputError as error:
            if time.monotonic() - self._gone_since > _PATIENCE_SECONDS:
                raise InputError(f"{error}. What was done is kept, and the same command goes on") from None
            self._conversation.news.put(Closed())
        else:
            self._gone_since = 0.0
            logger.info("The scheduler at %s is back", self._scheduler)
        return lost

    def _all_lost(self) -> list[Finished | Lost]:
        """Return every task in flight; and nobody is known any more."""
        self._members.leave(())
        flights, self._flights = self._flights, {}
        for flight in flights.values():
            flight.said.cancel()
        return [Lost(number, DISCONNECTED, not_at_fault=True) for number in flights]


def _lost(number: int, member: Member, fallen: Collection[Host]) -> Lost:
    """Say that a worker is gone; a batch does not take a host's every worker with it, so that it is not to blame."""
    if member.host in fallen:
        return Lost(number, f"every worker of {member.host[0]} is gone", not_at_fault=True)
    return Lost(number, f"the worker {member.address} is gone")
