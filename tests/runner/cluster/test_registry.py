"""Which worker gets a batch, and what becomes of workers that come and go."""

from __future__ import annotations

import pytest

from options_bt.runner.cluster.registry import Worker, WorkerRegistry

A1, A2, B1 = "tcp://10.0.0.1:1", "tcp://10.0.0.1:2", "tcp://10.0.0.2:1"


def ready(address: str) -> Worker:
    return Worker(address, "ready", "/cache")


@pytest.fixture
def workers() -> WorkerRegistry:
    """Two workers on one host and one on another."""
    made = WorkerRegistry()
    assert made.add([A1, A2, B1]) == [A1, A2, B1]
    for address in (A1, A2, B1):
        made.update(ready(address))
    return made


def chosen(workers: WorkerRegistry, market: str, *busy: str) -> str:
    worker = workers.choose(market, busy)
    assert worker
    return worker.address


def test_a_batch_goes_to_the_worker_that_had_its_market_else_to_its_host(workers: WorkerRegistry) -> None:
    first = chosen(workers, "SPY", A2, B1)
    assert first == A1
    assert chosen(workers, "SPY") == A1
    assert chosen(workers, "SPY", A1) == A2
    assert chosen(workers, "SPY", A1, A2) == B1


def test_another_market_goes_to_the_host_that_holds_fewest(workers: WorkerRegistry) -> None:
    assert chosen(workers, "SPY", A2, B1) == A1
    assert chosen(workers, "QQQ") == B1


def test_when_all_are_busy_none_is_chosen(workers: WorkerRegistry) -> None:
    assert workers.choose("SPY", [A1, A2, B1]) is None


def test_a_host_has_fallen_when_several_workers_went_and_none_is_left(workers: WorkerRegistry) -> None:
    assert workers.delete_absent([A2, B1]) == set()
    assert workers.delete_absent([A2]) == set()
    assert [worker.address for worker in workers.those("ready")] == [A2]
    workers.add([A1])
    workers.update(ready(A1))
    assert workers.delete_absent([]) == {("10.0.0.1", "/cache")}


def test_a_rejected_worker_is_new_only_after_it_has_left(workers: WorkerRegistry) -> None:
    workers.update(Worker(B1, "rejected", rejection="it has options-bt 0.0.9"))
    assert workers.choose("SPY", [A1, A2]) is None
    assert workers.add([A1, A2, B1]) == []
    workers.delete_absent([A1, A2])
    assert workers.add([A1, A2, B1]) == [B1]


def test_a_worker_that_was_replaced_is_a_new_one_also_at_its_old_address(workers: WorkerRegistry) -> None:
    workers.update(Worker(B1, "leaving"))
    assert workers.choose("SPY", [A1, A2]) is None
    assert workers.add([A1, A2, B1]) == []
    workers.delete(B1)
    assert workers.add([A1, A2, B1]) == [B1]
