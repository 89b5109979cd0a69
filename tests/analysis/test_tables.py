from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from options_bt.analysis.compare import compare
from options_bt.analysis.run_reader import Run, open_run
from options_bt.analysis.tables import (
    comparison_text,
    formatted,
    headline,
    headline_columns,
    job_text,
    ranked,
    text_table,
)
from options_bt.engine.metrics import METRICS
from options_bt.errors import InputError, RunFolderError
from options_bt.job.objectives import LOWER_IS_BETTER, OBJECTIVES
from options_bt.job.parameters import FIELDS
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


def places(run: Run, **how: Any) -> list[int]:
    """Return which result stands first, second and so on."""
    jobs = run.results()["job"].to_list()
    return [jobs.index(job) for job in ranked(run, **how)["job"]]


def test_results_are_ranked_by_the_objective_of_the_job(small_run: SmallRun, tmp_path: Path) -> None:
    assert places(of_values(small_run, tmp_path / "a", "sharpe", [1.0, 3.0, -2.0, 2.0])) == [1, 3, 0, 2]
    calmar = of_values(small_run, tmp_path / "b", "calmar", [1.0, 3.0, -2.0, 2.0], objective="calmar")
    assert places(calmar) == [1, 3, 0, 2]


def test_a_drawdown_is_best_when_small(small_run: SmallRun, tmp_path: Path) -> None:
    run = of_values(small_run, tmp_path, "max_drawdown", [0.3, 0.1, 0.2, 0.0], objective="max_drawdown")
    assert places(run) == [3, 1, 2, 0]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_first_row_is_the_best_by_every_objective(run: Run, objective: str) -> None:
    values = ranked(run, sort=objective)[objective].to_list()
    assert values == sorted(values, reverse=objective not in LOWER_IS_BETTER)


def test_undefined_values_come_last_and_ties_keep_the_order_of_the_plan(small_run: SmallRun, tmp_path: Path) -> None:
    run = of_values(small_run, tmp_path / "a", "sharpe", [None, 1.0, None, 1.0])
    assert places(run) == [1, 3, 0, 2]
    run = of_values(small_run, tmp_path / "b", "max_drawdown", [None, 0.2, 0.2, 0.1])
    assert places(run, sort="max_drawdown") == [3, 1, 2, 0]


def test_text_and_days_are_sorted_upwards(run: Run) -> None:
    assert places(run, sort="symbol") == [2, 3, 0, 1]
    assert places(run, sort="start") == [0, 1, 2, 3]


@pytest.mark.parametrize("top", [1, 3, 4, 100])
def test_so_many_rows_are_given(run: Run, top: int) -> None:
    assert places(run, top=top) == places(run)[:top]


def test_an_unknown_column_is_refused_with_the_nearest_and_all_there_are(run: Run) -> None:
    with pytest.raises(InputError) as caught:
        ranked(run, sort="shrpe")
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
    assert sorted(places(run, where=where)) == kept


def test_the_condition_counts_before_the_rows(run: Run) -> None:
    assert places(run, where="symbol = 'SPY'", top=1, sort="delta") == [1]


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
        ranked(run, where=where)
    message = str(caught.value)
    assert message.startswith(f"--where {where!r}: ")
    assert reason in message
    assert message.endswith("allowed: an SQL condition over " + ", ".join(run.results().columns))
    assert "\n" not in message


def test_only_some_columns_are_read_and_the_rows_are_the_same(run: Run) -> None:
    whole = ranked(run, sort="calmar", top=3, where="delta < 0.3")
    for columns in (["job"], headline_columns(run, "calmar")):
        assert ranked(run, sort="calmar", top=3, where="delta < 0.3", columns=columns).equals(whole.select(columns))
    assert headline(run, whole.select(headline_columns(run))).equals(headline(run, whole))


