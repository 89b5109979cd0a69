"""Which worker gets a batch, and what is made of workers that come and go."""

from __future__ import annotations

import pytest

from options_bt.runner.cluster.registry import Members

A1, A2, B1 = "tcp://10.0.0.1:1", "tcp://10.0.0.1:2", "tcp://10.0.0.2:1"


@pytest.fixture
def members() -> Members:
    """Two workers on one host and one on another."""
    made = Members()
    assert made.newcomers([A1, A2, B1]) == [A1, A2, B1]
    for address in (A1, A2, B1):
        made.welcome(address, "/cache")
    return made


def chosen(members: Members, market: str, *busy: str) -> str:
    member = members.choose(market, busy)
    assert member
    return member.address


def test_a_batch_goes_to_the_worker_that_had_its_market_else_to_its_host(members: Members) -> None:
    first = chosen(members, "SPY", A2, B1)
    assert first == A1
    assert chosen(members, "SPY") == A1
    assert chosen(members, "SPY", A1) == A2
    assert chosen(members, "SPY", A1, A2) == B1


def test_another_market_goes_to_the_host_that_holds_fewest(members: Members) -> None:
    assert chosen(members, "SPY", A2, B1) == A1
    assert chosen(members, "QQQ") == B1


def test_when_all_are_busy_none_is_chosen(members: Members) -> None:
    assert members.choose("SPY", [A1, A2, B1]) is None


def test_a_host_has_fallen_when_several_workers_went_and_none_is_left(members: Members) -> None:
    assert members.leave([A2, B1]) == set()
    assert members.leave([A2]) == set()
    assert len(members) == 1
    members.newcomers([A1])
    members.welcome(A1, "/cache")
    assert members.leave([]) == {("10.0.0.1", "/cache")}


def test_a_refused_worker_is_asked_again_only_after_it_has_left(members: Members) -> None:
    members.refuse(B1, "it has options-bt 0.0.9")
    assert members.choose("SPY", [A1, A2]) is None
    assert members.newcomers([A1, A2, B1]) == []
    members.leave([A1, A2])
    assert members.newcomers([A1, A2, B1]) == [B1]


def test_a_worker_that_is_ended_is_a_new_one_afterwards_also_at_its_old_address(members: Members) -> None:
    members.end(B1)
    assert members.newcomers([A1, A2, B1]) == []
    members.ended(B1)
    assert members.newcomers([A1, A2, B1]) == [B1]
