from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from options_bt.engine.backtest import Outcome, metrics_row, run_backtest
from options_bt.engine.frames import equity_table, trades_table
from options_bt.job.planner import Plan
from options_bt.job.reading import read_job
from options_bt.job.spec import JobSpec
from options_bt.job.strategies import ONE_ARMED
from tests import reference
from tests.markets import RandomMarket, random_market

NAMED = tuple(ONE_ARMED)
CUSTOM: tuple[list[dict[str, Any]], ...] = (
    [
        {"name": "a", "right": "put", "side": "short", "delta": 0.3, "ratio": 2},
        {"name": "b", "right": "put", "side": "long", "width": 4.0, "of": "a", "ratio": 2},
    ],
    [
        {"name": "a", "right": "call", "side": "short", "moneyness": 1.02},
        {"name": "b", "right": "call", "side": "long", "width_pct": 0.05, "of": "a"},
        {"name": "c", "right": "put", "side": "short", "same_strike": "a"},
    ],
    [
        {"name": "a", "right": "put", "side": "long", "delta": 0.4},
        {"name": "b", "right": "put", "side": "short", "width": 3.0, "of": "a", "ratio": 2},
        {"name": "c", "right": "put", "side": "long", "width": 3.0, "of": "b"},
    ],
    [
        {"name": "a", "right": "call", "side": "long", "delta": 0.6},
        {"name": "b", "right": "call", "side": "short", "delta": 0.3, "ratio": 2},
    ],
    [
        {"name": "a", "right": "put", "side": "short", "delta": 0.3},
        {"name": "b", "right": "put", "side": "long", "width": 5.0, "of": "a", "inward": True},
    ],
    [
        {"name": "a", "right": "put", "side": "long", "delta": 0.3},
        {"name": "b", "right": "put", "side": "long", "delta": 0.31},
        {"name": "c", "right": "call", "side": "short", "delta": 0.3},
    ],
)
STRATEGIES: tuple[Any, ...] = (*NAMED, *({"legs": legs, "shares": shares} for legs in CUSTOM for shares in (0, 1)))


def random_parameters(random: Random) -> dict[str, Any]:
    """Return parameters in the form of a job file; most of them set, so that rules meet."""

    def maybe(*values: Any) -> Any:
        return random.choice(values)

    low = random.randint(1, 10)
    params = {
        "delta": maybe(0.1, 0.2, 0.3, 0.5),
        "delta_tolerance": maybe(0.1, 0.4, 1.0),
        "dte": [low, low + random.choice([0, 10, 30, 60])],
        "width": maybe(1.0, 2.5, 5.0, 20.0),
        "width_tolerance": maybe(0.5, 2.0),
        "moneyness_tolerance": maybe(0.01, 0.05, 0.2),
        "slippage": maybe(0.0, 0.5, 1.0),
        "min_credit": maybe(0.0, 0.0, 0.05, 0.5),
        "min_credit_pct": maybe(None, None, 0.2),
        "max_spread_pct": maybe(None, None, 0.3),
        "stop_loss": maybe(None, None, 0.5, 2.0),
        "profit_target": maybe(None, None, 0.25, 0.5),
        "exit_dte": maybe(None, None, 0, 5),
        "max_days": maybe(None, None, None, 3, 10),
        "exit_delta": maybe(None, None, 0.4),
        "max_positions": maybe(1, 1, 2, 5),
        "entry_every": maybe("any", "any", "any", "first_of_week", ["mon", "wed"]),
        "capital": maybe(100000.0, 100000.0, 10000.0, 1500.0),
        "commission": maybe(0.0, 0.65),
        "assignment_fee": maybe(0.0, 5.0),
        "multiplier": maybe(100.0, 10.0),
        "risk_free": maybe(0.0, 0.03),
        "unquoted": maybe("hold", "model"),
        "early_assignment": maybe(True, True, False),
    }
    sizing: dict[str, Any] = maybe({"contracts": 1}, {"contracts": 3}, {"risk": 0.1}, {"risk": 0.5})
    return params | sizing


