from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from options_bt.data.market.cleaning import cleaned
from options_bt.data.market.closes import Closes, Splits, day_numbers, implied_closes, read_splits
from tests import reference
from tests.data.quotes import Row, chain_frame, closes_frame, quote, splits_frame
from tests.markets import random_market

EPOCH = date(1970, 1, 1)
START = date(2024, 3, 1)
FAR = date(2024, 6, 21)


def day(number: int) -> date:
    return START + timedelta(days=number)


def pair(on: date, expiration: date, strike: float, call: float, put: float) -> list[Row]:
    """A call and a put of one strike, at these mids."""
    return [
        quote(on, expiration, strike, "call", bid=call - 0.05, ask=call + 0.05),
        quote(on, expiration, strike, "put", bid=put - 0.05, ask=put + 0.05),
    ]


def opened(
    rows: Sequence[Row],
    closes: Sequence[tuple[date | None, float | None]] = (),
    splits: Sequence[tuple[date | None, float | None, float | None]] = (),
) -> Closes:
    quotes, _ = cleaned(chain_frame(rows))
    return Closes(closes_frame(closes), read_splits(splits_frame(splits)), quotes)


def on_quote_days(prices: Closes) -> dict[date, float]:
    days = [EPOCH + timedelta(days=number) for number in prices.quote_day.tolist()]
    return dict(zip(days, prices.on_quote_days.tolist(), strict=True))


def settled(prices: Closes, expiration: date) -> float:
    return float(prices.at_expiration(np.array([(expiration - EPOCH).days], np.int32))[0])


def quoted(*days: int) -> list[Row]:
    """One put a day: quote dates without an implied close."""
    return [quote(day(number), FAR, 100.0, "put") for number in days]


# --- Against the reference -------------------------------------------------------------------------

offsets = st.integers(0, 20)
mids = st.sampled_from([0.1, 1.0, 2.5, 2.4, 40.0])
quote_rows = st.builds(
    lambda on, dte, strike, right, mid: quote(day(on), day(on + dte), strike, right, bid=mid - 0.05, ask=mid + 0.05),
    offsets,
    st.sampled_from([0, 1, 7]),
    st.sampled_from([20.0, 21.0, 22.5]),
    st.sampled_from(["put", "call"]),
    mids,
)
close_rows = st.tuples(offsets.map(day), st.sampled_from([19.0, 20.5, 21.0, 0.0, -1.0, math.nan, None]))
split_rows = st.tuples(offsets.map(day), *[st.sampled_from([(2.0, 1.0), (1.0, 8.0), (3.0, 2.0)])]).map(
    lambda split: (split[0], *split[1])
)


def assert_as_the_reference(
    rows: Sequence[Row],
    closes: Sequence[tuple[date, float | None]],
    splits: Sequence[tuple[date, float, float]],
) -> None:
    prices = opened(rows, closes, splits)
    plain, _ = reference.build_market(rows, closes, splits)
    for on, close in on_quote_days(prices).items():
        expected = plain.close_of(on)
        assert (math.isnan(close) and expected is None) or close == pytest.approx(expected, rel=1e-12)
    for expiration in {row["expiration"] for row in rows if row["expiration"] is not None}:
        if not plain.closes and not plain.chains:
            continue
        try:
            wanted = plain.settlement_close(expiration)
        except AssertionError:  # no close by then: nothing can have been entered
            assert math.isnan(settled(prices, expiration))
        else:
            assert settled(prices, expiration) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.slow
@settings(max_examples=120)
@given(
    rows=st.lists(quote_rows, max_size=25),
    closes=st.lists(close_rows, max_size=6),
    splits=st.lists(split_rows, max_size=3, unique_by=lambda split: split[0]),
)
def test_closes_and_settlements_are_the_references(
    rows: list[Row], closes: list[tuple[date, float | None]], splits: list[tuple[date, float, float]]
) -> None:
    assert_as_the_reference(rows, closes, splits)


@pytest.mark.parametrize("seed", range(60))
def test_closes_of_a_random_market_are_the_references(seed: int) -> None:
    market = random_market(seed)
    assert_as_the_reference(market.quotes, market.closes, market.splits)


