"""The workers of a cluster, as they come, are welcomed or refused, and go."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from typing import NamedTuple

Host = tuple[str, str]
"""An address without its port, and a cache folder: workers that have both in common share markets."""


class Member(NamedTuple):
    """A worker that may be given batches."""

    address: str
    host: Host


def host_of(address: str, cache: str = "") -> Host:
    """Return the host of a worker.

    Examples
    --------
    >>> host_of("tcp://10.0.0.7:40113", "/var/cache")
    ('10.0.0.7', '/var/cache')
    """
    return address.partition("://")[2].rpartition(":")[0], cache


class Members:
    """Who is in the cluster, and what each host holds.

    Attributes
    ----------
    refused : dict of str to str
        Why a worker gets no batches, by its address.
    asked : set of str
        Workers that have not said who they are.
    """

    def __init__(self) -> None:
        self._welcome: dict[str, Member] = {}
        self.refused: dict[str, str] = {}
        self.asked: set[str] = set()
        self._ending: set[str] = set()
        self._held: defaultdict[Host, set[str]] = defaultdict(set)
        self._last: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._welcome)

    def newcomers(self, present: Collection[str]) -> list[str]:
        """Return the workers that were not seen before, and count them as asked."""
        new = [address for address in present if not self._knows(address)]
        self.asked.update(new)
        return new

    def leave(self, present: Collection[str]) -> set[Host]:
        """Forget the workers that are not present; return the hosts that have lost several and have none left."""
        gone = [member for member in self._welcome.values() if member.address not in present]
        self.forget(member.address for member in gone)
        self.asked.intersection_update(present)
        self._ending.intersection_update(present)
        self.refused = {address: why for address, why in self.refused.items() if address in present}
        left = {member.host for member in self._welcome.values()}
        return {host for host, count in Counter(member.host for member in gone).items() if count > 1} - left

    def end(self, address: str) -> None:
        """Return a worker no more batches, as its process is being replaced."""
        self.forget([address])
        self._ending.add(address)

    def ended(self, address: str) -> None:
        """Take what is seen at this address from now on for a new worker."""
        self.forget([address])
        self._ending.discard(address)
        self.asked.discard(address)

    def forget(self, gone: Iterable[str]) -> None:
        """Return these no more batches."""
        for address in gone:
            self._welcome.pop(address, None)
            self._last.pop(address, None)

    def welcome(self, address: str, cache: str) -> None:
        """Count a worker as one that may be given batches."""
        self.asked.discard(address)
        self._welcome[address] = Member(address, host_of(address, cache))

    def refuse(self, address: str, why: str) -> None:
        """Return a worker no batches as long as it is there."""
        self.asked.discard(address)
        self.forget([address])
        self.refused[address] = why

    def choose(self, market: str, busy: Collection[str]) -> Member | None:
        """Return a free worker for a batch: one that ran this market last, else one whose host holds it."""

        def fitness(member: Member) -> tuple[bool, bool, int]:
            holds = self._held[member.host]
            return self._last.get(member.address) == market, market in holds, -len(holds)

        free = (member for member in self._welcome.values() if member.address not in busy)
        chosen = max(free, key=fitness, default=None)
        if chosen:
            self._held[chosen.host].add(market)
            self._last[chosen.address] = market
        return chosen

    def _knows(self, address: str) -> bool:
        return any(address in those for those in (self._welcome, self.refused, self.asked, self._ending))
