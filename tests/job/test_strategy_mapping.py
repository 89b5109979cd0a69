from __future__ import annotations

from typing import Any

import pytest

from options_bt.errors import Fault
from options_bt.job.reading import read_job
from options_bt.job.strategies import ONE_ARMED, STRATEGIES, Arm, Leg, Strategy

BASE: dict[str, Any] = {"name": "x", "symbols": ["SPY"], "period": {"start": "2019-01-01", "end": "2024-12-31"}}
SHORT = {"name": "short", "right": "put", "side": "short"}
LONG = {"name": "long", "right": "put", "side": "long"}


def strategy_of(value: Any) -> Strategy:
    job, faults = read_job(BASE | {"strategy": value})
    assert job is not None, faults
    return job.strategy


def legs_of(*legs: dict[str, Any]) -> tuple[Leg, ...]:
    (arm,) = strategy_of({"legs": list(legs)}).arms
    return arm.legs


def faults_of(value: Any) -> list[Fault]:
    job, faults = read_job(BASE | {"strategy": value})
    assert job is None
    assert faults
    return faults


def fault_of_legs(*legs: Any) -> str:
    (fault,) = faults_of({"legs": list(legs)})
    return str(fault)


@pytest.mark.parametrize("name", list(STRATEGIES))
def test_every_strategy_can_be_named(name: str) -> None:
    strategy = strategy_of(name)
    assert strategy == STRATEGIES[name]
    assert strategy.name == name
    for arm in strategy.arms:
        assert 1 <= len(arm.legs) <= 4
        assert len({leg.name for leg in arm.legs}) == len(arm.legs)


def test_a_spread_of_ones_own_is_the_named_one_but_for_its_kind() -> None:
    legs = legs_of(SHORT | {"name": "short_put"}, LONG | {"name": "long_put", "of": "short_put"})
    assert legs == ONE_ARMED["put_credit_spread"].legs


def test_every_way_to_find_a_strike() -> None:
    legs = legs_of(
        SHORT | {"delta": 0.3},
        LONG | {"width": 5, "of": "short", "inward": True, "ratio": 2},
        {"name": "call", "right": "call", "side": "short", "moneyness": 1.02},
        {"name": "same", "right": "put", "side": "long", "same_strike": "call"},
    )
    assert [(leg.select, leg.value, leg.of) for leg in legs] == [
        ("delta", 0.3, None),
        ("width", 5.0, "short"),
        ("moneyness", 1.02, None),
        ("same_strike", None, "call"),
    ]
    assert (legs[1].inward, legs[1].ratio, legs[0].ratio) == (True, 2, 1)


def test_a_width_as_a_share_of_the_close() -> None:
    leg = legs_of(SHORT, LONG | {"width_pct": 0.05, "of": "short"})[1]
    assert (leg.select, leg.value, leg.width_pct) == ("width", None, 0.05)


def test_what_a_leg_leaves_out_comes_from_the_parameters() -> None:
    short, long = legs_of(SHORT, LONG | {"of": "short"})
    assert (short.select, short.value) == ("delta", None)
    assert (long.select, long.value, long.width_pct) == ("width", None, None)


def test_a_strategy_is_called_custom_or_by_its_name() -> None:
    assert strategy_of({"legs": [SHORT]}).name == "custom"
    assert strategy_of({"name": "mine", "legs": [SHORT]}).name == "mine"


def test_shares_are_held_with_the_legs() -> None:
    (arm,) = strategy_of({"legs": [SHORT], "shares": 1}).arms
    assert arm == Arm(legs=legs_of(SHORT), shares=1)


def test_arms_of_named_strategies_and_of_legs() -> None:
    strategy = strategy_of(
        {
            "arms": [
                {"when": "rsi_14 < 30", "strategy": "short_put"},
                {"name": "hedge", "when": "rsi_14 > 70", "legs": [LONG]},
                {"legs": [SHORT]},
            ]
        }
    )
    assert [(arm.name, arm.when) for arm in strategy.arms] == [
        ("short_put", "rsi_14 < 30"),
        ("hedge", "rsi_14 > 70"),
        ("arm_3", None),
    ]
    assert strategy.arms[0].legs == ONE_ARMED["short_put"].legs
    assert strategy.arms[0].kind == "credit"
    assert strategy.arms[1].kind == "custom"


def test_a_mapping_may_be_a_value_of_an_axis() -> None:
    job, faults = read_job(BASE | {"grid": {"strategy": ["short_put", {"name": "mine", "legs": [SHORT]}]}})
    assert job is not None, faults
    assert [strategy.name for strategy in job.grid[0][1]] == ["short_put", "mine"]


