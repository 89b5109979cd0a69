"""Modelled quotes: exact on a flat surface, near on real quotes that were left out."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_bt.data.market.building import build_market
from options_bt.data.market.market import Market
from options_bt.data.sources.files import FilesSource
from options_bt.engine.black_scholes import black_scholes
from options_bt.engine.modelled import LEAST_HALF_SPREAD, modelled
from tests.data.quotes import Row, chain_frame, closes_frame, quote, splits_frame

TODAY, CLOSE, VOLATILITY = date(2020, 1, 2), 100.0, 0.3
RIGHTS = ("put", "call")
EXPIRED = {"expiration": TODAY}
EPOCH = date(1970, 1, 1)


def priced(days: int, strike: float, right: str, half: float = 0.02) -> Row:
    value, delta, _ = black_scholes(RIGHTS.index(right), CLOSE, strike, days / 365, VOLATILITY)
    expiration = TODAY + timedelta(days=days)
    return quote(TODAY, expiration, strike, right, bid=value - half, ask=value + half, delta=delta)


def market_of(rows: list[Row]) -> Market:
    return build_market("X", "f", chain_frame(rows), closes_frame([(TODAY, CLOSE)]), splits_frame([]))


def model(market: Market, day: int, right: str, strike: float, expiration: date) -> tuple[float, float, float]:
    chain: Any = market.chain
    return modelled(chain, chain.days[day], RIGHTS.index(right), strike, (expiration - EPOCH).days)


FLAT = market_of([priced(*contract) for contract in product((14, 28, 56), (90, 95, 100, 105, 110), RIGHTS)])


@pytest.mark.slow
@given(days=st.integers(1, 120), strike=st.floats(80, 125), right=st.sampled_from(RIGHTS))
def test_on_a_flat_surface_every_contract_has_its_value(days: int, strike: float, right: str) -> None:
    mid, half, delta = model(FLAT, 0, right, strike, TODAY + timedelta(days=days))
    value, expected, _ = black_scholes(RIGHTS.index(right), CLOSE, strike, days / 365, VOLATILITY)
    assert mid == pytest.approx(max(value, half), abs=1e-7)
    assert half >= LEAST_HALF_SPREAD
    assert delta == pytest.approx(expected, abs=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("right", RIGHTS)
def test_a_quoted_contract_has_its_own_mid_and_spread(right: str) -> None:
    mid, half, _ = model(FLAT, 0, right, 95.0, TODAY + timedelta(days=28))
    row = priced(28, 95.0, right)
    assert (mid - half, mid + half) == pytest.approx((row["bid"], row["ask"]), abs=1e-9)


def test_a_day_without_usable_quotes_of_a_right_says_so() -> None:
    rows = [priced(28, 95.0, "put"), priced(28, 105.0, "call") | {"bid": 0.0}, priced(28, 99.0, "call") | EXPIRED]
    assert market_of(rows).chain.days.has_volatility.tolist() == [[1, 0]]


@pytest.mark.slow
def test_real_strikes_that_are_left_out_are_priced_within_their_spread(real_data: Path) -> None:
    source = FilesSource(str(real_data), {})
    ((_, chain),) = source.chain("SPX", [2011])
    closes = source.closes("SPX")
    days_left = (pl.col("expiration") - pl.col("date")).dt.total_days()
    delta = pl.col("delta").abs().is_between(0.01, 0.7)
    near = chain.filter(days_left.is_between(1, 75) & delta & (pl.col("bid") > 0))
    # Every second strike is left out.
    place = pl.col("strike").rank("dense").over("date", "expiration", "right")
    skipped = near.filter(place % 2 == 0)
    kept = chain.join(skipped, on=["date", "expiration", "strike", "right"], how="anti")
    market = build_market("SPX", "thin", kept, closes, splits_frame([]))
    number = {day: index for index, day in enumerate(sorted(kept["date"].unique()))}
    errors, halves = [], []
    for row in skipped.iter_rows(named=True):
        mid, _, _ = model(market, number[row["date"]], row["right"], row["strike"], row["expiration"])
        errors.append(abs(mid - (row["bid"] + row["ask"]) / 2))
        halves.append((row["ask"] - row["bid"]) / 2)
    assert len(errors) > 500
    assert np.mean(np.array(errors) <= halves) > 0.95
    assert np.mean(errors) < 0.15 * np.mean(halves)
