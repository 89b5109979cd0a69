from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from options_bt.data.market.cleaning import REASONS, cleaned
from options_bt.data.sources.files import FilesSource
from tests import reference
from tests.data.quotes import Row, chain_frame, quote

DAY = date(2024, 3, 1)
LATER = date(2024, 4, 19)
WRONG = [None, math.nan, math.inf, -math.inf]

prices = st.sampled_from([0.0, 0.01, 1.0, 1.5, -0.01, -1.0, *WRONG])
rows = st.fixed_dictionaries(
    {
        "date": st.sampled_from([DAY, DAY + timedelta(days=60), None]),
        "expiration": st.sampled_from([DAY, LATER, None]),
        "strike": st.sampled_from([100.0, 100.004, 100.005, 99.995, 0.004, 0.005, 0.0, -5.0, *WRONG]),
        "right": st.sampled_from(["put", "call", None]),
        "bid": prices,
        "ask": prices,
        "iv": st.sampled_from([0.2, None]),
        "delta": st.sampled_from([-1.01, -1.0, -0.3, -1e-12, 0.0, 0.3, 1.0, 1.01, *WRONG]),
    }
)


def plainly_cleaned(given: Sequence[Row]) -> tuple[list[tuple[Any, ...]], dict[str, int]]:
    """The surviving quotes in their order, and what was dropped, by section 1 of docs/semantics.md."""
    dropped = dict.fromkeys(REASONS, 0)
    kept: dict[tuple[date, date, bool, int], tuple[Any, ...]] = {}
    for row in given:
        day, expiration, strike, right = (row[name] for name in ("date", "expiration", "strike", "right"))
        bid, ask, delta = row["bid"], row["ask"], row["delta"]
        keyed = None not in (day, expiration, strike, right) and math.isfinite(strike)
        cents = math.floor(strike * 100 + 0.5 + 1e-9) if keyed else 0
        key = (day, expiration, right == "call", cents)
        reason: str | None
        if not keyed:
            reason = "null_key"
        elif bid is None or ask is None or not (math.isfinite(bid) and math.isfinite(ask)):
            reason = "bad_price"
        elif bid < 0 or ask < 0:
            reason = "negative_price"
        elif ask == 0:
            reason = "zero_ask"
        elif ask < bid:
            reason = "crossed"
        elif cents <= 0:
            reason = "bad_strike"
        elif expiration < day:
            reason = "expired"
        else:
            reason = "duplicate" if key in kept else None
        if reason is not None:
            dropped[reason] += 1
        if reason in (None, "duplicate"):
            usable = delta is not None and -1 <= delta <= 1 and (delta < 0 if right == "put" else delta > 0)
            kept[key] = (bid, ask, row["iv"], delta if usable else None)
    return [(*key, *kept[key]) for key in sorted(kept)], dropped


def surviving(given: Sequence[Row]) -> tuple[list[tuple[Any, ...]], dict[str, int]]:
    quotes, dropped = cleaned(chain_frame(given))
    columns = ["date", "expiration", "right", "cents", "bid", "ask", "iv", "delta"]
    return quotes.select(columns).rows(), dropped


@pytest.mark.slow
@settings(max_examples=100)
@given(given=st.lists(rows, max_size=12))
def test_any_quotes_are_cleaned_as_plainly_and_each_is_kept_or_counted_once(given: list[Row]) -> None:
    kept, dropped = surviving(given)
    assert (kept, dropped) == plainly_cleaned(given)
    assert len(kept) + sum(dropped.values()) == len(given)
    assert tuple(dropped) == REASONS


@settings(max_examples=60)
@given(given=st.lists(rows, max_size=12))
def test_the_reference_counts_the_same(given: list[Row]) -> None:
    chains, dropped = reference.clean(given)
    kept, counted = surviving(given)
    assert counted == dropped
    assert len(kept) == sum(map(len, chains.values()))


