from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from vollib.black_scholes import black_scholes as vollib_price
from vollib.black_scholes.greeks.analytical import delta as vollib_delta
from vollib.black_scholes.greeks.analytical import vega as vollib_vega

from options_bt.data.black_scholes import black_scholes, implied_volatilities, implied_volatility

spots, log_moneyness = st.floats(1.0, 2000.0), st.floats(-0.7, 0.7)
days, volatilities = st.floats(1.0, 730.0), st.floats(0.05, 3.0)
rights = st.sampled_from([0, 1])


@given(right=rights, spot=spots, away=log_moneyness, day=days, volatility=volatilities)
def test_values_agree_with_vollib(right: int, spot: float, away: float, day: float, volatility: float) -> None:
    strike, years = spot * math.exp(away), day / 365
    value, delta, vega = black_scholes(right, spot, strike, years, volatility)
    given_ = ("pc"[right], spot, strike, years, 0.0, volatility)
    assert value == pytest.approx(vollib_price(*given_), rel=1e-12, abs=1e-12 * spot)
    assert delta == pytest.approx(vollib_delta(*given_), rel=1e-12, abs=1e-12)
    assert vega == pytest.approx(100 * vollib_vega(*given_), rel=1e-9, abs=1e-12 * spot)


@given(right=rights, spot=spots, away=log_moneyness, day=days, volatility=volatilities)
def test_a_price_implies_the_volatility_that_it_was_made_with(
    right: int, spot: float, away: float, day: float, volatility: float
) -> None:
    strike, years = spot * math.exp(away), day / 365
    value, _, vega = black_scholes(right, spot, strike, years, volatility)
    time_value = value - max(0.0, spot - strike if right else strike - spot)
    # A tenth of a cent and a vega that feels a change: else the price says too little of the volatility.
    assume(time_value > 0.001 and vega > 1e-6 * spot and time_value < 0.999 * min(spot, strike))
    assert implied_volatility(right, value, spot, strike, years) == pytest.approx(volatility, abs=1e-6)


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
    ],
)
def test_an_impossible_price_implies_none(right: int, price: float, spot: float, years: float) -> None:
    assert math.isnan(implied_volatility(right, price, spot, 100.0, years))


def test_many_at_once_are_each_as_alone() -> None:
    right, price = np.array([0, 1, 1], np.int8), np.array([3.0, 3.0, 0.0])
    spot, strike, years = np.full(3, 100.0), np.array([98.0, 102.0, 100.0]), np.full(3, 0.1)
    volatility, vega = implied_volatilities(right, price, spot, strike, years)
    alone = [implied_volatility(*row) for row in zip(right, price, spot, strike, years, strict=True)]
    np.testing.assert_array_equal(volatility, alone)
    assert vega[0] == black_scholes(0, 100.0, 98.0, 0.1, alone[0])[2]
    assert math.isnan(volatility[2]) and math.isnan(vega[2])
