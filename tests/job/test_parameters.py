from __future__ import annotations

from itertools import chain, combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_bt.job.parameters import (
    CANONICAL,
    EXCLUSIVE,
    FIELDS,
    WEEKDAYS,
    Parameters,
    canonical_dte,
    canonical_entry_every,
    dte_range,
)

ranges = st.tuples(st.integers(1, 1000), st.integers(1, 1000)).map(sorted)
written = ranges.flatmap(
    lambda ends: st.one_of(
        st.just(f"{ends[0]}-{ends[1]}"),
        st.just(f" {ends[0]} - {ends[1]} "),
        st.just(ends),
        st.just({"min": ends[0], "max": ends[1]}),
        st.just(ends[0]),
        st.integers(2 * ends[0], 2 * ends[1]).map(lambda half: f"{ends[0]}-{ends[1]}@{half / 2}"),
        st.integers(10 * ends[0], 10 * ends[1]).map(lambda n: {"min": ends[0], "max": ends[1], "target": n / 10}),
    )
)


@given(value=written)
def test_a_canonical_dte_is_its_own_canonical_form(value: Any) -> None:
    once = canonical_dte(value)
    assert canonical_dte(once) == once


@given(ends=ranges, tenths=st.integers(0, 10_000))
def test_every_way_to_write_a_dte_gives_the_same_form(ends: list[int], tenths: int) -> None:
    low, high = ends
    assert len({canonical_dte(value) for value in (f"{low}-{high}", ends, (low, high), {"min": low, "max": high})}) == 1
    assert dte_range(canonical_dte(ends)) == (low, high, (low + high) / 2)
    target = low + tenths % (10 * (high - low) + 1) / 10
    form = canonical_dte({"min": low, "max": high, "target": target})
    assert form == canonical_dte(f"{low}-{high}@{target}")
    assert dte_range(form)[:2] == (low, high)
    assert dte_range(form)[2] == pytest.approx(target)


def test_a_target_at_the_middle_is_the_default() -> None:
    assert canonical_dte("30-45@37.5") == canonical_dte("30-45") == "30-45"
    assert canonical_dte("30-45@35") == "30-45@35"
    assert canonical_dte(7) == "7-7"


def test_a_target_that_rounds_to_the_middle_is_the_default() -> None:
    once = canonical_dte("30-45@37.5000001")
    assert canonical_dte(once) == once


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "30",
        "45-30",
        "0-5",
        0,
        -7,
        30.5,
        True,
        "30-45-60",
        "30-45@20",
        "30-45@nan",
        "a-b",
        [30],
        [30, 45, 60],
        [30.0, 45.0],
        {"min": 30},
        {"min": 30, "max": 45, "step": 5},
        {"min": 30, "max": 45, "target": 60},
        {"min": 30, "max": 45, "target": None},
    ],
)
def test_what_is_no_range_of_days_is_rejected(value: Any) -> None:
    with pytest.raises(ValueError):
        canonical_dte(value)


@pytest.mark.parametrize("value", [[True, 45], {"min": True, "max": 45}])
def test_true_is_no_number_of_days(value: Any) -> None:
    with pytest.raises(ValueError):
        canonical_dte(value)


@given(days=st.lists(st.sampled_from(WEEKDAYS), min_size=1))
def test_weekdays_are_put_in_week_order_once(days: list[str]) -> None:
    form = canonical_entry_every(days)
    assert form.split(",") == sorted(set(days), key=WEEKDAYS.index)
    assert canonical_entry_every(form) == form == canonical_entry_every(",".join(days))


@pytest.mark.parametrize("name", ["any", "first_of_week"])
def test_the_names_of_entry_days_stay(name: str) -> None:
    assert canonical_entry_every(name) == name


@pytest.mark.parametrize("value", [None, "", [], "monday", ["mon", "any"], 3, {"mon": 1}, ["mon", None]])
def test_other_entry_days_are_rejected(value: Any) -> None:
    with pytest.raises(ValueError, match="first_of_week"):
        canonical_entry_every(value)


def test_the_defaults_are_those_of_the_semantics() -> None:
    expected: dict[str, Any] = {
        "delta": 0.20,
        "delta_tolerance": 0.10,
        "dte": "30-45",
        "width": 5.0,
        "width_tolerance": 0.5,
        "moneyness_tolerance": 0.05,
        "slippage": 0.5,
        "min_credit": 0.05,
        "stop_loss": 2.0,
        "profit_target": 0.5,
        "max_positions": 1,
        "entry_every": "any",
        "contracts": 1,
        "capital": 100_000.0,
        "commission": 0.65,
        "assignment_fee": 0.0,
        "multiplier": 100.0,
        "risk_free": 0.0,
        "unquoted": "model",
        "early_assignment": True,
    }
    off = ("width_pct", "min_credit_pct", "max_spread_pct", "exit_dte", "max_days", "exit_delta", "entry_when", "risk")
    defaults = Parameters()
    assert {name: getattr(defaults, name) for name in expected} == expected
    assert all(getattr(defaults, name) is None for name in off)


def test_the_defaults_are_canonical() -> None:
    for name, (canonical, _) in CANONICAL.items():
        assert canonical(getattr(Parameters(), name)) == getattr(Parameters(), name)


def test_the_second_of_an_exclusive_pair_is_off_by_default_and_pairs_share_no_name() -> None:
    assert all(name in FIELDS for name in chain.from_iterable(EXCLUSIVE))
    assert all(getattr(Parameters(), second) is None for _, second in EXCLUSIVE)
    assert all(not set(one) & set(other) for one, other in combinations(EXCLUSIVE, 2))
