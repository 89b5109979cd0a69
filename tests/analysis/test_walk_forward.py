from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from polars.testing import assert_frame_equal

from options_bt.analysis.run_reader import Run, open_run
from options_bt.analysis.scores import neighbourhood_means, pooled_over_symbols, window_results
from options_bt.analysis.walk_forward import WalkForward, walk_forward
from options_bt.errors import InputError, RunFolderError
from options_bt.job.objectives import LOWER_IS_BETTER
from options_bt.job.schema import RunSettings
from options_bt.runner.run_folder.ledger import Ledger
from tests.analysis.made_run import MadeRun
from tests.small_run import SmallRun, finished, job_of, with_a_failure

PERIOD = {"start": "2020-01-01", "end": "2022-12-31"}
WINDOWS = {"train": "1y", "test": "1y"}

# Symbols A and B, two windows, deltas 0.1, 0.2 and 0.3: trainings in 2020 and 2021, tests in 2021 and 2022.
SHARPE = [
    *(1, 2, 3), *(5, 4, 1),              # A 1: 0.3 wins in training, and is the last of three in its test
    *(3, None, 1), *(None, 2, 1),        # A 2: 0.1 wins, and is undefined in its test
    *(2, 2, 1), *(0, 0, -1),             # B 1: 0.1 wins as the first of equals, and is the first with another
    *(None, None, None), *(1, 2, 3),     # B 2: nothing is defined in training
]  # fmt: skip
TOTAL_RETURN = [
    *(0.00, 0.00, 0.02), *(0.00, 0.00, 0.01),
    *(0.01, 0.00, 0.00), *(-0.005, 0.00, 0.00),
    *(-0.01, 0.00, 0.00), *(0.02, 0.00, 0.00),
    *(0.00, 0.00, 0.00), *(0.00, 0.00, 0.00),
]  # fmt: skip


def made_job(**entries: Any) -> Any:
    base = {"symbols": ["A", "B"], "period": PERIOD, "grid": {"delta": [0.1, 0.2, 0.3]}, "windows": WINDOWS}
    return job_of(**(base | entries))


def made(**columns: Any) -> MadeRun:
    """The run of the comments above."""
    job = columns.pop("job", None) or made_job()
    filled: dict[str, Any] = {"sharpe": SHARPE, "total_return": TOTAL_RETURN, **columns}
    return MadeRun(job, **filled, total_pnl=[1e5 * value for value in filled["total_return"]])


def answer(run: Run, **how: Any) -> WalkForward:
    return walk_forward(run, **how)


def chosen(run: Run, **how: Any) -> list[float | None]:
    """The chosen delta of A in both windows, and of B."""
    return answer(run, **how).choices["delta"].to_list()


def test_the_best_of_training_is_chosen_and_shown_with_what_its_test_gave() -> None:
    choices = answer(made()).choices
    assert choices.select("symbol", "window", "train_start", "train_end", "test_start", "test_end").rows() == [
        ("A", 1, date(2020, 1, 1), date(2020, 12, 31), date(2021, 1, 1), date(2021, 12, 31)),
        ("A", 2, date(2021, 1, 1), date(2021, 12, 31), date(2022, 1, 1), date(2022, 12, 31)),
        ("B", 1, date(2020, 1, 1), date(2020, 12, 31), date(2021, 1, 1), date(2021, 12, 31)),
        ("B", 2, date(2021, 1, 1), date(2021, 12, 31), date(2022, 1, 1), date(2022, 12, 31)),
    ]
    assert choices.select("delta", "score", "train_metric", "test_metric", "test_pnl").rows() == [
        (0.3, 3, 3, 1, 1000),
        (0.1, 3, 3, None, -500),
        (0.1, 2, 2, 0, 2000),
        (None, None, None, None, None),
    ]
    assert choices.select("best_delta", "best_metric", "rank", "ranked", "percentile").rows() == [
        (0.1, 5, 3, 3, 0.0),
        (0.2, 2, None, 2, None),
        (0.1, 0, 1, 3, 0.75),
        (0.3, 3, None, 3, None),
    ]
    # The test jobs of window 1 stand behind three trainings, those of B behind twelve jobs of A.
    assert choices["job"].to_list() == [f"{position:016x}" for position in (5, 9, 15)] + [None]


