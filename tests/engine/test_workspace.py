from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import numpy as np
import pytest

from options_bt.data.market.building import build_market
from options_bt.data.market.market import Market
from options_bt.data.sources.demo import DemoSource
from options_bt.engine.backtest import Outcome, run_backtest, run_metrics
from options_bt.job.planner import Plan
from options_bt.job.reading import read_job
from options_bt.job.spec import JobSpec


@pytest.fixture(scope="module")
def market() -> Market:
    source = DemoSource()
    ((_, chain),) = source.chain("SPY", [2024])
    return build_market("SPY", "room", chain, source.closes("SPY"), source.splits("SPY"))


def specs_of(**changes: Any) -> Sequence[JobSpec]:
    described = {
        "name": "room",
        "symbols": ["SPY"],
        "period": {"start": "2024-01-01", "end": "2024-12-31"},
        "grid": {"max_positions": [1, 7], "delta": [0.1, 0.2, 0.3]},
    }
    job, faults = read_job(described | changes)
    assert job is not None, faults
    return Plan(job)[:]


def parts(outcome: Outcome) -> list[bytes]:
    trades = outcome.trades  # whole records have room for more legs, where anything may stand
    arrays = (
        trades.entry_day,
        trades.exit_day,
        trades.pnl,
        outcome.equity,
        outcome.open_positions,
        outcome.margin,
        outcome.metrics,
    )
    return [np.ascontiguousarray(array).tobytes() for array in arrays]


def test_an_outcome_stays_what_it_was_when_others_are_run(market: Market) -> None:
    outcome = run_backtest(specs_of()[0], market)
    before = parts(outcome)
    for spec in specs_of():
        run_backtest(spec, market)
    assert parts(outcome) == before


def test_longer_and_shorter_backtests_and_rows_of_them_may_follow_each_other(market: Market) -> None:
    long, short = specs_of(), specs_of(period={"start": date(2024, 3, 1), "end": date(2024, 4, 1)})
    first = run_metrics(long, market)
    alone = [run_backtest(spec, market).metrics for spec in short]
    np.testing.assert_array_equal(run_metrics(short, market), alone)
    np.testing.assert_array_equal(run_metrics(long, market), first)


def test_each_thread_has_a_room_of_its_own(market: Market) -> None:
    specs = list(specs_of()) * 20
    expected = [parts(run_backtest(spec, market)) for spec in specs]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda spec: parts(run_backtest(spec, market)), specs)) == expected