FAULTS: dict[str, tuple[list[Any], str]] = {
    "no legs": ([], "strategy.legs: got []; allowed: a list of 1 to 4 legs"),
    "five legs": ([SHORT] * 5, "strategy.legs: got ["),
    "a leg that is no mapping": (["put"], 'strategy.legs[0]: got "put"; allowed: a mapping of keys to values'),
    "no side": (
        [{"name": "a", "right": "put"}],
        "strategy.legs[0].side: missing; allowed: long, short",
    ),
    "a right": ([SHORT | {"right": "puts"}], 'strategy.legs[0].right: got "puts"; allowed: call, put'),
    "a ratio": ([SHORT | {"ratio": 0}], "strategy.legs[0].ratio: got 0; allowed: a whole number at least 1"),
    "a delta": (
        [SHORT | {"delta": 20}],
        "strategy.legs[0].delta: got 20; allowed: a number above 0 and at most 1, or null",
    ),
    "a key": ([SHORT | {"strik": 5}], "strategy.legs[0].strik: unknown key"),
    "two ways": (
        [SHORT | {"delta": 0.2, "moneyness": 1}],
        "strategy.legs[0]: got more than one way to choose its strike; allowed: one of delta, width with of",
    ),
    "two widths": (
        [SHORT, LONG | {"width": 5, "width_pct": 0.1, "of": "short"}],
        "strategy.legs[1]: got more than one way to choose its strike",
    ),
    "a width of nothing": (
        [SHORT, LONG | {"width": 5}],
        "strategy.legs[1].of: got null; allowed: an earlier leg: short",
    ),
    "a later leg": (
        [LONG | {"of": "short"}, SHORT],
        'strategy.legs[0].of: got "short"; allowed: an earlier leg: there is none',
    ),
    "the strike of itself": (
        [SHORT | {"same_strike": "short"}],
        'strategy.legs[0].same_strike: got "short"; allowed: an earlier leg: there is none',
    ),
    "one name twice": (
        [SHORT, LONG | {"name": "short"}],
        'strategy.legs[1].name: got "short" again; allowed: a different name',
    ),
}


@pytest.mark.parametrize(("legs", "message"), FAULTS.values(), ids=FAULTS)
def test_a_fault_of_a_leg_says_where_what_was_got_and_what_is_allowed(legs: list[Any], message: str) -> None:
    assert fault_of_legs(*legs).startswith(message)


def test_the_faults_of_all_legs_are_listed() -> None:
    faults = faults_of({"legs": [SHORT | {"delta": 2}, LONG | {"side": "lng"}]})
    assert [fault.path for fault in faults] == ["strategy.legs[0].delta", "strategy.legs[1].side"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "strategy: got neither of legs and arms; allowed: legs, or arms"),
        ({"legs": [SHORT], "arms": []}, "strategy: got both of legs and arms; allowed: legs, or arms"),
        ({"arms": []}, "strategy.arms: got []; allowed: a list of arms"),
        ({"arms": {"strategy": "short_put"}}, 'strategy.arms: got {"strategy":"short_put"}; allowed: a list of arms'),
        (
            {"arms": [{"strategy": "short_putt"}]},
            "strategy.arms[0].strategy: got \"short_putt\" (did you mean 'short_put'",
        ),
        ({"arms": [{"strategy": "vertical_spread"}]}, 'strategy.arms[0].strategy: got "vertical_spread"'),
        ({"arms": [{"strategy": "short_put", "legs": [SHORT]}]}, "strategy.arms[0]: got both of legs and strategy"),
        ({"arms": [{"strategy": "short_put", "when": "rsi <"}]}, "strategy.arms[0].when: got 'rsi <': "),
        ({"arms": [{"strategy": "short_put", "when": 1}]}, "strategy.arms[0].when: got 1; allowed: a text, or null"),
        ({"legs": [SHORT], "shares": 2}, "strategy.shares: got 2; allowed: 0 or 1"),
        ({"name": 5, "legs": [SHORT]}, "strategy.name: got 5; allowed: a text"),
        ({"legs": [SHORT], "when": "close > 1"}, "strategy.when: unknown key"),
    ],
)
def test_a_fault_of_an_arm_says_where_what_was_got_and_what_is_allowed(value: Any, message: str) -> None:
    (fault,) = faults_of(value)
    assert str(fault).startswith(message)


@pytest.mark.parametrize("value", [["short_put"], {"legs": [SHORT]}])
def test_an_arm_whose_strategy_is_no_name_is_rejected(value: Any) -> None:
    assert faults_of({"arms": [{"strategy": value}]})[0].path == "strategy.arms[0].strategy"


@pytest.mark.parametrize("name", [5, ["a"], True])
def test_an_arms_name_is_a_text(name: Any) -> None:
    assert faults_of({"arms": [{"strategy": "short_put", "name": name}]})[0].path == "strategy.arms[0].name"
