"""What a run's trials are, and their returns on one calendar."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from options_bt.analysis.overfitting.sharpe import moments
from options_bt.analysis.overfitting.trials import trials_of
from options_bt.analysis.run_reader import Run, open_run
from tests.small_run import SmallRun, finished, job_of, with_a_failure, with_results


@pytest.fixture
def run(small_run: SmallRun) -> Run:
    return open_run(small_run.path)


def test_a_trial_is_a_backtest_of_the_grid(run: Run) -> None:
    trials = trials_of(run)
    results = run.results()
    assert trials.table.columns == ["symbol", "delta", "jobs", "trades"]
    assert trials.table.select("symbol", "delta", "trades").equals(results.select("symbol", "delta", "trades"))
    assert trials.table["jobs"].to_list() == [[job] for job in results["job"]]
    assert trials.left_out == 0


def test_the_sharpe_ratios_are_those_of_the_results(run: Run) -> None:
    trials = trials_of(run)
    measured = moments(trials.excess)
    results = run.results()
    np.testing.assert_allclose(measured.sharpe * np.sqrt(trials.per_year), results["sharpe"])
    np.testing.assert_allclose(measured.skew, results["skew"])
    np.testing.assert_allclose(measured.kurtosis, results["kurtosis"] + 3)
    np.testing.assert_allclose(np.prod(1 + trials.returns, axis=0) - 1, results["total_return"])


def test_the_risk_free_rate_is_subtracted_as_the_engine_does(small_run: SmallRun, tmp_path: Path) -> None:
    run = finished(job_of(grid={"risk_free": [0.0, 0.05]}), tmp_path, small_run.cache)
    trials = trials_of(run)
    np.testing.assert_allclose(
        moments(trials.excess).sharpe * np.sqrt(trials.per_year), run.results()["sharpe"], rtol=1e-9
    )
    np.testing.assert_allclose(trials.returns[:, 0], trials.returns[:, 1])


def with_equity(run: Run, equity: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(run, "scan", lambda table, jobs: equity.lazy())
    return run


def test_an_account_without_a_quote_stands_still(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    equity, spy = run.equity(), run.results().filter(symbol="SPY")["job"].to_list()
    every_day = trials_of(run)
    thinned = equity.filter(~pl.col("job").is_in(spy) | (pl.int_range(pl.len()).over("job") % 2 == 0))
    trials = trials_of(with_equity(run, thinned, monkeypatch))
    assert trials.days.equals(every_day.days)
    assert (trials.returns[1::2, :2] == 0).all()
    # Nothing that was earned is lost but after the last day that is left.
    last = trials.days.len() - 1 - (trials.days.len() - 1) % 2
    np.testing.assert_allclose(
        np.prod(1 + trials.returns[: last + 1, :2], axis=0), np.prod(1 + every_day.returns[: last + 1, :2], axis=0)
    )
    np.testing.assert_array_equal(trials.returns[:, 2:], every_day.returns[:, 2:])


def test_days_of_nothing_leave_the_ratio_a_year_as_it_was() -> None:
    returns = np.random.default_rng(1).normal(0.001, 0.01, 500)
    padded = np.zeros(1500)
    padded[::3] = returns
    one, other = (float(moments(column[:, None]).sharpe[0]) for column in (returns, padded))
    assert other * np.sqrt(3) == pytest.approx(one, rel=0.01)


def test_a_ruined_account_stays_ruined(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run.results()["job"][0]
    day = pl.int_range(pl.len()).over("job")
    value = pl.when(day < 5).then(100_000.0).when(day < 9).then(-2_000.0).otherwise(50_000.0)
    equity = run.equity().with_columns(pl.when(pl.col("job") == first).then(value).otherwise("equity").alias("equity"))
    returns = trials_of(with_equity(run, equity, monkeypatch)).returns[:, 0]
    assert returns[:5].tolist() == [0.0] * 5
    assert returns[5] == -1.0
    assert (returns[6:] == 0).all()


def test_a_failed_backtest_is_no_trial_and_is_counted(small_run: SmallRun, tmp_path: Path) -> None:
    trials = trials_of(with_a_failure(job_of(symbols=["SPY", "NVDA"]), tmp_path, small_run.cache))
    assert trials.table.select("symbol", "delta").rows() == [("SPY", 0.15), ("NVDA", 0.15), ("NVDA", 0.25)]
    assert trials.left_out == 1
    assert trials.returns.shape == (trials.days.len(), 3)


def test_where_all_failed_there_are_no_trials(run: Run, small_run: SmallRun, tmp_path: Path) -> None:
    failed = run.results().with_columns(pl.lit("failed").alias("status"))
    trials = trials_of(with_results(small_run.copy(tmp_path), failed))
    assert (trials.table.height, trials.left_out, trials.returns.shape) == (0, 4, (0, 0))


# --- Windows --------------------------------------------------------------------------------------

PERIOD = {"start": "2019-01-01", "end": "2022-12-31"}


def windowed(small_run: SmallRun, runs: Path, windows: dict[str, Any], **entries: Any) -> Run:
    return finished(job_of(period=PERIOD, windows=windows, **entries), runs, small_run.cache)


def test_with_windows_a_trial_is_a_combination_over_the_tests(small_run: SmallRun, tmp_path: Path) -> None:
    run = windowed(small_run, tmp_path, {"train": "1y", "test": "1y"})
    trials = trials_of(run)
    tests = run.results().filter(role="test")
    assert trials.table.select("symbol", "delta").rows() == [("SPY", 0.15), ("SPY", 0.25)]
    assert [sorted(jobs) for jobs in trials.table["jobs"]] == [
        sorted(tests.filter(delta=delta)["job"]) for delta in (0.15, 0.25)
    ]
    assert trials.table["trades"].to_list() == [tests.filter(delta=delta)["trades"].sum() for delta in (0.15, 0.25)]
    assert (trials.days[0].year, trials.days[-1].year) == (2020, 2022)
    year = trials.days.dt.year()
    for delta, column in ((0.15, 0), (0.25, 1)):
        for row in tests.filter(delta=delta).iter_rows(named=True):
            own = trials.returns[(year == row["start"].year).to_numpy(), column]
            assert np.prod(1 + own) - 1 == pytest.approx(row["total_return"])


def test_the_days_a_year_are_the_engine_s_over_all_tests(small_run: SmallRun, tmp_path: Path) -> None:
    trials = trials_of(windowed(small_run, tmp_path, {"train": "1y", "test": "6m", "step": "1y"}))
    halves = [trials.days.filter(trials.days.dt.year() == year) for year in (2020, 2021, 2022)]
    years = sum((half[-1] - half[0]).days for half in halves) / 365.25
    assert trials.per_year == pytest.approx((trials.days.len() - 3) / years)


def test_a_day_of_two_tests_belongs_to_the_earlier(small_run: SmallRun, tmp_path: Path) -> None:
    run = windowed(small_run, tmp_path, {"train": "1y", "test": "1y", "step": "6m", "count": 2}, grid={"delta": [0.2]})
    trials = trials_of(run)
    first, second = run.results().filter(role="test")["job"]
    early, late = (run.equity(job) for job in (first, second))
    assert trials.days.to_list() == sorted({*early["date"], *late["date"]})
    before = np.array([100_000.0, *early["equity"][:-1]])
    np.testing.assert_allclose(trials.returns[: early.height, 0], early["equity"].to_numpy() / before - 1)
    later = late.with_columns(change=pl.col("equity") / pl.col("equity").shift(1) - 1).filter(
        pl.col("date") > early["date"][-1]
    )
    np.testing.assert_allclose(trials.returns[early.height :, 0], later["change"])
    years = sum((dates[-1] - dates[0]).days for dates in (early["date"], later["date"])) / 365.25
    assert trials.per_year == pytest.approx((trials.days.len() - 2) / years)


def test_a_combination_that_failed_in_one_window_is_left_out(small_run: SmallRun, tmp_path: Path) -> None:
    run = windowed(small_run, tmp_path, {"train": "1y", "test": "1y"})
    bad = pl.when((pl.col("delta") == 0.25) & (pl.col("window") == 2)).then(pl.lit("failed")).otherwise("status")
    run = with_results(run.path, run.results().with_columns(bad.alias("status")))
    trials = trials_of(run)
    assert (trials.table["delta"].to_list(), trials.left_out) == ([0.15], 1)


def test_one_day_has_no_days_a_year(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run.equity().filter(pl.int_range(pl.len()).over("job") == 0)
    trials = trials_of(with_equity(run, first, monkeypatch))
    assert trials.days.len() == 1
    assert np.isnan(trials.per_year)