def spec_of(market: RandomMarket, strategy: Any, params: dict[str, Any], start: date, end: date) -> JobSpec:
    """Return the job spec of a strategy and parameters by the way of a job file."""
    job, faults = read_job(
        {
            "name": "test",
            "symbols": ["TEST"],
            "period": {"start": start, "end": end},
            "strategy": strategy,
            "params": params,
        }
    )
    assert job is not None, faults
    return Plan(job)[0]


def reference_params(strategy: Any, params: dict[str, Any]) -> dict[str, Any]:
    """Return the same parameters as the reference takes them."""
    return params | {"strategy": strategy, "dte": tuple(params["dte"])}


def close_to(ours: Any, theirs: Any) -> bool:
    """Return whether two cells agree: exactly, or as floats to the last few bits."""
    if ours is None or theirs is None:
        return ours is theirs
    if isinstance(theirs, float):
        # A ratio in the millions is a mean over next to no deviation, of which rounding is a larger part.
        return math.isclose(ours, theirs, rel_tol=max(1e-9, 1e-12 * abs(theirs)), abs_tol=1e-7)
    return bool(ours == theirs)


def disagreements(outcome: Outcome, expected: reference.Result) -> list[str]:
    """Return every cell in which the engine and the reference differ."""
    found: list[str] = []
    trades = trades_table([("job", outcome)]).to_dicts()
    equity = equity_table([("job", outcome)]).to_dicts()
    if len(trades) != len(expected.trades) or len(equity) != len(expected.equity):
        return [f"{len(trades)} trades, {len(equity)} days; expected {len(expected.trades)}, {len(expected.equity)}"]
    for table, ours, theirs in (("trade", trades, expected.trades), ("day", equity, expected.equity)):
        for number, (left, right) in enumerate(zip(ours, theirs, strict=True)):
            for name, value in right.items():
                if name == "legs":
                    pairs = [
                        (leg[key], other[key]) for leg, other in zip(left["legs"], value, strict=True) for key in other
                    ]
                    bad = not all(close_to(*pair) for pair in pairs)
                else:
                    bad = not close_to(left[name], value)
                if bad:
                    found.append(f"{table} {number} {name}: {left[name]}, expected {value}")
    metrics = metrics_row(outcome.metrics)
    for name, value in expected.metrics.items():
        if not close_to(metrics[name], value):
            found.append(f"{name}: {metrics[name]}, expected {value}")
    for reason, count in expected.refusals.items():
        if metrics[f"refused_{reason}"] != count:
            found.append(f"refused_{reason}: {metrics[f'refused_{reason}']}, expected {count}")
    return found


def check_against_reference(seed: int) -> int:
    """Backtest every strategy on a random market, each with parameters of its own; return how many there are."""
    market = random_market(seed)
    built = market.built()
    random = Random(seed + 1)
    span = (market.end - market.start).days
    for strategy in STRATEGIES:
        start = market.start + timedelta(days=random.choice([0, random.randint(0, span // 2)]))
        end = market.end - timedelta(days=random.choice([0, random.randint(0, span // 3)]))
        params = random_parameters(random)
        expected = reference.backtest(
            market.quotes,
            market.closes,
            market.splits,
            start,
            end,
            reference_params(strategy, params),
            dividends=market.dividends,
        )
        outcome = run_backtest(spec_of(market, strategy, params, start, end), built)
        assert disagreements(outcome, expected) == [], f"{strategy} with {params}"
    return len(STRATEGIES)


@pytest.mark.slow
@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.long) for part in (1, 2, 3))])
def test_agrees_with_the_reference(part: int, record_property: Callable[[str, object], None]) -> None:
    agreed = 0

    @settings(max_examples=40)
    @given(seed=st.integers(0, 2**32).map(lambda number: 4 * number + part))
    def check(seed: int) -> None:
        nonlocal agreed
        agreed += check_against_reference(seed)

    check()
    record_property("random markets x strategies that agree with the reference", agreed)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_cleaning_counts_agree_with_the_reference(seed: int) -> None:
    market = random_market(seed)
    built = market.built()
    expected = reference.backtest(
        market.quotes, market.closes, market.splits, market.start, market.end, {"strategy": "short_put"}
    )
    assert built.dropped == expected.dropped