# --- Traded closes ---------------------------------------------------------------------------------


def test_a_close_stands_in_for_four_days_and_not_for_five() -> None:
    prices = opened(quoted(0, 4, 5), [(day(0), 100.0)])
    closes = on_quote_days(prices)
    assert (closes[day(0)], closes[day(4)]) == (100.0, 100.0)
    assert math.isnan(closes[day(5)])


def test_a_close_is_carried_over_a_split_in_the_terms_of_the_later_day() -> None:
    closes = on_quote_days(opened(quoted(0, 1, 2, 3), [(day(0), 100.0)], [(day(2), 4.0, 1.0)]))
    assert [closes[day(number)] for number in range(4)] == [100.0, 100.0, 25.0, 25.0]


def test_a_close_on_the_split_day_is_already_in_new_terms() -> None:
    closes = on_quote_days(opened(quoted(2, 3), [(day(2), 25.0)], [(day(2), 4.0, 1.0)]))
    assert list(closes.values()) == [25.0, 25.0]


@pytest.mark.parametrize("wrong", [None, math.nan, math.inf, 0.0, -1.0])
def test_a_close_that_is_no_positive_number_does_not_exist(wrong: float | None) -> None:
    prices = opened(quoted(1), [(day(0), 100.0), (day(1), wrong), (None, 50.0)])
    assert on_quote_days(prices) == {day(1): 100.0}
    assert prices.traded.tolist() == [100.0]


def test_of_two_closes_of_a_day_the_last_one_read_stays_in_any_order_of_days() -> None:
    prices = opened(quoted(0, 1), [(day(1), 3.0), (day(0), 1.0), (day(0), 2.0), (day(1), math.nan)])
    assert on_quote_days(prices) == {day(0): 2.0, day(1): 3.0}


# --- Implied closes --------------------------------------------------------------------------------


def test_a_missing_close_is_implied_by_parity() -> None:
    prices = opened(pair(START, FAR, 100.0, 5.0, 3.0) + pair(START, FAR, 105.0, 2.0, 5.5))
    assert on_quote_days(prices) == {START: pytest.approx(102.0)}
    assert prices.implied.tolist() == [True]


def test_a_traded_close_goes_before_an_implied_one() -> None:
    prices = opened(pair(START, FAR, 100.0, 5.0, 3.0), [(START, 90.0)])
    assert on_quote_days(prices) == {START: 90.0}
    assert prices.implied.tolist() == [False]


def test_of_strikes_that_tie_the_lower_counts() -> None:
    rows = pair(START, FAR, 100.0, 5.0, 3.0) + pair(START, FAR, 105.0, 3.0, 5.0)
    assert on_quote_days(opened(rows)) == {START: pytest.approx(102.0)}


def test_strikes_tie_within_the_tolerance() -> None:
    # 0.3 - 0.1 and 0.4 - 0.2 differ in the last bits only, the wrong way round for the lower strike.
    rows = pair(START, FAR, 100.0, 0.4, 0.2) + pair(START, FAR, 105.0, 0.3, 0.1)
    assert on_quote_days(opened(rows)) == {START: pytest.approx(100.2)}


def test_the_nearest_expiration_with_both_rights_a_day_away_or_more_counts() -> None:
    today = pair(START, START, 100.0, 9.0, 1.0)
    one_sided = [quote(START, day(7), 100.0, "call")]
    near, far = pair(START, day(14), 100.0, 2.0, 1.0), pair(START, FAR, 100.0, 6.0, 1.0)
    assert on_quote_days(opened(far + near + one_sided + today)) == {START: pytest.approx(101.0)}
    assert on_quote_days(opened(today + one_sided)) == {START: pytest.approx(math.nan, nan_ok=True)}


def test_an_implied_close_that_is_not_positive_is_void() -> None:
    assert implied_closes(cleaned(chain_frame(pair(START, FAR, 1.0, 1.0, 3.0)))[0]).height == 0


def test_a_day_without_one_takes_the_last_implied_close_of_any_age_in_its_terms() -> None:
    rows = pair(day(0), FAR, 100.0, 5.0, 3.0) + quoted(3, 60)
    closes = on_quote_days(opened(rows, splits=[(day(30), 2.0, 1.0)]))
    assert closes == {day(0): pytest.approx(102.0), day(3): pytest.approx(102.0), day(60): pytest.approx(51.0)}