def test_returns_are_those_of_a_year() -> None:
    choices = answer(made()).choices
    assert choices["train_return"].to_list() == pytest.approx([0.02 * 365.25 / 366, 0.01 * 365.25 / 365,
                                                               -0.01 * 365.25 / 366, None])  # fmt: skip
    assert choices["test_return"].to_list()[:2] == pytest.approx([0.01 * 365.25 / 365, -0.005 * 365.25 / 365])


def test_with_a_fixed_size_dollars_are_added() -> None:
    equity = answer(made()).equity
    first, second = ([date(year, 1, 1), date(year, 1, 11)] for year in (2021, 2022))
    assert equity.select("symbol", "window", "date", "equity", "open_positions").rows() == [
        ("A", 1, first[0], 100_000, 1),
        ("A", 1, first[1], 101_000, 0),
        ("A", 2, second[0], 101_000, 1),
        ("A", 2, second[1], 100_500, 0),
        ("B", 1, first[0], 100_000, 1),
        ("B", 1, first[1], 102_000, 0),
        (None, None, first[0], 200_000, 2),
        (None, None, first[1], 203_000, 0),
        (None, None, second[0], 203_000, 1),
        (None, None, second[1], 202_500, 0),
    ]


@pytest.mark.parametrize("entries", [{"params": {"risk": 0.02}}, {"grid": {"risk": [0.01, 0.02, 0.03]}}], ids=str)
def test_with_a_size_that_follows_the_equity_returns_are_chained(entries: Any) -> None:
    found = answer(made(job=made_job(**entries)))
    assert found.equity.filter(symbol="A")["equity"].to_list() == pytest.approx(
        [100_000, 101_000, 101_000, 101_000 * 0.995]
    )
    account = found.out_of_sample.row(0, named=True)
    assert account["in_sample_return"] == pytest.approx((1.02 * 1.01) ** (365.25 / 731) - 1)
    assert account["out_of_sample_return"] == pytest.approx((1.01 * 0.995) ** (365.25 / 730) - 1)
    assert found.choices["train_return"][0] == pytest.approx(1.02 ** (365.25 / 366) - 1)


def test_an_account_that_follows_its_equity_and_lost_all_stays_at_nothing() -> None:
    returns = list(TOTAL_RETURN)
    returns[5] = -1.2  # a short option lost more than there was
    found = answer(made(job=made_job(params={"risk": 0.02}), total_return=returns))
    assert found.equity.filter(symbol="A")["equity"].to_list() == pytest.approx([100_000, -20_000, 0, 0])
    account = found.out_of_sample.row(0, named=True)
    assert (account["total_return"], account["out_of_sample_return"], account["sharpe"]) == (-1, -1, None)
    assert found.choices["test_return"][0] is None


def test_the_account_has_its_metrics_and_efficiency() -> None:
    a, b, together = answer(made(trades=range(24), wins=[1] * 24)).out_of_sample.iter_rows(named=True)
    assert (a["symbol"], a["windows"], a["start"], a["end"]) == ("A", 2, date(2021, 1, 1), date(2022, 1, 11))
    assert (a["trades"], a["win_rate"]) == (5 + 9, 2 / 14)
    assert a["total_pnl"] == pytest.approx(500)
    assert a["total_return"] == pytest.approx(0.005)
    assert a["cagr"] == pytest.approx(1.005 ** (365.25 / 375) - 1)
    assert a["max_drawdown"] == pytest.approx(500 / 101_000)
    assert a["exposure"] == 0.5
    in_sample, out_of_sample = 0.03 / (731 / 365.25), 0.005 / (730 / 365.25)
    assert (a["in_sample_return"], a["out_of_sample_return"]) == pytest.approx((in_sample, out_of_sample))
    assert a["efficiency"] == pytest.approx(out_of_sample / in_sample)
    assert b["in_sample_return"] == pytest.approx(-0.01 / (366 / 365.25))
    assert (b["windows"], b["efficiency"]) == (1, None)  # nothing was earned in training
    assert (together["symbol"], together["windows"], together["trades"]) == (None, None, 5 + 9 + 15)
    assert together["total_pnl"] == pytest.approx(2500)
    assert together["total_return"] == pytest.approx(0.0125)
    assert together["in_sample_return"] == pytest.approx((in_sample + b["in_sample_return"]) / 2)


