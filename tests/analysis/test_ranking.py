from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from options_bt.analysis.run_reader import Run, open_run
from options_bt.engine.metrics import METRICS
from options_bt.errors import InputError
from options_bt.job.objectives import LOWER_IS_BETTER, OBJECTIVES
from tests.small_run import SmallRun, finished, job_of, with_a_failure, with_results


@pytest.fixture
def run(small_run: SmallRun) -> Run:
    return open_run(small_run.path)


@pytest.fixture(scope="module")
def failing(small_run: SmallRun, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return with_a_failure(job_of(symbols=["SPY", "NVDA"]), tmp_path_factory.mktemp("runs"), small_run.cache)


def of_values(small_run: SmallRun, tmp_path: Path, column: str, values: list[Any], **job: Any) -> Run:
    """The small run with these values in a column of its four results."""
    results = open_run(small_run.path).results()
    series = pl.Series(column, values, dtype=results[column].dtype)
    return with_results(small_run.copy(tmp_path), results.with_columns(series), **job)


def order(run: Run, **how: Any) -> list[int]:
    """Return the numbers of the results, best first."""
    jobs = run.results()["job"].to_list()
    return [jobs.index(job) for job in run.ranked(**how)["job"]]


def test_results_are_ranked_by_the_objective_of_the_job(small_run: SmallRun, tmp_path: Path) -> None:
    assert order(of_values(small_run, tmp_path / "a", "sharpe", [1.0, 3.0, -2.0, 2.0])) == [1, 3, 0, 2]
    calmar = of_values(small_run, tmp_path / "b", "calmar", [1.0, 3.0, -2.0, 2.0], objective="calmar")
    assert order(calmar) == [1, 3, 0, 2]


def test_a_drawdown_is_best_when_small(small_run: SmallRun, tmp_path: Path) -> None:
    run = of_values(small_run, tmp_path, "max_drawdown", [0.3, 0.1, 0.2, 0.0], objective="max_drawdown")
    assert order(run) == [3, 1, 2, 0]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_first_row_is_the_best_by_every_objective(run: Run, objective: str) -> None:
    values = run.ranked(objective)[objective].to_list()
    assert values == sorted(values, reverse=objective not in LOWER_IS_BETTER)


def test_undefined_values_come_last_and_ties_keep_the_order_of_the_plan(small_run: SmallRun, tmp_path: Path) -> None:
    run = of_values(small_run, tmp_path / "a", "sharpe", [None, 1.0, None, 1.0])
    assert order(run) == [1, 3, 0, 2]
    run = of_values(small_run, tmp_path / "b", "max_drawdown", [None, 0.2, 0.2, 0.1])
    assert order(run, by="max_drawdown") == [3, 1, 2, 0]


def test_text_and_days_are_sorted_upwards(run: Run) -> None:
    assert order(run, by="symbol") == [2, 3, 0, 1]
    assert order(run, by="start") == [0, 1, 2, 3]


@pytest.mark.parametrize("top", [1, 3, 4, 100])
def test_so_many_rows_are_given(run: Run, top: int) -> None:
    assert order(run, top=top) == order(run)[:top]


def test_an_unknown_column_is_refused_with_the_nearest_and_all_there_are(run: Run) -> None:
    with pytest.raises(InputError) as caught:
        run.ranked("shrpe")
    assert str(caught.value).startswith("--sort: got 'shrpe' (did you mean 'sharpe'?); allowed: job, symbol, ")
    assert all(name in str(caught.value) for name in METRICS)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("delta > 0.18", [1, 3]),
        ("delta = 0.15", [0, 2]),
        ("symbol = 'SPY'", [0, 1]),
        ("symbol in ('SPY', 'QQQ') and not delta < 0.2", [1]),
        ("symbol like 'N%' or trades > 1000", [2, 3]),
        ("start > date '2022-12-31'", [0, 1, 2, 3]),
        ("status = 'failed'", []),
        ("entry_when is null", [0, 1, 2, 3]),
        ("delta between 0.2 and 0.3", [1, 3]),
        ("width * 2 = 10", [0, 1, 2, 3]),
    ],
)
def test_a_condition_keeps_what_it_is_true_for(run: Run, where: str, kept: list[int]) -> None:
    assert sorted(order(run, where=where)) == kept


def test_the_condition_counts_before_the_rows(run: Run) -> None:
    assert order(run, where="symbol = 'SPY'", top=1, by="delta") == [1]


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("nope > 1", 'unable to find column "nope"'),
        ("delta >", "unable to parse"),
        ("", "unable to parse"),
        ("delta", "must be of type `Boolean`"),
        ("delta > 'a'", "cannot compare string with numeric type"),
        ("symbol > 3", "cannot compare"),
        ("nofunction(delta)", "unsupported function 'nofunction'"),
        ("symbol = SPY", 'unable to find column "SPY"'),
        ("delta > 0.1; drop table job", "invalid expression"),
        ("delta > 0.1 limit 1", "expected an expression"),
        ("start > '2020-01-01'", "cannot compare 'date/datetime/time' to a string value"),
    ],
)
def test_no_condition_is_refused_with_the_reason_and_the_columns(run: Run, where: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        run.ranked(where=where)
    message = str(caught.value)
    assert message.startswith(f"--where {where!r}: ")
    assert reason in message
    assert message.endswith("allowed: an SQL condition over " + ", ".join(run.results().columns))
    assert "\n" not in message


def test_a_leaderboard_has_the_rows_of_the_ranking(run: Run) -> None:
    ranked = run.ranked("calmar", top=3, where="delta < 0.3")
    board = run.leaderboard("calmar", top=3, where="delta < 0.3")
    assert board.equals(ranked.select(board.columns))


def test_a_leaderboard_tells_the_jobs_apart_and_has_the_main_metrics(run: Run) -> None:
    assert run.leaderboard().columns == [
        "job",
        "symbol",
        "delta",
        "sharpe",
        "trades",
        "win_rate",
        "total_pnl",
        "total_return",
        "max_drawdown",
        "profit_factor",
        "stale_days",
    ]


def test_the_column_that_ranks_stands_in_the_leaderboard(run: Run) -> None:
    columns = run.leaderboard("calmar").columns
    assert columns[3] == "calmar"
    assert "sharpe" in columns
    assert run.leaderboard("delta").columns.count("delta") == 1
    assert run.leaderboard("refused_no_delta").columns[3] == "refused_no_delta"


def test_windows_and_strategies_stand_in_the_leaderboard(small_run: SmallRun, tmp_path: Path) -> None:
    job = job_of(windows={"train": "1y", "test": "1y"}, grid={"strategy": ["short_put", "iron_condor"]})
    run = finished(job, tmp_path, small_run.cache)
    shown = run.leaderboard("start")
    assert shown.columns[:5] == ["job", "symbol", "window", "role", "strategy"]
    assert shown.select("window", "role", "strategy").rows() == [
        (1, "train", "short_put"),
        (1, "train", "iron_condor"),
        (1, "test", "short_put"),
        (1, "test", "iron_condor"),
    ]


def test_the_status_stands_in_the_leaderboard_where_a_job_failed(run: Run, failing: Run) -> None:
    assert "status" not in run.leaderboard().columns
    shown = failing.leaderboard()
    assert shown.columns[:4] == ["job", "symbol", "delta", "status"]
    assert shown["status"].to_list() == ["done", "done", "done", "failed"]
    assert "status" in run.leaderboard("status").columns