def test_no_close_is_taken_from_a_later_day() -> None:
    closes = on_quote_days(opened(quoted(0) + pair(day(1), FAR, 100.0, 5.0, 3.0), [(day(9), 100.0)]))
    assert math.isnan(closes[day(0)])


# --- Settlement ------------------------------------------------------------------------------------


def test_a_settlement_takes_the_close_of_its_day() -> None:
    prices = opened(quoted(0), [(FAR, 90.0), (FAR + timedelta(days=1), 80.0)])
    assert settled(prices, FAR) == 90.0


def test_a_settlement_on_a_day_without_quotes_is_not_implied_but_taken_from_before() -> None:
    rows = pair(day(0), FAR, 100.0, 5.0, 3.0)
    assert settled(opened(rows), day(10)) == pytest.approx(102.0)
    assert settled(opened(rows, [(day(7), 90.0)]), day(10)) == 90.0


def test_a_settlement_takes_the_last_close_of_any_age_in_the_terms_of_its_day() -> None:
    prices = opened(quoted(0), [(day(0), 100.0)], [(day(20), 4.0, 1.0), (day(50), 2.0, 1.0)])
    assert settled(prices, day(40)) == 25.0


def test_a_carried_close_of_a_quote_day_is_no_newer_than_its_trade() -> None:
    # The trade of day 1 is the close of quote day 3 too; the settlement of day 9 takes that one.
    prices = opened(pair(day(0), FAR, 100.0, 5.0, 3.0) + quoted(3), [(day(1), 90.0)])
    assert settled(prices, day(9)) == 90.0


def test_an_implied_close_that_is_newer_than_the_last_trade_settles() -> None:
    prices = opened(pair(day(8), FAR, 100.0, 5.0, 3.0), [(day(1), 90.0)])
    assert settled(prices, day(9)) == pytest.approx(102.0)


def test_without_any_close_by_then_there_is_no_settlement() -> None:
    assert math.isnan(settled(opened(quoted(0), [(FAR, 100.0)]), day(9)))


# --- Splits ----------------------------------------------------------------------------------------


def test_splits_that_say_nothing_are_left_out() -> None:
    read = read_splits(
        splits_frame(
            [
                (day(9), 4.0, 1.0),
                (None, 2.0, 1.0),
                (day(1), None, 1.0),
                (day(2), 2.0, None),
                (day(3), 0.0, 1.0),
                (day(4), 2.0, 0.0),
                (day(5), -2.0, -1.0),
                (day(6), math.inf, 1.0),
                (day(7), 1.0, 8.0),
                (day(9), 3.0, 2.0),
            ]
        )
    )
    assert read.day.tolist() == [(day(7) - EPOCH).days, (day(9) - EPOCH).days]
    assert read.ratio.tolist() == [0.125, 1.5]


@given(
    splits=st.lists(
        st.tuples(st.integers(0, 9), st.sampled_from([2.0, 0.5, 1.5])), max_size=4, unique_by=lambda s: s[0]
    ),
    spans=st.lists(st.tuples(st.integers(-1, 10), st.integers(-1, 10)), max_size=6),
)
def test_the_splits_between_are_those_after_the_first_day_until_the_second(
    splits: list[tuple[int, float]], spans: list[tuple[int, int]]
) -> None:
    splits.sort()
    known = Splits(np.array([s[0] for s in splits], np.int32), np.array([s[1] for s in splits]))
    after, until = (np.array([span[k] for span in spans], np.int32) for k in (0, 1))
    expected = [math.prod(ratio for on, ratio in splits if low < on <= high) for low, high in spans]
    assert known.between(after, until).tolist() == pytest.approx(expected)


def test_days_are_numbered_from_1970() -> None:
    frame = closes_frame([(date(1970, 1, 1), 1.0), (date(2000, 1, 1), 1.0)])
    assert day_numbers(frame["date"]).tolist() == [0, 10957]
    assert day_numbers(frame["date"]).dtype == np.int32