def test_a_metric_whose_less_is_better_is_chosen_by_its_least() -> None:
    drawdown = [0.3, 0.1, 0.2, 0.2, 0.3, 0.1] * 4
    choices = answer(made(max_drawdown=drawdown), by="max_drawdown").choices
    assert choices["delta"].to_list() == [0.2] * 4
    assert choices.select("score", "test_metric", "best_delta", "best_metric", "rank").unique().rows() == [
        (0.1, 0.3, 0.3, 0.1, 3)
    ]


def test_the_objective_of_the_job_is_chosen_by_unless_another_is_named() -> None:
    run = made(job=made_job(objective="calmar"), calmar=[9, 1, 1] * 8)
    assert chosen(run) == [0.1] * 4
    assert chosen(run, by="sharpe") == [0.3, 0.1, 0.1, None]
    assert answer(run).by == "calmar"


def test_the_plateau_wins_over_the_spike() -> None:
    spike = [4, 0, 3, 3.5, 3, 0, 0, 0]  # means: 2, 7/3, 13/6, 19/6, 13/6, 1, 0, 0
    job = made_job(symbols=["A"], grid={"delta": [n / 10 for n in range(1, 9)]}, windows=WINDOWS | {"count": 1})
    run = MadeRun(job, sharpe=[*spike, *spike])
    assert chosen(run) == [0.1]
    choices = answer(run, plateau=True).choices
    assert choices["delta"].to_list() == [0.4]
    assert choices["score"][0] == pytest.approx(19 / 6)
    assert (choices["train_metric"][0], choices["best_delta"][0]) == (3.5, 0.1)


def test_pooled_is_one_choice_for_all_symbols_by_their_mean() -> None:
    found = answer(made(), pooled=True)
    # Window 1: the means are 1.5, 2 and 2. Window 2: B has no value and is left out.
    assert found.choices.select("delta", "score").rows() == [(0.2, 2), (0.1, 3), (0.2, 2), (0.1, 3)]
    assert found.choices["train_metric"].to_list() == [2, 3, 2, None]
    assert found.choices["job"].to_list() == [f"{position:016x}" for position in (4, 9, 16, 21)]


def by_window(*values: float) -> Any:
    """Scores of one symbol and window."""
    return np.array([[values]], float)


NAN = np.nan


@pytest.mark.parametrize(
    ("grid", "scores", "means"),
    [
        ({"delta": [0.1, 0.2, 0.3]}, (3, 0, 6), (1.5, 3, 3)),
        ({"dte": ["21-30", "30-45", "45-60"]}, (3, 0, 6), (1.5, 3, 3)),
        ({"strategy": ["short_put", "iron_condor"]}, (3, 0), (3, 0)),
        ({"entry_every": ["any", "first_of_week"]}, (3, 0), (3, 0)),
        ({"profit_target": [0.25, 0.5, None]}, (3, 0, 6), (1.5, 1.5, 6)),
        ({"delta": [0.1, 0.2, 0.3]}, (3, NAN, 6), (3, NAN, 6)),
        ({"delta": [0.1, 0.2, 0.3]}, (3, 1, NAN), (2, 2, NAN)),
        ({"delta": [0.1, 0.2], "width": [1, 2]}, (0, 3, 6, 12), (3, 5, 6, 7)),
        ({"delta": [0.1, 0.2], "unquoted": ["hold"]}, (0, 3), (1.5, 1.5)),
    ],
    ids=str,
)
def test_neighbours_are_beside_each_other_on_ordered_axes(grid: Any, scores: Any, means: Any) -> None:
    run = MadeRun(made_job(symbols=["A"], grid=grid, windows=WINDOWS | {"count": 1}), sharpe=[*scores] * 2)
    found = neighbourhood_means(by_window(*scores), window_results(run).adjacent)
    np.testing.assert_allclose(found, by_window(*means))


def test_the_pooled_mean_is_over_the_symbols_with_a_value_if_they_are_half() -> None:
    scores = np.array([[[1, 1, 1]], [[3, NAN, NAN]], [[5, 3, NAN]], [[NAN, NAN, NAN]]])
    # Three symbols count: all three, two and one of them have a value.
    np.testing.assert_allclose(pooled_over_symbols(scores)[0], [[3, 2, NAN]])
    nothing = np.full((2, 1, 3), NAN)
    np.testing.assert_allclose(pooled_over_symbols(nothing), nothing)


