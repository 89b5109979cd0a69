"""What the end of a run says of the markets that went to other hosts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from options_bt.runner.execution.executor import TransferStats
from options_bt.runner.summary import Summary, transfers_text


def text_of(sent: dict[str, int], size: dict[str, int], stored: dict[str, int]) -> str:
    transfers = TransferStats(Counter(sent), Counter(size), Counter(stored))
    return transfers_text(Summary(Path("runs/grid"), 60, 60, 0, transfers=transfers))


def test_each_of_a_few_hosts_is_named() -> None:
    text = text_of({"10.0.0.11": 4, "10.0.0.2": 1}, {"10.0.0.11": 20_260_000, "10.0.0.2": 40_000}, {"10.0.0.2": 3})
    assert text == ("Markets: 10.0.0.11 was sent 4 (20.3 MB); 10.0.0.2 was sent 1 (0.0 MB) and read 3 from its store\n")


def test_many_hosts_are_counted() -> None:
    hosts = [f"10.0.0.{number}" for number in range(40)]
    sent = dict.fromkeys(hosts[:30], 4)
    size = dict.fromkeys(sent, 1_000_000) | {"10.0.0.7": 2_500_000}
    were_sent, read = "30 hosts were sent 120 (31.5 MB, 2.5 MB to one at most)", "40 hosts read 80 from their store"
    assert text_of(sent, size, {}) == f"Markets: {were_sent}\n"
    assert text_of({}, {}, dict.fromkeys(hosts, 2)) == f"Markets: {read}\n"
    assert text_of(sent, size, dict.fromkeys(hosts, 2)) == f"Markets: {were_sent}; {read}\n"


def test_nothing_is_said_where_nothing_was_sent() -> None:
    assert text_of({}, {}, {}) == ""


def test_two_starts_add_up() -> None:
    one = TransferStats(Counter(a=1), Counter(a=10))
    assert one.plus(TransferStats(Counter(a=1, b=2), Counter(a=5), Counter(b=1))) == TransferStats(
        Counter(a=2, b=2), Counter(a=15), Counter(b=1)
    )
    assert one.sent == {"a": 1}
