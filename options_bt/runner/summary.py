"""How a run ended, where its time went, and how many failures it may have."""

from __future__ import annotations

import re
from math import inf
from pathlib import Path
from typing import NamedTuple

from options_bt.errors import InputError
from options_bt.runner.execution.executor import TransferStats

_HOSTS_NAMED = 8


class Times(NamedTuple):
    """Seconds that a go of a run spent on its parts.

    Attributes
    ----------
    pull, build : float
        Bringing data, and building markets from it.
    backtests : float
        From the first batch to the last.
    work : float
        What the workers spent on batches, all together.
    writing : float
        Of the backtests' time, what writing parts and ledger took; and the table of results.
    """

    pull: float = 0.0
    build: float = 0.0
    backtests: float = 0.0
    work: float = 0.0
    writing: float = 0.0

    def plus(self, backtests: float, work: float, writing: float) -> Times:
        """Return these times with more backtests."""
        return self._replace(
            backtests=self.backtests + backtests, work=self.work + work, writing=self.writing + writing
        )


class Summary(NamedTuple):
    """How a run ended.

    Attributes
    ----------
    stopped_by : int
        Number of the signal that ended it early; 0 if none did.
    gave_up : bool
        Whether it ended early because more jobs failed than is allowed.
    times : Times
        Where the time of this go went.
    transfers : TransferStats
        How markets came to other hosts in this go.
    """

    path: Path
    total: int
    done: int
    failed: int
    stopped_by: int = 0
    gave_up: bool = False
    times: Times = Times()
    transfers: TransferStats = TransferStats()

    def after_writing(self, seconds: float) -> Summary:
        """Return this summary with the time that writing the results took."""
        return self._replace(times=self.times._replace(writing=self.times.writing + seconds))

    @property
    def ended_early(self) -> bool:
        """Whether a signal or too many failures ended it."""
        return self.gave_up or self.stopped_by > 0

    @property
    def exit_code(self) -> int:
        """0 all done, 1 some failed, 128 and the signal's number when one stopped it."""
        return 128 + self.stopped_by if self.stopped_by else int(self.failed > 0)


def times_text(summary: Summary) -> str:
    """Return a line that says where the time of this go went; nothing when nothing was run."""
    times = summary.times
    if not times.backtests:
        return ""
    return (
        f"Time: {times.pull:.1f} s pull, {times.build:.1f} s build, {times.backtests:.1f} s backtests "
        f"({times.work:.1f} s of work), {times.writing:.1f} s writing\n"
    )


def transfers_text(summary: Summary) -> str:
    """Return a line that says how many markets each host was sent or has read from its store; nothing for none.

    Examples
    --------
    >>> from collections import Counter
    >>> stats = TransferStats(Counter({"10.0.0.11": 2}), Counter({"10.0.0.11": 3_140_000}), Counter({"10.0.0.12": 4}))
    >>> print(transfers_text(Summary(Path("runs/grid"), 60, 60, 0, transfers=stats)), end="")
    Markets: 10.0.0.11 was sent 2 (3.1 MB); 10.0.0.12 read 4 from its store
    """
    transfers = summary.transfers
    hosts = sorted(transfers.sent.keys() | transfers.stored.keys())
    if not hosts:
        return ""
    named = [_to_host(transfers, host) for host in hosts] if len(hosts) <= _HOSTS_NAMED else _to_all(transfers)
    return f"Markets: {'; '.join(named)}\n"


def _to_host(transfers: TransferStats, host: str) -> str:
    sent = f"was sent {transfers.sent[host]} ({transfers.size[host] / 1e6:.1f} MB)" if transfers.sent[host] else ""
    stored = f"read {transfers.stored[host]} from its store" if transfers.stored[host] else ""
    return f"{host} {' and '.join(filter(None, (sent, stored)))}"


def _to_all(transfers: TransferStats) -> list[str]:
    sent, size, stored = transfers.sent, transfers.size, transfers.stored
    most = max(size.values(), default=0) / 1e6
    megabytes = f"{size.total() / 1e6:.1f} MB, {most:.1f} MB to one at most"
    told = [f"{len(sent)} hosts were sent {sent.total()} ({megabytes})"] if sent else []
    return told + ([f"{len(stored)} hosts read {stored.total()} from their store"] if stored else [])


def failures_allowed(given: int | str | None, total: int) -> float:
    """Return how many jobs of so many may fail before a run is given up; infinity when nothing is given.

    Raises
    ------
    InputError
        When it is neither a whole number nor a percentage.
    """
    if given is None:
        return inf
    if not re.fullmatch(r"\d+|\d+(\.\d+)?%", str(given)):
        raise InputError(f"max-failures: got {given!r}; allowed: a whole number, or a share of the backtests as 5%")
    text = str(given)
    return float(text.removesuffix("%")) * total / 100 if text.endswith("%") else int(text)