def test_stability_counts_what_stayed_and_how_far_the_choice_moved() -> None:
    grid = {"delta": [0.1, 0.2, 0.3], "strategy": ["short_put", "short_call"]}
    job = made_job(symbols=["A"], grid=grid, period={"start": "2020-01-01", "end": "2024-12-31"})
    wins = [0, 5, None, 4]  # (0.1, put), (0.3, call), none, (0.3, put)
    sharpe: list[float | None] = []
    for win in wins:
        sharpe += [None] * 12 if win is None else [float(n == win) for n in range(6)] * 2
    found = answer(MadeRun(job, sharpe=sharpe))
    own = found.stability.filter(symbol="A")
    assert own.drop("symbol").rows() == [(None, 1, 0, None), ("delta", 1, 0, 2.0), ("strategy", 1, 0, None)]
    assert_frame_equal(found.stability.filter(pl.col("symbol").is_null()).drop("symbol"), own.drop("symbol"))
    assert found.values.filter(symbol="A").drop("symbol").rows() == [
        ("delta", "0.1", 1, 1 / 3),
        ("delta", "0.2", 0, 0),
        ("delta", "0.3", 2, 2 / 3),
        ("strategy", "short_put", 2, 2 / 3),
        ("strategy", "short_call", 1, 1 / 3),
    ]


def test_failed_and_missing_jobs_are_counted() -> None:
    status = ["done"] * 24
    status[2], status[5], status[15] = "failed", None, "failed"  # type: ignore[call-overload]
    sharpe = [None if state == "failed" else value for state, value in zip(status, SHARPE, strict=True)]
    returns = [None if state == "failed" else value for state, value in zip(status, TOTAL_RETURN, strict=True)]
    run = MadeRun(
        made_job(),
        sharpe=sharpe,
        total_return=returns,
        total_pnl=[None if value is None else 1e5 * value for value in returns],
        status=status,
    )
    found = answer(run)
    assert (found.total, found.failed, found.missing) == (24, 2, 1)
    assert found.choices.select("failed", "missing").rows() == [(1, 1), (0, 0), (1, 0), (0, 0)]
    assert found.choices["delta"].to_list() == [0.2, 0.1, 0.1, None]  # 0.3 failed in training
    assert found.choices["test_pnl"].to_list() == [0, -500, None, None]  # the test of B failed
    assert found.out_of_sample["windows"].to_list() == [2, 0, None]
    assert found.out_of_sample["total_return"].to_list()[1] is None


def test_where_everything_failed_there_is_nothing_and_all_is_counted() -> None:
    nothing = [None] * 24
    found = answer(MadeRun(made_job(), sharpe=nothing, total_pnl=nothing, status=["failed"] * 24))
    assert (found.failed, found.choices["delta"].null_count(), found.equity.height) == (24, 4, 0)
    assert found.out_of_sample["efficiency"].null_count() == 3


def test_a_run_without_a_grid_has_one_combination() -> None:
    found = answer(MadeRun(made_job(grid={}), sharpe=[1, 2] * 4, total_return=[0.01] * 8))
    assert found.axes == ()
    assert found.choices.select("rank", "ranked", "percentile").unique().rows() == [(1, 1, None)]
    assert found.out_of_sample["efficiency"].to_list() == pytest.approx([731 / 730] * 3)
    assert found.stability["same"].to_list() == [1, 1, 2]


def test_every_parameter_may_be_an_axis() -> None:
    grid = {"capital": [1e5, 2e5], "profit_target": [0.5, None], "dte": ["21-30", "30-45"]}
    run = MadeRun(made_job(symbols=["A"], grid=grid), sharpe=[*range(8)] * 4, total_return=[0.01] * 32)
    found = answer(run)
    assert found.choices.select("capital", "profit_target", "dte").rows() == [(2e5, None, "30-45")] * 2
    assert found.equity.filter(symbol="A")["equity"].to_list() == pytest.approx([2e5, 2.02e5, 2.02e5, 2.04e5])


def test_a_run_without_windows_is_refused(small_run: SmallRun) -> None:
    with pytest.raises(RunFolderError, match=r"small-quick has no walk-forward windows; .* windows: \{train: 2y"):
        walk_forward(open_run(small_run.path))


def test_what_is_no_metric_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"--by: got 'sharp' \(did you mean 'sharpe'\?\); allowed: trades, wins, "):
        walk_forward(made(), "sharp")


