"""The laws of section 9 of docs/semantics.md, on random markets and for every strategy."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from options_bt.engine.backtest import Outcome, run_backtest, run_metrics
from options_bt.engine.frames import equity_table, trades_table
from tests.engine.test_backtest import NAMED, random_parameters, spec_of
from tests.markets import RandomMarket, random_market

pytestmark = pytest.mark.slow

ARMS_BY_DAY = (
    ("return_1 < 0", "put_credit_spread"),
    ("return_1 > 0.01 or iv_30 > 0.4", "call_credit_spread"),
    ("close > 0", "iron_condor"),
)
Rows = list[dict[str, Any]]
SEEDS = st.integers(0, 2**32)
PRICES = ("strike", "bid", "ask")
ARMS = {"arms": [{"when": when, "strategy": name} for when, name in ARMS_BY_DAY]}
LAWFUL, NAMES = (*NAMED, ARMS), (*NAMED, "arms")
NO_LEAST_SPREAD = {"unquoted": "hold"}  # a modelled half-spread is at least a cent at any price


def outcome_of(market: RandomMarket, strategy: Any, params: dict[str, Any]) -> Outcome:
    return run_backtest(spec_of(market, strategy, params, market.start, market.end), market.built())


def trades(outcome: Outcome) -> Rows:
    return trades_table([("job", outcome)]).to_dicts()


def equity(outcome: Outcome) -> Rows:
    return equity_table([("job", outcome)]).to_dicts()


def free_of_fees(seed: int) -> dict[str, Any]:
    return random_parameters(Random(seed)) | {"commission": 0.0, "assignment_fee": 0.0}


def changed_after(market: RandomMarket, moment: Any, random: Random) -> RandomMarket:
    """Return the market with other prices, quotes and splits after a moment, and a last day all the same."""
    quotes = []
    for row in market.quotes:
        if row["date"] is None or row["date"] <= moment:
            quotes.append(row)
        elif random.random() < 0.6:
            factor = random.choice([0.5, 1.0, 1.7])
            bid, ask = row["bid"], row["ask"]
            quotes.append(row | {"bid": bid and bid * factor, "ask": ask and ask * factor})
    end = {"date": market.end + timedelta(days=1), "expiration": market.end + timedelta(days=9), "strike": 1.0}
    quotes.append(end | {"right": "put", "bid": 0.1, "ask": 0.2, "iv": None, "delta": None})
    closes = [(day, close and close * 3 if day > moment else close) for day, close in market.closes]
    splits = [split for split in market.splits if split[0] <= moment]
    later = moment + timedelta(days=random.randint(1, 20))
    dividends = [row for row in market.dividends if row[0] <= moment]
    return replace(
        market,
        quotes=quotes,
        closes=closes,
        splits=[*splits, (later, 7.0, 2.0)],
        dividends=[*dividends, (later, random.choice([0.1, 10.0]))],
        end=market.end + timedelta(days=1),
    )


@pytest.mark.parametrize("strategy", LAWFUL, ids=NAMES)
@settings(max_examples=12, deadline=None)
@given(seed=SEEDS)
def test_causality(strategy: Any, seed: int) -> None:
    random = Random(seed)
    market, params = random_market(seed), random_parameters(random)
    days = sorted({row["date"] for row in market.quotes if row["date"]})
    if len(days) < 3:
        return
    moment = random.choice(days[:-1])
    known = outcome_of(changed_after(market, moment, Random(seed)), strategy, params)
    other = outcome_of(changed_after(market, moment, Random(seed + 1)), strategy, params)
    assert [day for day in equity(known) if day["date"] <= moment] == [d for d in equity(other) if d["date"] <= moment]
    ended = [[t for t in trades(o) if t["exit_date"] <= moment] for o in (known, other)]
    assert ended[0] == ended[1]
    at_entry = ("entry_date", "expiration", "close_entry", "max_loss")
    begun = [[[t[n] for n in at_entry] for t in trades(o) if t["entry_date"] <= moment] for o in (known, other)]
    assert begun[0] == begun[1]


@pytest.mark.parametrize("strategy", LAWFUL, ids=NAMES)
@settings(max_examples=12, deadline=None)
@given(seed=SEEDS)
def test_a_market_cut_short_is_unchanged_before_the_cut(strategy: Any, seed: int) -> None:
    random = Random(seed)
    market, params = random_market(seed), random_parameters(random)
    days = sorted({row["date"] for row in market.quotes if row["date"]})
    if not days:
        return
    cut = random.choice(days)
    short = replace(
        market,
        quotes=[row for row in market.quotes if row["date"] is None or row["date"] <= cut],
        closes=[row for row in market.closes if row[0] <= cut],
        splits=[row for row in market.splits if row[0] <= cut],
        dividends=[row for row in market.dividends if row[0] <= cut],
    )
    whole, part = (outcome_of(m, strategy, params) for m in (market, short))
    # On its last day what is open ends; that is before the cut when no quote of the cut's day survives cleaning.
    last = max((day["date"] for day in equity(part)), default=cut)
    assert [day for day in equity(whole) if day["date"] < last] == [day for day in equity(part) if day["date"] < last]
    assert [t for t in trades(whole) if t["exit_date"] < last] == [t for t in trades(part) if t["exit_date"] < last]


@pytest.mark.parametrize("strategy", LAWFUL, ids=NAMES)
@settings(max_examples=12, deadline=None)
@given(seed=SEEDS)
def test_conservation(strategy: Any, seed: int) -> None:
    params = random_parameters(Random(seed))
    outcome = outcome_of(random_market(seed), strategy, params)
    if len(outcome.equity):
        earned = sum(trade["pnl"] for trade in trades(outcome))
        assert outcome.equity[-1] == pytest.approx(params["capital"] + earned, abs=1e-6)


@pytest.mark.parametrize("strategy", LAWFUL, ids=NAMES)
@settings(max_examples=12, deadline=None)
@given(seed=SEEDS, scale=st.sampled_from([2, 10]))
def test_scale(strategy: Any, seed: int, scale: int) -> None:
    # Without splits, whose strikes are rounded to cents, and without strikes of less than one.
    market = replace(random_market(seed), splits=[])
    market = replace(market, quotes=[row for row in market.quotes if row["strike"] is None or row["strike"] > 0.01])
    larger = replace(
        market,
        quotes=[row | {name: row[name] and row[name] * scale for name in PRICES} for row in market.quotes],
        closes=[(day, close and close * scale) for day, close in market.closes],
        dividends=[(day, amount * scale) for day, amount in market.dividends],
    )
    params = random_parameters(Random(seed)) | {"commission": 0.0} | NO_LEAST_SPREAD
    scaled = params | {name: params[name] * scale for name in ("capital", "width", "min_credit", "assignment_fee")}
    small, large = trades(outcome_of(market, strategy, params)), trades(outcome_of(larger, strategy, scaled))
    assert [trade["entry_date"] for trade in small] == [trade["entry_date"] for trade in large]
    for one, other in zip(small, large, strict=True):
        assert other["pnl"] == pytest.approx(one["pnl"] * scale, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("strategy", LAWFUL, ids=NAMES)
@settings(max_examples=12, deadline=None)
@given(seed=SEEDS, ratio=st.sampled_from([2.0, 4.0, 0.5]))
def test_a_split_changes_no_profit_of_what_is_open_across_it(strategy: Any, seed: int, ratio: float) -> None:
    random = Random(seed)
    market = replace(random_market(seed), splits=[])
    # Strikes that stay whole cents, and an ex-date within the market.
    market = replace(market, quotes=[_with_round_strike(row) for row in market.quotes])
    ex_date = market.start + timedelta(days=random.randint(1, (market.end - market.start).days))

    def after(row: dict[str, Any]) -> dict[str, Any]:
        if row["date"] is None or row["date"] < ex_date:
            return row
        return row | {name: row[name] and row[name] / ratio for name in PRICES}

    split = replace(
        market,
        quotes=[after(row) for row in market.quotes],
        closes=[(day, close and close / ratio if day >= ex_date else close) for day, close in market.closes],
        splits=[(ex_date, ratio, 1.0)],
        dividends=[(day, amount / ratio if day >= ex_date else amount) for day, amount in market.dividends],
    )
    params = free_of_fees(seed) | {"max_positions": 5} | NO_LEAST_SPREAD
    before = [
        {
            trade["entry_date"]: trade
            for trade in trades(outcome_of(m, strategy, params))
            if trade["entry_date"] < ex_date
        }
        for m in (market, split)
    ]
    assert before[0].keys() == before[1].keys()
    for day, one in before[0].items():
        assert before[1][day]["pnl"] == pytest.approx(one["pnl"], abs=1e-6)
        assert before[1][day]["exit_date"] == one["exit_date"]


def _with_round_strike(row: dict[str, Any]) -> dict[str, Any]:
    strike = row["strike"]
    return (
        row if strike is None or not math.isfinite(strike) or strike < 1 else row | {"strike": round(strike * 25) / 25}
    )


@pytest.mark.parametrize("cost", ["commission", "slippage"])
@pytest.mark.parametrize("strategy", LAWFUL, ids=NAMES)
@settings(max_examples=8, deadline=None)
@given(seed=SEEDS)
def test_costs_never_raise_the_profit_of_the_same_trade(strategy: Any, cost: str, seed: int) -> None:
    market = random_market(seed)
    # No exit by profit or loss, so that costs do not move the exits.
    params = random_parameters(Random(seed)) | {"stop_loss": None, "profit_target": None, "capital": 1e9}
    params = {name: value for name, value in params.items() if name not in ("risk", "contracts")}
    cheap, dear = (trades(outcome_of(market, strategy, params | {cost: value})) for value in (0.1, 0.9))
    same = {(t["entry_date"], t["exit_date"], *(leg["strike"] for leg in t["legs"])): t["pnl"] for t in cheap}
    for trade in dear:
        key = (trade["entry_date"], trade["exit_date"], *(leg["strike"] for leg in trade["legs"]))
        assert trade["pnl"] <= same.get(key, math.inf) + 1e-9


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_backtests_that_go_through_the_days_together_give_what_each_gives_alone(seed: int) -> None:
    random = Random(seed)
    market, built = random_market(seed), random_market(seed).built()
    middle = market.start + (market.end - market.start) / 2
    spans = ((market.start, market.end), (market.start, middle), (middle, market.end))
    specs = [spec_of(market, random.choice(LAWFUL), random_parameters(random), *random.choice(spans)) for _ in range(9)]
    together = run_metrics(specs, built)
    assert np.array_equal(together, [run_backtest(spec, built).metrics for spec in specs], equal_nan=True)
