from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from options_bt.analysis.compare import compare
from options_bt.analysis.comparison_text import comparison_text
from options_bt.analysis.metric_differences import metric_differences, sign_test
from options_bt.analysis.run_reader import open_run
from options_bt.engine.metrics import METRICS
from tests.small_run import SmallRun, finished, job_of


def results(symbols: str, **columns: list[Any]) -> pl.DataFrame:
    """Results with these metrics; every other is null."""
    nothing = {name: pl.Series([None] * len(symbols), dtype=pl.Float64) for name in METRICS}
    return pl.DataFrame({"symbol": list(symbols)} | nothing | columns, strict=False)


def row(metric: str, a: list[Any], b: list[Any], symbols: str = "AABB") -> dict[str, Any]:
    found = metric_differences(results(symbols, **{metric: a}), results(symbols, **{metric: b}))
    assert found["metric"].to_list() == list(METRICS)
    return found.row(by_predicate=pl.col("metric") == metric, named=True)


def test_a_metric_is_compared_pair_by_pair() -> None:
    assert row("sharpe", [1.0, 2.0, 3.0, 6.0], [2.0, 2.0, 2.0, 8.0]) == {
        "metric": "sharpe",
        "jobs": 4,
        "mean_a": 3.0,
        "mean_b": 3.5,
        "median_a": 2.5,
        "median_b": 2.0,
        "difference": 0.5,
        "better": 2,
        "worse": 1,
        "same": 1,
        "symbols_better": 2,
        "symbols_worse": 0,
        "chance": 0.5,
    }


def test_less_drawdown_is_better() -> None:
    found = row("max_drawdown", [0.2, 0.2, 0.1, 0.1], [0.1, 0.1, 0.1, 0.3])
    assert (found["better"], found["worse"], found["same"]) == (2, 1, 1)
    assert (found["symbols_better"], found["symbols_worse"], found["chance"]) == (1, 1, 1.0)


def test_more_trades_are_neither_better_nor_worse() -> None:
    found = row("trades", [10, 10, 10, 10], [12, 10, 10, 10])
    assert (found["difference"], found["better"], found["worse"], found["same"]) == (0.5, None, None, 3)
    assert found["chance"] is None


def test_pairs_that_lack_a_value_are_left_out_and_counted() -> None:
    found = row("sharpe", [1.0, None, 3.0, None], [2.0, 5.0, None, None])
    assert (found["jobs"], found["mean_a"], found["mean_b"], found["better"]) == (1, 1.0, 2.0, 1)
    nothing = row("sharpe", [None] * 4, [1.0] * 4)
    assert (nothing["jobs"], nothing["mean_a"], nothing["difference"], nothing["chance"]) == (0, None, None, None)


def test_rounding_is_no_difference() -> None:
    found = row("total_pnl", [0.1 + 0.2, 1.0, 1.0, 1.0], [0.3, 1.0, 1.0, 1.0])
    assert (found["same"], found["chance"]) == (4, None)


@given(better=st.integers(0, 60), worse=st.integers(0, 60))
def test_the_sign_test_is_that_of_scipy(better: int, worse: int) -> None:
    if better + worse:
        assert sign_test(better, worse) == pytest.approx(binomtest(better, better + worse).pvalue)
    else:
        assert sign_test(better, worse) is None


def test_many_symbols_are_no_overflow() -> None:
    assert sign_test(2200, 0) == pytest.approx(0)
    assert sign_test(1100, 1100) == 1.0


def test_more_slippage_is_told_to_be_worse(small_run: SmallRun, tmp_path: Path) -> None:
    run = open_run(small_run.path)
    other = finished(job_of(symbols=["SPY", "NVDA"], params={"slippage": 1.0}), tmp_path, small_run.cache)
    comparison = compare(run, other)
    pnl = comparison.metrics.row(by_predicate=pl.col("metric") == "total_pnl", named=True)
    a, b = (one.results()["total_pnl"] for one in (run, other))
    assert (pnl["mean_a"], pnl["median_b"]) == pytest.approx((a.mean(), b.median()))
    assert (pnl["jobs"], pnl["better"], pnl["worse"], pnl["symbols_worse"], pnl["chance"]) == (4, 0, 4, 2, 0.5)
    lines = comparison_text(comparison, 3).splitlines()
    header = next(number for number, line in enumerate(lines) if line.startswith("metric"))
    assert lines[header - 1] == "Metrics of the common jobs, B against A:"
    told = {line.split()[0]: line.split() for line in lines[header + 2 :]}
    assert told["total_pnl"][-5:] == ["0", "4", "0", "0:2", "0.5"]
    assert told["total_return"][2].endswith("%")
    assert told["total_pnl"][2] == f"{pnl['mean_a']:,.2f}"


def test_metrics_that_do_not_differ_are_not_printed(small_run: SmallRun, tmp_path: Path) -> None:
    run = open_run(small_run.path)
    fewer = finished(job_of(), tmp_path, small_run.cache)
    assert "Metrics" not in comparison_text(compare(run, fewer), 3)