some_values = st.lists(st.none() | st.integers(-3, 3).map(float), min_size=24, max_size=24)
ways = st.fixed_dictionaries({"plateau": st.booleans(), "pooled": st.booleans(),
                              "by": st.sampled_from(["sharpe", "max_drawdown"])})  # fmt: skip
TRAIN = [position // 3 % 2 == 0 for position in range(24)]


@pytest.mark.slow
@given(values=some_values, others=some_values, how=ways)
def test_a_choice_depends_on_training_only(values: list[Any], others: list[Any], how: Any) -> None:
    changed = [value if train else other for value, other, train in zip(values, others, TRAIN, strict=True)]
    before, after = (
        answer(MadeRun(made_job(), **{how["by"]: column}), **how).choices.select("delta", "score", "train_metric")
        for column in (values, changed)
    )
    assert_frame_equal(before, after)


@pytest.mark.slow
@given(values=some_values, how=ways)
def test_a_choice_is_the_best_of_what_is_defined(values: list[Any], how: Any) -> None:
    choices = answer(MadeRun(made_job(), **{how["by"]: values}), **how).choices
    sign = -1 if how["by"] in LOWER_IS_BETTER else 1
    for row, choice in enumerate(choices.iter_rows(named=True)):
        trained = [value for value in values[6 * row : 6 * row + 3] if value is not None]
        if not how["pooled"]:
            assert (choice["delta"] is None) == (not trained)
        if not (how["pooled"] or how["plateau"]) and trained:
            assert choice["score"] * sign == max(value * sign for value in trained)
        if choice["percentile"] is not None:
            assert 0 <= choice["percentile"] <= 1
            assert 1 <= choice["rank"] <= choice["ranked"]


@pytest.mark.slow
@given(
    test=st.integers(1, 6),
    step=st.integers(1, 30),
    anchored=st.booleans(),
    embargo=st.none() | st.just("5d"),
    returns=st.lists(st.integers(-5, 5), min_size=212, max_size=212),
    risk=st.none() | st.just(0.02),
)
def test_stitched_days_are_test_days_and_follow_each_other(
    test: int, step: int, anchored: bool, embargo: str | None, returns: list[int], risk: float | None
) -> None:
    windows = {"train": "1y", "test": f"{test}m", "step": f"{step}w", "anchored": anchored, "embargo": embargo}
    period = {"start": "2020-01-01", "end": "2021-12-31"}
    job = made_job(symbols=["A"], period=period, grid={"delta": [0.1, 0.2]}, windows=windows, params={"risk": risk})
    run = MadeRun(job, sharpe=[0.0] * 212, total_return=[value / 100 for value in returns])
    found = answer(run)
    tests = [span for span in run.plan.spans if span.role == "test"]
    for symbol in ("A", None):
        own = found.equity.filter(pl.col("symbol").eq_missing(symbol))
        assert all(before < after for before, after in pairwise(own["date"]))
    for row in found.equity.filter(symbol="A").iter_rows(named=True):
        (span,) = (span for span in tests if span.window == row["window"])
        assert span.start <= row["date"] <= span.end
        assert row["date"] in (span.start, span.start + timedelta(days=10))
    # A test that is longer than the step counts until the next begins.
    days = [len(own) for own in found.equity.filter(symbol="A").partition_by("window", maintain_order=True)]
    assert days == [1 if step == 1 else 2] * (len(tests) - 1) + [2]


@pytest.fixture(scope="module")
def real(small_run: SmallRun, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two symbols, two windows with an embargo, three deltas."""
    job = job_of(
        name="walk",
        symbols=["SPY", "NVDA"],
        grid={"delta": [0.15, 0.2, 0.25]},
        windows={"train": "6m", "test": "6m", "embargo": "10d"},
    )
    return finished(job, tmp_path_factory.mktemp("runs"), small_run.cache)


def test_no_position_crosses_from_one_span_to_another(real: Run) -> None:
    spans = real.results().select("job", "start", "end")
    trades = real.trades().join(spans, on="job")
    assert trades.height > 0
    assert trades.filter((pl.col("entry_date") < pl.col("start")) | (pl.col("exit_date") > pl.col("end"))).is_empty()
    # Positions that would live on were closed on the last quote day of their span, trainings before the embargo.
    closed = trades.filter(exit_reason="window_end")
    assert closed.height > 0
    assert (closed["exit_date"] < closed["expiration"]).any()
    last = real.equity().group_by("job").agg(pl.col("date").max().alias("last"), pl.col("open_positions").last())
    assert (closed.join(last, on="job")["exit_date"] == closed.join(last, on="job")["last"]).all()
    assert last["open_positions"].unique().to_list() == [0]


def test_the_days_between_training_and_test_belong_to_neither(real: Run) -> None:
    days = real.equity().join(real.results().select("job", "symbol", "window", "role"), on="job")
    first, last = pl.col("date").filter(role="test").min(), pl.col("date").filter(role="train").max()
    gaps = days.group_by("symbol", "window").agg((first - last).dt.total_days().alias("days"))
    assert gaps.height == 6
    assert (gaps["days"] > 10).all()


def test_the_stitched_account_of_a_real_run_earns_what_its_tests_earned(real: Run) -> None:
    found = answer(real)
    accounts = {row["symbol"]: row for row in found.out_of_sample.iter_rows(named=True)}
    for symbol in ("SPY", "NVDA"):
        choices = found.choices.filter(symbol=symbol)
        assert accounts[symbol]["total_pnl"] == pytest.approx(choices["test_pnl"].sum())
        equity = pl.concat([real.equity(job) for job in choices["job"]])
        assert found.equity.filter(symbol=symbol)["date"].to_list() == equity["date"].to_list()
        moves = equity.with_columns(pl.col("equity") - pl.col("equity").shift(1, fill_value=100_000.0).over("job"))[
            "equity"
        ]
        stitched = found.equity.filter(symbol=symbol)["equity"]
        assert stitched.to_list() == pytest.approx((100_000 + moves.cum_sum()).to_list())
    assert accounts[None]["total_pnl"] == pytest.approx(found.choices["test_pnl"].sum())


def test_the_equity_of_the_chosen_tests_need_not_be_kept(small_run: SmallRun, real: Run, tmp_path: Path) -> None:
    bare = finished(structs.replace(real.job, run=RunSettings(keep="metrics")), tmp_path, small_run.cache)
    ours, theirs = answer(real), answer(bare)
    assert ours.equity.height > 100
    assert_frame_equal(ours.equity, theirs.equity, check_exact=True)
    assert_frame_equal(ours.out_of_sample, theirs.out_of_sample, check_exact=True)


def test_the_choice_in_a_real_run_is_that_of_its_results(real: Run) -> None:
    results = real.results()
    for choice in answer(real, by="total_pnl").choices.iter_rows(named=True):
        own = results.filter(pl.col("symbol") == choice["symbol"], pl.col("window") == choice["window"])
        trained = own.filter(role="train").sort("total_pnl", descending=True, maintain_order=True).row(0, named=True)
        tested = own.filter(pl.col("role") == "test", pl.col("delta") == trained["delta"]).row(0, named=True)
        best = own.filter(role="test").sort("total_pnl", descending=True, maintain_order=True).row(0, named=True)
        assert (choice["delta"], choice["train_metric"]) == (trained["delta"], trained["total_pnl"])
        assert (choice["job"], choice["test_metric"]) == (tested["job"], tested["total_pnl"])
        assert (choice["best_delta"], choice["best_metric"]) == (best["delta"], best["total_pnl"])


def test_a_failed_job_of_a_real_run_is_counted(small_run: SmallRun, real: Run, tmp_path: Path) -> None:
    found = answer(with_a_failure(structs.replace(real.job, name="failing"), tmp_path, small_run.cache))
    assert (found.failed, found.missing) == (6, 0)
    assert 0.25 not in found.choices.filter(symbol="SPY")["delta"]


def test_a_run_that_is_not_finished_is_shown_with_what_is_missing(
    small_run: SmallRun, real: Run, tmp_path: Path
) -> None:
    run = finished(structs.replace(real.job, name="half"), tmp_path, small_run.cache)
    (run.path / "results.parquet").unlink()
    ledger = Ledger(run.path / "ledger.sqlite")
    ledger.delete_jobs([0, 5])
    ledger.close()
    found = answer(open_run(run.path))
    assert (found.missing, found.choices["missing"].to_list()) == (2, [2, 0, 0, 0, 0, 0])
    assert found.choices["delta"][0] != 0.15
