from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vollib.black_scholes import black_scholes as vollib_price
from vollib.black_scholes.greeks.analytical import delta as vollib_delta
from vollib.black_scholes.greeks.analytical import vega as vollib_vega

from options_bt.engine.black_scholes import black_scholes

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
