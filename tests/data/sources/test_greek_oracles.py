"""The demo's option values, greeks and implied volatilities against vollib, Jaeckel's "Let's be rational" in Python.

Both quote theta per calendar day (365 a year), vega per point of volatility and rho per point of rate.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vollib.black_scholes import black_scholes as vollib_price
from vollib.black_scholes.greeks import analytical
from vollib.black_scholes.implied_volatility import implied_volatility

from options_bt.data.sources.demo import DemoSource
from options_bt.data.sources.simulation import RATE, black_scholes, calendar_years

GREEKS = ("delta", "gamma", "theta", "vega", "rho")
ORACLES: dict[str, Callable[..., float]] = {
    "price": vollib_price,
    **{name: getattr(analytical, name) for name in GREEKS},
}
IV_ROUNDING, GREEK_ROUNDING = 0.5e-4, 0.5e-4  # both are quoted with four digits
CENT = 0.01


def oracle(name: str, right: str, spot: float, strike: float, years: float, volatility: float) -> float:
    return float(ORACLES[name](right[0], spot, strike, years, RATE, volatility))


@given(
    spot=st.floats(1.0, 2000.0),
    log_moneyness=st.floats(-0.7, 0.7),
    days=st.floats(1 / 24, 730.0),
    volatility=st.floats(0.05, 2.0),
)
def test_black_scholes_agrees_to_twelve_digits(
    spot: float, log_moneyness: float, days: float, volatility: float
) -> None:
    strike, years = spot * np.exp(log_moneyness), days / 365
    values = black_scholes(*(np.array([number]) for number in (spot, strike, years, volatility)))
    assert values.keys() == ORACLES.keys()
    for name, found in values.items():
        expected = [oracle(name, right, spot, strike, years, volatility) for right in ("call", "put")]
        # The demo's normal distribution is good to 1e-12; these two take it times the spot or the strike.
        scale = spot + strike if name in ("price", "rho") else 1.0
        assert found[0] == pytest.approx(expected, rel=1e-12, abs=1e-12 * scale), name


@cache
def quotes(profile: Any) -> list[dict[str, Any]]:
    """Some quotes of a year with what they were made from, free of dirt and of prices cut off at a bid of nothing."""
    source = DemoSource(profile)
    (_, chain), *_ = source.chain("AAPL", [2020])  # a year with a split
    sound = chain.filter(pl.col("delta").is_not_null() & (pl.col("bid") > 0) & (pl.col("ask") > pl.col("bid")))
    sample = sound.join(source.closes("AAPL"), on="date").sample(500, seed=1)
    days = (sample["expiration"] - sample["date"]).dt.total_days().to_numpy()
    return sample.with_columns(years=calendar_years(days)).to_dicts()


def test_the_sample_holds_expiration_days_and_long_dates() -> None:
    years = [row["years"] for profile in ("sparse", "dense") for row in quotes(profile)]
    assert min(years) < 1 / 365 and max(years) > 0.2


@pytest.mark.parametrize("profile", ["sparse", "dense"])
@pytest.mark.parametrize("greek", GREEKS)
def test_quoted_greeks_agree_to_the_rounding_of_both_volatility_and_greek(greek: str, profile: str) -> None:
    for row in quotes(profile):
        contract = (row["right"], row["close"], row["strike"], row["years"])
        ends = [oracle(greek, *contract, row["iv"] + off) for off in (-IV_ROUNDING, 0.0, IV_ROUNDING)]
        slack = GREEK_ROUNDING + 1e-6
        assert min(ends) - slack <= row[greek] <= max(ends) + slack, row


@pytest.mark.parametrize("profile", ["sparse", "dense"])
def test_quoted_mids_agree_to_the_cent(profile: str) -> None:
    for row in quotes(profile):
        price = oracle("price", row["right"], row["close"], row["strike"], row["years"], row["iv"])
        # Bid and ask are whole cents, and at least one apart.
        assert (row["bid"] + row["ask"]) / 2 == pytest.approx(price, abs=CENT + 100 * row["vega"] * IV_ROUNDING + 1e-4)


@pytest.mark.parametrize("profile", ["sparse", "dense"])
def test_the_mids_imply_the_quoted_volatility(profile: str) -> None:
    sensitive = [row for row in quotes(profile) if row["vega"] > 0.02]
    assert len(sensitive) > 200
    for row in sensitive:
        mid = (row["bid"] + row["ask"]) / 2
        implied = implied_volatility(mid, row["close"], row["strike"], row["years"], RATE, row["right"][0])
        # A cent is this much of volatility; twice it, because vega bends.
        assert implied == pytest.approx(row["iv"], abs=2 * CENT / (100 * row["vega"]) + IV_ROUNDING), row