def test_the_headline_tells_the_rows_apart_and_has_the_main_metrics(run: Run) -> None:
    assert headline(run, run.results()).columns == [
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


def test_what_it_is_sorted_by_stands_in_the_headline(run: Run) -> None:
    columns = headline(run, run.results(), "calmar").columns
    assert columns[3] == "calmar"
    assert "sharpe" in columns
    assert headline(run, run.results(), "delta").columns.count("delta") == 1
    assert headline(run, run.results(), "refused_no_delta").columns[3] == "refused_no_delta"


def test_windows_and_strategies_stand_in_the_headline(small_run: SmallRun, tmp_path: Path) -> None:
    job = job_of(windows={"train": "1y", "test": "1y"}, grid={"strategy": ["short_put", "iron_condor"]})
    run = finished(job, tmp_path, small_run.cache)
    shown = headline(run, run.results())
    assert shown.columns[:5] == ["job", "symbol", "window", "role", "strategy"]
    assert shown.select("window", "role", "strategy").rows() == [
        (1, "train", "short_put"),
        (1, "train", "iron_condor"),
        (1, "test", "short_put"),
        (1, "test", "iron_condor"),
    ]


def test_the_status_stands_in_the_headline_where_a_job_failed(run: Run, failing: Run) -> None:
    assert "status" not in headline(run, run.results()).columns
    shown = headline(failing, ranked(failing))
    assert shown.columns[:4] == ["job", "symbol", "delta", "status"]
    assert shown["status"].to_list() == ["done", "done", "done", "failed"]


def test_csv_and_json_and_parquet_give_back_every_value(run: Run) -> None:
    results = run.results()
    assert_frame_equal(pl.read_csv(io.BytesIO(formatted(results, "csv")), schema=results.schema), results)
    assert formatted(results, "csv").splitlines()[0].decode() == ",".join(results.columns)
    rows = json.loads(formatted(results, "json"))
    assert [list(row) for row in rows] == [results.columns] * 4
    for row, expected in zip(rows, results.iter_rows(named=True), strict=True):
        assert row == expected | {"start": "2023-01-01", "end": "2024-12-31"}
    assert_frame_equal(pl.read_parquet(io.BytesIO(formatted(results, "parquet"))), results, check_exact=True)


@pytest.mark.parametrize("form", ["csv", "json", "parquet", "table"])
def test_no_rows_are_a_valid_file(run: Run, form: Any) -> None:
    none = run.results().head(0)
    data = formatted(none, form)
    if form == "csv":
        assert data.decode().split() == [",".join(none.columns)]
    elif form == "json":
        assert json.loads(data) == []
    elif form == "parquet":
        assert pl.read_parquet(io.BytesIO(data)).schema == none.schema
    else:
        assert len(data.splitlines()) == 2


def test_numbers_stand_to_the_right_and_text_to_the_left() -> None:
    frame = pl.DataFrame({"symbol": ["A", "LONGER"], "trades": [1, 1000], "sharpe": [0.12345678, None]})
    assert text_table(frame) == (
        "symbol  trades  sharpe\n------  ------  ------\nA            1    0.12\nLONGER    1000       -\n"
    )


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("win_rate", 0.9615384, "96.15%"),
        ("max_drawdown", 0.00449, "0.45%"),
        ("total_pnl", 1234567.891, "1,234,567.89"),
        ("total_pnl", -1234.5, "-1,234.50"),
        ("sharpe", 0.0012, "0.00"),
        ("sharpe", 1.0, "1.00"),
        ("sharpe", None, "-"),
        ("win_rate", None, "-"),
        ("premium", 0.585, "0.58"),
        ("delta", 0.15, "0.15"),
        ("delta", 0.125, "0.125"),
        ("width", 5.0, "5"),
        ("contracts", 12.0, "12"),
        ("dte", "30-45", "30-45"),
    ],
)
def test_cells_are_made_for_reading(column: str, value: Any, expected: str) -> None:
    assert text_table(pl.DataFrame({column: [value]})).splitlines()[-1].strip() == expected


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("pnl", 12345.67, "12,345.67"),
        ("pnl", -1234567.0, "-1,234,567.00"),
        ("capital", 1_000_000.0, "1,000,000"),
        ("capital", 1_234_567.0, "1,234,567"),
        ("delta", 0.12345678, "0.12345678"),
    ],
)
def test_no_digit_of_dollars_or_parameters_is_lost(column: str, value: Any, expected: str) -> None:
    shown = text_table(pl.DataFrame({column: [value]})).splitlines()[-1].strip()
    assert shown.replace(",", "") == expected.replace(",", "")


def test_a_table_without_rows_has_its_header() -> None:
    assert text_table(pl.DataFrame(schema={"job": pl.String, "n": pl.Int64})) == "job  n\n---  -\n"


def sections(text: str) -> dict[str, list[str]]:
    """Return the lines of each section of a job's text by its title."""
    found: dict[str, list[str]] = {}
    for block in text.rstrip("\n").split("\n\n"):
        title, *lines = block.splitlines()
        found[title] = lines
    return found


