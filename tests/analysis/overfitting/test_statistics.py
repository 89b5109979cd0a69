"""The statistics of runs as they come: many trials, one, none that traded; and their verdict in words."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from msgspec import structs
from numpy.typing import NDArray

from options_bt.analysis.overfitting.histories import block_length
from options_bt.analysis.overfitting.sharpe import expected_maximum_sharpe, moments, probabilistic_sharpe
from options_bt.analysis.overfitting.statistics import Overfitting, overfitting, overfitting_of
from options_bt.analysis.overfitting.text import overfitting_text, verdict_text
from options_bt.analysis.overfitting.trials import Trials, trials_of
from options_bt.analysis.overfitting.verdict import verdict_of
from options_bt.analysis.run_reader import open_run
from options_bt.job.schema import RunSettings
from tests.small_run import SmallRun, finished, job_of, with_a_failure


def of_returns(returns: NDArray[np.float64], trades: int = 50, draws: int = 100) -> Overfitting:
    count = returns.shape[1]
    days = pl.Series([date(2020, 1, 1) + timedelta(days=n) for n in range(len(returns))], dtype=pl.Date)
    table = pl.DataFrame(
        {
            "symbol": ["SPY"] * count,
            "delta": np.arange(count) / 100,
            "jobs": [["a"]] * count,
            "trades": [trades] * count,
        }
    )
    trials = Trials(table, 0, days, returns, returns, 252.0 if len(returns) > 1 else np.nan)
    return overfitting_of(trials, top=3, draws=draws, seed=0)


def noise(days: int, trials: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(0, 0.01, (days, trials))


def test_the_best_of_a_run_are_those_of_the_results(small_run: SmallRun) -> None:
    run = open_run(small_run.path)
    found = overfitting(run, top=3, draws=100)
    best = run.results().sort("sharpe", descending=True).head(3)
    assert found.top.columns[:4] == ["symbol", "delta", "trades", "sharpe"]
    assert found.top.select("symbol", "delta", "trades").equals(best.select("symbol", "delta", "trades"))
    np.testing.assert_allclose(found.top["sharpe"], best["sharpe"])
    np.testing.assert_allclose(found.top["total_return"], best["total_return"])
    assert (found.trials, found.left_out, found.without_sharpe) == (4, 0, 0)
    assert 1 < found.effective_trials <= 4
    for name in ("sharpe", "return"):
        low, value = found.top[f"{name}_low"], found.top["sharpe" if name == "sharpe" else "total_return"]
        assert (low < value).all()
        assert (value < found.top[f"{name}_high"]).all()
    assert (found.top["dsr"] < found.top["psr"]).all()


def test_the_equity_of_the_trials_need_not_be_kept(small_run: SmallRun, tmp_path: Path) -> None:
    job = job_of(symbols=["SPY", "NVDA"], windows={"train": "6m", "test": "6m"})
    whole = finished(job, tmp_path, small_run.cache)
    bare = finished(structs.replace(job, name="bare", run=RunSettings(keep="top 1")), tmp_path, small_run.cache)
    ours, theirs = trials_of(whole), trials_of(bare)
    assert ours.returns.shape[1] == 4 and ours.returns.any()
    np.testing.assert_array_equal(ours.returns, theirs.returns)
    np.testing.assert_array_equal(ours.excess, theirs.excess)
    assert overfitting_text(overfitting(whole, draws=100)) == overfitting_text(overfitting(bare, draws=100))


def test_the_track_record_is_told_in_years() -> None:
    found = of_returns(noise(1000, 5))
    best = found.top.row(0, named=True)
    # Of normal returns about (1.645 / Sharpe ratio a year)**2.
    assert best["track_years"] == pytest.approx((1.645 / best["sharpe"]) ** 2, rel=0.2)
    assert of_returns(noise(1000, 1) - 0.01).top["track_years"].to_list() == [None]


def test_luck_and_the_deflated_ratio_are_those_of_the_formulas() -> None:
    returns = noise(500, 6)
    found = of_returns(returns)
    ratios = returns.mean(axis=0) / returns.std(axis=0, ddof=1)
    variance = float(ratios.var(ddof=1))
    best = moments(returns[:, [np.argmax(ratios)]])
    for trials, deflated in (
        (found.effective_trials, found.top["dsr"][0]),
        (found.trials_by_correlation, found.dsr_by_correlation),
    ):
        luck = expected_maximum_sharpe(trials, variance)
        assert probabilistic_sharpe(float(best.sharpe[0]), luck, 500, best.skew[0], best.kurtosis[0]) == deflated
    assert found.luck == pytest.approx(expected_maximum_sharpe(found.effective_trials, variance) * np.sqrt(252))


def test_the_test_keeps_the_longest_memory_of_the_best_together() -> None:
    returns = noise(1000, 3)
    for day in range(1, 1000):
        returns[day, 1] += 0.8 * returns[day - 1, 1]
    lengths = [block_length(column) for column in returns.T]
    assert of_returns(returns).block_length == max(lengths) > min(lengths)


def test_an_edge_is_better_than_luck() -> None:
    returns = noise(1000, 40)
    returns[:, 7] += 0.003
    found = of_returns(returns)
    assert found.verdict == "better_than_luck"
    assert found.top["delta"][0] == 0.07
    assert found.cscv is not None
    assert found.cscv.pbo < 0.05
    text = verdict_text(found)
    assert text.startswith("Better than luck: the best of 40 trials, worth ")
    assert f"The true ratio is above {found.luck:.2f}, the best that luck alone" in text
    assert f"with a probability of {found.top['dsr'][0]:.1%}" in text
    assert f"In {found.cscv.pbo:.0%} of splits" in text
    assert f" in {found.p_value:.1%} of drawn histories (SPA)" in text


def test_the_best_of_noise_is_not() -> None:
    verdicts = [of_returns(noise(250, 20, seed)).verdict for seed in range(8)]
    assert verdicts.count("better_than_luck") == 0
    assert verdicts.count("likely_luck") >= 3


def test_one_trial_has_no_luck_of_the_best_and_no_cross_validation() -> None:
    found = of_returns(noise(500, 1) + 0.003)
    assert (found.correlation, found.luck, found.cscv, found.effective_trials) == (None, 0.0, None, 1.0)
    assert found.top["dsr"].to_list() == found.top["psr"].to_list()
    assert found.verdict == "better_than_luck"
    assert "the only trial has a Sharpe ratio" in verdict_text(found)
    assert "PBO" not in overfitting_text(found)


def test_two_trials_are_enough_for_everything() -> None:
    found = of_returns(noise(500, 2))
    assert found.cscv is not None
    assert found.correlation is not None
    assert found.luck is not None


def test_trials_that_did_nothing_are_counted_and_have_no_ratio() -> None:
    returns = noise(500, 5)
    returns[:, 1:3] = 0
    found = of_returns(returns)
    assert (found.trials, found.without_sharpe, found.top.height) == (5, 2, 3)
    assert found.effective_trials <= 3
    assert not set(found.top["delta"]) & {0.01, 0.02}


@pytest.mark.parametrize("shape", [(500, 3), (500, 1), (1, 3), (0, 0), (0, 3)], ids=str)
def test_where_nothing_moved_there_is_too_little_data(shape: tuple[int, int]) -> None:
    found = of_returns(np.zeros(shape))
    assert found.verdict == "too_little_data"
    assert (found.luck, found.p_value, found.cscv, found.top.height) == (None, None, None, 0)
    assert found.without_sharpe == found.trials == shape[1]
    assert verdict_text(found).startswith("Too little data: none of ")
    assert "without Sharpe" in overfitting_text(found)


@pytest.mark.parametrize("days", [2, 3, 19, 20, 39, 40, 59])
def test_a_short_history_is_too_little_data(days: int) -> None:
    found = of_returns(noise(days, 5))
    assert found.verdict == "too_little_data"
    assert (found.p_value is None) == (days < 20)
    assert (found.cscv is None) == (days < 40)
    assert f"5 trials on {days} days, the best with 50 trades" in verdict_text(found)
    assert "5 trials" not in overfitting_text(found).partition("\n")[2]


def test_a_handful_of_trades_is_too_little_data() -> None:
    assert of_returns(noise(500, 5), trades=9).verdict == "too_little_data"
    assert of_returns(noise(500, 5), trades=10).verdict != "too_little_data"


def test_trials_that_all_equal_each_other_count_as_one() -> None:
    found = of_returns(np.tile(noise(500, 1), 6))
    assert found.effective_trials == pytest.approx(1)
    assert found.luck == pytest.approx(0)


def test_equal_seeds_give_equal_numbers(small_run: SmallRun) -> None:
    first, again, other = (overfitting(open_run(small_run.path), draws=100, seed=seed) for seed in (1, 1, 2))
    assert first.top.equals(again.top)
    assert first.p_value == again.p_value
    assert not first.top.equals(other.top)
    assert first.cscv is not None
    assert other.cscv is not None
    assert first.cscv.pbo == other.cscv.pbo


def test_a_run_with_failures_tells_how_many(small_run: SmallRun, tmp_path: Path) -> None:
    found = overfitting(with_a_failure(job_of(symbols=["SPY", "NVDA"]), tmp_path, small_run.cache), draws=100)
    assert (found.trials, found.left_out) == (3, 1)


def test_a_run_without_a_trade_has_an_answer(small_run: SmallRun, tmp_path: Path) -> None:
    found = overfitting(finished(job_of(params={"min_credit": 1000.0}), tmp_path, small_run.cache))
    assert (found.trials, found.without_sharpe, found.verdict) == (2, 2, "too_little_data")
    assert found.days > 250


def test_a_run_with_windows_has_an_answer(small_run: SmallRun, tmp_path: Path) -> None:
    job = job_of(period={"start": "2019-01-01", "end": "2022-12-31"}, windows={"train": "1y", "test": "1y"})
    run = finished(job, tmp_path, small_run.cache)
    found = overfitting(run, draws=100)
    assert found.trials == 2
    assert found.days == trials_of(run).days.len()
    assert found.years == pytest.approx(3, abs=0.05)


@pytest.mark.parametrize(
    ("deflated", "p_value", "pbo", "verdict"),
    [
        (0.97, 0.01, 0.1, "better_than_luck"),
        (0.95, 0.05, 0.5, "better_than_luck"),
        (0.97, 0.01, None, "better_than_luck"),
        (0.97, 0.01, 0.6, "unclear"),
        (0.94, 0.01, 0.1, "unclear"),
        (0.97, 0.06, 0.1, "unclear"),
        (0.5, 0.5, 0.9, "unclear"),
        (0.49, 0.01, 0.1, "likely_luck"),
        (0.97, 0.51, 0.1, "likely_luck"),
        (0.97, None, 0.1, "too_little_data"),
    ],
)
def test_the_verdict_follows_from_the_numbers(
    deflated: float, p_value: float | None, pbo: float | None, verdict: str
) -> None:
    top = pl.DataFrame({"trades": [10], "dsr": [deflated]})
    assert verdict_of(60, top, p_value, pbo) == verdict
    assert verdict_of(59, top, p_value, pbo) == "too_little_data"