@settings(max_examples=30)
@given(given=st.lists(rows, max_size=12))
def test_cleaning_what_is_clean_drops_nothing(given: list[Row]) -> None:
    kept, _ = surviving(given)
    names = ("date", "expiration", "right", "strike", "bid", "ask", "iv", "delta")
    again = [
        dict(zip(names, (*row[:2], "call" if row[2] else "put", row[3] / 100, *row[4:]), strict=True)) for row in kept
    ]
    assert surviving(again) == (kept, dict.fromkeys(REASONS, 0))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"date": None}, "null_key"),
        ({"expiration": None}, "null_key"),
        ({"strike": None}, "null_key"),
        ({"strike": math.nan}, "null_key"),
        ({"right": None}, "null_key"),
        ({"bid": None}, "bad_price"),
        ({"ask": math.nan}, "bad_price"),
        ({"ask": math.inf}, "bad_price"),
        ({"bid": -0.01}, "negative_price"),
        ({"bid": 0.0, "ask": 0.0}, "zero_ask"),
        ({"bid": 1.3}, "crossed"),
        ({"strike": 0.0}, "bad_strike"),
        ({"strike": -1.0}, "bad_strike"),
        ({"expiration": DAY - timedelta(days=1)}, "expired"),
    ],
)
def test_each_reason(changed: Row, reason: str) -> None:
    kept, dropped = surviving([quote(DAY, LATER, 100.0, "put") | changed])
    assert kept == []
    assert {name for name, count in dropped.items() if count} == {reason}


def test_the_first_reason_in_order_counts() -> None:
    faults: list[tuple[str, Row]] = [
        ("null_key", {"right": None}),
        ("bad_price", {"bid": None}),
        ("negative_price", {"bid": -1.0}),
        ("zero_ask", {"bid": 0.0, "ask": 0.0}),
        ("crossed", {"bid": 9.0}),
        ("bad_strike", {"strike": 0.0}),
        ("expired", {"expiration": DAY - timedelta(days=1)}),
    ]
    row = quote(DAY, LATER, 100.0, "put")
    for reason, changed in reversed(faults):
        row |= changed
        assert surviving([row])[1][reason] == 1


def test_a_quote_without_a_bid_and_one_that_expires_today_are_kept() -> None:
    kept, _ = surviving([quote(DAY, LATER, 100.0, "put", bid=0.0), quote(DAY, DAY, 100.0, "put")])
    assert len(kept) == 2


def test_of_equal_keys_the_last_one_read_stays() -> None:
    asks = [1.2, 1.3, 1.4]
    given = [
        quote(DAY, LATER, strike, "put", ask=ask) for strike, ask in zip([100.0, 100.001, 99.999], asks, strict=True)
    ]
    kept, dropped = surviving([*given, quote(DAY, LATER, 100.0, "put", ask=0.5)])
    assert [row[5] for row in kept] == [1.4]
    assert (dropped["duplicate"], dropped["crossed"]) == (2, 1)


def test_strikes_are_rounded_half_up() -> None:
    strikes = [0.005, 1.005, 2.675, 100.125, 99.994999]
    kept, _ = surviving([quote(DAY, LATER, strike, "call") for strike in strikes])
    assert [row[3] for row in kept] == [1, 101, 268, 9999, 10013]


@pytest.mark.parametrize(
    ("right", "delta", "usable"),
    [
        ("put", -0.3, True),
        ("put", -1.0, True),
        ("put", 0.3, False),
        ("put", 0.0, False),
        ("put", -1.2, False),
        ("call", 0.3, True),
        ("call", 1.0, True),
        ("call", -0.3, False),
        ("call", math.nan, False),
        ("call", None, False),
    ],
)
def test_an_unusable_delta_is_taken_out_and_the_quote_stays(right: str, delta: float | None, usable: bool) -> None:
    ((*_, kept),), dropped = surviving([quote(DAY, LATER, 100.0, right, delta=delta)])
    assert kept == (delta if usable else None)
    assert not any(dropped.values())


def test_no_quotes() -> None:
    assert surviving([]) == ([], dict.fromkeys(REASONS, 0))


def test_real_quotes_are_kept_or_counted(real_data: Path) -> None:
    source = FilesSource(str(real_data), {})
    read = 0
    for symbol in source.symbols():
        for _, frame in source.chain(symbol, range(2010, 2015)):
            quotes, dropped = cleaned(frame)
            read += frame.height
            assert quotes.height + sum(dropped.values()) == frame.height
            assert quotes.height > 0.5 * frame.height
    assert read == 11_654