def test_one_job_is_shown_with_parameters_metrics_refusals_and_trades(run: Run) -> None:
    row = run.results().row(3, named=True)
    shown = sections(job_text(run, row["job"]))
    assert list(shown) == ["Parameters", "Metrics", "Refusals", "Trades"]
    names = {title: [line.split()[0] for line in lines] for title, lines in shown.items()}
    assert names["Parameters"] == ["job", "symbol", "window", "role", "start", "end", "status", "strategy", *FIELDS]
    assert names["Metrics"] == [name for name in METRICS if not name.startswith("refused_")]
    assert names["Refusals"] == [name for name in METRICS if name.startswith("refused_") and row[name]]
    values = dict(line.split(maxsplit=1) for line in [*shown["Parameters"], *shown["Metrics"], *shown["Refusals"]])
    assert (values["symbol"], values["delta"], values["dte"], values["exit_dte"]) == ("NVDA", "0.25", "30-45", "-")
    assert values["trades"] == str(row["trades"])
    assert values["refused_no_expiration"] == str(row["refused_no_expiration"])


def test_every_trade_of_a_job_is_a_line_with_its_legs(run: Run) -> None:
    job = run.results()["job"][2]
    header, _, *lines = sections(job_text(run, job))["Trades"]
    trades = run.trades(job)
    assert header.split()[:4] == ["entry_date", "exit_date", "expiration", "legs"]
    assert len(lines) == trades.height
    first = trades.row(0, named=True)
    short, long = first["legs"]
    assert lines[0].split()[:3] == [str(first[name]) for name in ("entry_date", "exit_date", "expiration")]
    assert f"-1x{short['strike']}p +1x{long['strike']}p" in lines[0]
    assert lines[0].split()[-2:] == [first["exit_reason"], str(first["stale_days"])]


def test_the_first_characters_of_an_id_are_enough(run: Run) -> None:
    job = run.results()["job"][0]
    assert job_text(run, job[:8]) == job_text(run, job)


def test_a_job_without_refusals_and_trades_says_so(small_run: SmallRun, tmp_path: Path) -> None:
    path = small_run.copy(tmp_path)
    results = open_run(path).results()
    nothing = results.with_columns(pl.lit(0, pl.Int64).alias(name) for name in METRICS if name.startswith("refused_"))
    run = with_results(path, nothing)
    assert sections(job_text(run, results["job"][0]))["Refusals"] == ["  none"]


def test_a_failed_job_is_shown_with_its_traceback(failing: Run) -> None:
    job = failing.results().filter(status="failed")["job"][0]
    text = job_text(failing, job)
    assert "  status" in text
    assert "Failed after 1 attempts\nTraceback (most recent call last):" in text
    assert text.rstrip().endswith("ZeroDivisionError: a fault of the test")
    assert "\nTrades\n" not in text


def test_an_unknown_job_is_refused(run: Run) -> None:
    with pytest.raises(RunFolderError, match="has no job 'nothing'"):
        job_text(run, "nothing")


def test_equal_runs_are_told_in_a_line(run: Run) -> None:
    text = comparison_text(compare(run, run), 20)
    assert text == "4 jobs are bit-identical in results, trades and equity\n"


def test_the_first_differing_cells_are_printed_with_how_many_there_are(
    small_run: SmallRun, run: Run, tmp_path: Path
) -> None:
    other = of_values(small_run, tmp_path, "sharpe", [1.0, 2.0, 3.0, 4.0])
    text = comparison_text(compare(run, other), 3)
    first, header, _, *cells = text[: text.index("\n\n")].splitlines()
    assert first == "4 cells of 4 common jobs differ"
    assert header.split() == ["job", "table", "row", "column", "a", "b"]
    assert len(cells) == 3
    assert {cell.split()[3] for cell in cells} == {"sharpe"}
    sharpe = dict(run.results().select("job", "sharpe").rows())
    assert all(float(cell.split()[4]) == sharpe[cell.split()[0]] for cell in cells)


def test_jobs_that_only_one_run_has_are_named(small_run: SmallRun, run: Run, tmp_path: Path) -> None:
    one = finished(job_of(grid={"delta": [0.15]}), tmp_path, small_run.cache)
    missing = [job for job in run.results()["job"] if job != one.results()["job"][0]]
    for comparison, side in ((compare(run, one), "A"), (compare(one, run), "B")):
        text = comparison_text(comparison, 20)
        assert text.startswith(f"3 jobs only in {side}: ")
        assert all(job in text for job in missing)
        assert "differ" not in text
