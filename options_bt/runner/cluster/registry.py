"""The workers of a cluster: who is there, who may be given batches, and what each host holds."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Collection
from typing import Literal, NamedTuple

logger = logging.getLogger(__name__)

Host = tuple[str, str]
"""An address without its port, and a cache folder: workers that have both in common share markets."""
State = Literal["new", "ready", "rejected", "leaving"]


class Worker(NamedTuple):
    """A worker that the scheduler knows.

    Attributes
    ----------
    state : str
        ``new`` until it has told its versions; ``leaving`` while its process is replaced.
    cache : str
        The folder that a ready worker reads markets from.
    rejection : str
        Why a rejected worker gets no batches.
    market : str
        The one that it ran last.
    """

    address: str
    state: State = "new"
    cache: str = ""
    rejection: str = ""
    market: str = ""

    @property
    def host(self) -> Host:
        """The host that it shares markets with.

        Examples
        --------
        >>> Worker("tcp://10.0.0.7:40113", cache="/var/cache").host
        ('10.0.0.7', '/var/cache')
        """
        return self.address.partition("://")[2].rpartition(":")[0], self.cache


class WorkerRegistry:
    """The workers by their addresses, and the markets that each host was given batches of."""

    def __init__(self) -> None:
        self._workers: dict[str, Worker] = {}
        self._held: defaultdict[Host, set[str]] = defaultdict(set)

    def those(self, *states: State) -> list[Worker]:
        """Return the workers in any of these states."""
        return [worker for worker in self._workers.values() if worker.state in states]

    def add(self, present: Collection[str]) -> list[str]:
        """Return the addresses that were not seen before, whose workers are new."""
        new = [address for address in present if address not in self._workers]
        self._workers |= {address: Worker(address) for address in new}
        return new

    def update(self, worker: Worker) -> None:
        """Replace what is known of the worker at an address."""
        self._workers[worker.address] = worker

    def delete(self, address: str) -> None:
        """Take whoever is seen at this address from now on for a new worker."""
        self._workers.pop(address, None)

    def delete_absent(self, present: Collection[str]) -> set[Host]:
        """Delete the workers that are not present; return the hosts that lost several and have none left."""
        lost = Counter(worker.host for worker in self.those("ready") if worker.address not in present)
        for address in self._workers.keys() - present:
            logger.debug("The worker %s is gone", address)
            self.delete(address)
        return {host for host, count in lost.items() if count > 1} - {worker.host for worker in self.those("ready")}

    def choose(self, market: str, busy: Collection[str]) -> Worker | None:
        """Return a free worker for a batch: one that ran this market last, else one whose host holds it."""

        def fitness(worker: Worker) -> tuple[bool, bool, int]:
            held = self._held[worker.host]
            return worker.market == market, market in held, -len(held)

        free = (worker for worker in self.those("ready") if worker.address not in busy)
        chosen = max(free, key=fitness, default=None)
        if chosen:
            self._held[chosen.host].add(market)
            self.update(chosen._replace(market=market))
        return chosen
