from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from vollib.black_scholes import black_scholes as vollib_price
from vollib.black_scholes.implied_volatility import implied_volatility as vollib_implied

from options_bt.data.market.implied import implied_volatilities
from options_bt.engine.black_scholes import black_scholes

spots, log_moneyness = st.floats(1.0, 2000.0), st.floats(-0.7, 0.7)
days, volatilities = st.floats(1.0, 730.0), st.floats(0.02, 5.0)
rights = st.sampled_from([0, 1])
options = st.tuples(rights, spots, log_moneyness, days, volatilities)
Option = tuple[int, float, float, float, float]


def implied(*rows: tuple[int, float, float, float, float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Volatilities and vegas of rows of right, price, spot, strike and years."""
    right, *others = zip(*rows, strict=True)
    found: tuple[NDArray[np.float64], NDArray[np.float64]] = implied_volatilities(
        np.array(right, np.int8), *(np.array(column, np.float64) for column in others)
    )
    return found


def priced(option: Option) -> tuple[int, float, float, float, float]:
    """Right, price, spot, strike and years of an option out of the money, whose price says what its volatility is."""
    _, spot, away, day, volatility = option
    right = int(away > 0)
    strike, years = spot * math.exp(away), day / 365
    value = vollib_price("pc"[right], spot, strike, years, 0.0, volatility)
    assume(1e-6 < value < 0.999 * min(spot, strike))
    return right, value, spot, strike, years


def felt(option: Option) -> float:
    """How much of a price's relative rounding error comes through to its volatility, relative."""
    right, _, spot, strike, years = priced(option)
    _, _, vega = black_scholes(right, spot, strike, years, option[4])
    return max(1.0, min(spot, strike) / (vega * option[4]))


@given(option=options)
def test_a_price_implies_the_volatility_that_it_was_made_with(option: Option) -> None:
    right, _, spot, strike, years = priced(option)
    (volatility,), (vega,) = implied(priced(option))
    assert volatility == pytest.approx(option[4], rel=1e-14 * felt(option))
    assert vega == pytest.approx(black_scholes(right, spot, strike, years, volatility)[2], rel=1e-12)


@given(option=options)
def test_vollib_finds_the_same(option: Option) -> None:
    right, value, spot, strike, years = priced(option)
    expected = vollib_implied(value, spot, strike, years, 0.0, "pc"[right])
    assert implied(priced(option))[0][0] == pytest.approx(expected, rel=1e-14 * felt(option))


@given(option=options)
def test_an_option_in_the_money_has_the_volatility_of_the_other_right(option: Option) -> None:
    right, value, spot, strike, years = priced(option)
    mirrored = value + abs(spot - strike)
    time_value = mirrored - abs(spot - strike)  # what is left of the price after rounding
    assume(time_value > 1e-6)
    (one, other), _ = implied((1 - right, mirrored, spot, strike, years), (right, time_value, spot, strike, years))
    assert one == other


@given(many=st.lists(options, min_size=1, max_size=40))
def test_many_at_once_are_each_as_alone_to_the_last_bit(many: list[Option]) -> None:
    rows = [priced(option) for option in many]
    rows[::7] = [(row[0], math.nan, *row[2:]) for row in rows[::7]]
    together = implied(*rows)
    alone = [implied(row) for row in rows]
    np.testing.assert_array_equal(together[0], [volatility[0] for volatility, _ in alone])
    np.testing.assert_array_equal(together[1], [vega[0] for _, vega in alone])


def test_the_place_among_tens_of_thousands_changes_nothing() -> None:
    rows = [(number % 2, 1.0 + number, 100.0, 80.0 + number, 0.2) for number in range(35)]
    alone, many = implied(*rows), implied(*(rows * 1000))
    for one, all_of_them in zip(alone, many, strict=True):
        np.testing.assert_array_equal(all_of_them, np.tile(one, 1000))


@pytest.mark.parametrize(
    ("right", "price", "spot", "years"),
    [
        (1, 10.0, 110.0, 0.1),  # no time value
        (1, 9.0, 110.0, 0.1),  # below intrinsic value
        (0, 100.5, 90.0, 0.1),  # a put above its strike
        (1, 95.0, 90.0, 0.1),  # a call above the shares
        (1, 5.0, 100.0, 0.0),  # expired
        (1, 5.0, math.nan, 0.1),
        (1, math.nan, 100.0, 0.1),
        (1, math.inf, 100.0, 0.1),
        (1, 0.9e-9, 100.0, 0.1),
    ],
)
def test_an_impossible_price_implies_none(right: int, price: float, spot: float, years: float) -> None:
    assert np.isnan(implied((right, price, spot, 100.0, years))).all()


@pytest.mark.parametrize("price", [1.1e-9, 1e-6, 0.01, 3.0, 30.0, 90.0, 99.0, 99.999])
@pytest.mark.parametrize("strike", [100.0, 100.0001, 101.0, 150.0, 1000.0])
def test_a_price_far_out_implies_one_that_gives_it_back(price: float, strike: float) -> None:
    (volatility,), _ = implied((1, price, 100.0, strike, 0.5))
    assert black_scholes(1, 100.0, strike, 0.5, volatility)[0] == pytest.approx(price, rel=1e-9, abs=1e-13)


def test_without_quotes_there_is_nothing() -> None:
    nothing = np.empty(0)
    volatility, vega = implied_volatilities(np.empty(0, np.int8), nothing, nothing, nothing, nothing)
    assert len(volatility) == len(vega) == 0
