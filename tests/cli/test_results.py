"""Results, show and compare."""

from __future__ import annotations

import io
import json
import re
import subprocess
from pathlib import Path

import polars as pl
import pytest

from options_bt.analysis.run_reader import open_run
from options_bt.engine.metrics import METRICS
from options_bt.job.parameters import FIELDS
from tests.cli.terminal import PROGRAM, Command, refused
from tests.small_run import SmallRun, finished, job_of

# results, show and compare


def test_results_are_printed_best_first(command: Command, small_run: SmallRun) -> None:
    answer = command("results", small_run.path)
    assert answer.code == 0
    header, _, *rows = answer.lines
    assert header.split()[:4] == ["job", "symbol", "delta", "sharpe"]
    assert [row.split()[1:3] for row in rows[:2]] == [["NVDA", "0.15"], ["NVDA", "0.25"]]
    assert len(rows) == 4


def test_results_are_sorted_cut_and_filtered(command: Command, small_run: SmallRun) -> None:
    options = ["--sort", "max_drawdown", "--where", "delta > 0.18", "--top", 1, "--format", "json"]
    (row,) = json.loads(command("results", small_run.path, *options).out)
    results = open_run(small_run.path).results().filter(pl.col("delta") > 0.18)
    assert row["job"] == results.sort("max_drawdown")["job"][0]


def test_results_in_every_format_have_every_column(command: Command, small_run: SmallRun) -> None:
    expected = open_run(small_run.path).results().sort("sharpe", descending=True)
    columns = ["job", "symbol", "window", "role", "start", "end", "status"]
    assert expected.columns == [*columns, "strategy", *FIELDS, *METRICS]
    csv = command("results", small_run.path, "--format", "csv").raw
    assert pl.read_csv(io.BytesIO(csv), schema=expected.schema).equals(expected)
    parquet = command("results", small_run.path, "--format", "parquet").raw
    assert pl.read_parquet(io.BytesIO(parquet)).equals(expected)
    rows = json.loads(command("results", small_run.path, "--format", "json").raw)
    assert [list(row.values())[7:] for row in rows] == [list(row)[7:] for row in expected.rows()]


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--sort", "shrpe"], ["--sort: got 'shrpe' (did you mean 'sharpe'?); allowed: job, symbol, "]),
        (
            ["--where", "delta >"],
            ["--where 'delta >': unable to parse", "allowed: an SQL condition over job, symbol, "],
        ),
        (["--where", "dleta > 1"], ['unable to find column "dleta"', "allowed: an SQL condition over job, symbol, "]),
        (["--format", "xml"], ["'xml' is not one of 'table', 'csv', 'json', 'parquet'"]),
        (["--top", "0"], ["0 is not in the range x>=1"]),
    ],
    ids=lambda value: " ".join(value) if value and value[0].startswith("--") else "",
)
def test_wrong_questions_are_refused_with_what_is_allowed(
    command: Command, small_run: SmallRun, options: list[str], parts: list[str]
) -> None:
    refused(command("results", small_run.path, *options), *parts)


def test_a_condition_that_nothing_meets_prints_the_header(command: Command, small_run: SmallRun) -> None:
    answer = command("results", small_run.path, "--where", "delta > 1")
    assert (answer.code, len(answer.lines)) == (0, 2)


@pytest.mark.parametrize("arguments", [("results",), ("show", "a"), ("compare", "SELF")], ids=lambda value: value[0])
def test_no_such_run_is_refused_with_the_nearest(
    command: Command, small_run: SmallRun, arguments: tuple[str, ...]
) -> None:
    name, *rest = arguments
    rest = [str(small_run.path) if one == "SELF" else one for one in rest]
    wrong = small_run.path.with_name("small-quik")
    refused(
        command(name, wrong, *rest), f"{wrong} is not a run folder: it has no run.json", "did you mean 'small-quick'"
    )
    assert not wrong.exists()


def test_the_path_that_run_printed_is_taken_or_refused(command: Command, small_run: SmallRun) -> None:
    # `run` ends with "Results: runs/small-quick/results.parquet", which people copy.
    answer = command("results", small_run.path / "results.parquet")
    assert answer.code in (0, 2)


def test_the_bare_name_of_a_run_is_taken_or_its_path_is_told(command: Command, small_run: SmallRun) -> None:
    small_run.copy(Path("runs"))
    answer = command("results", "small-quick")
    assert answer.code == 0 or "runs/small-quick" in answer.err


def test_show_has_parameters_metrics_refusals_and_trades(command: Command, small_run: SmallRun) -> None:
    run = open_run(small_run.path)
    job = run.results()["job"][0]
    answer = command("show", small_run.path, job[:8])
    assert answer.code == 0
    titles = [line for line in answer.lines if line in ("Parameters", "Metrics", "Refusals", "Trades")]
    assert titles == ["Parameters", "Metrics", "Refusals", "Trades"]
    for name in (*FIELDS, *(name for name in METRICS if not name.startswith("refused_"))):
        assert re.search(rf"^  {name} ", answer.out, re.M), name
    assert len(re.findall(r"^\d{4}-\d\d-\d\d  \d{4}-\d\d-\d\d", answer.out, re.M)) == run.trades(job).height


def test_show_of_an_unknown_or_an_ambiguous_job_is_refused(command: Command, small_run: SmallRun) -> None:
    refused(
        command("show", small_run.path, "nope"), "has no job 'nope'", f"`options-bt results {small_run.path}` lists"
    )
    jobs = open_run(small_run.path).results()["job"]
    refused(command("show", small_run.path, ""), "4 jobs begin with ''", *jobs, "give more characters")


def test_show_computes_the_trades_again_that_a_run_does_not_keep(command: Command, small_run: SmallRun) -> None:
    job = job_of(symbols=["SPY", "NVDA"], run={"keep": "metrics"})
    bare = finished(job, Path("runs"), small_run.cache)
    for one in bare.results()["job"]:
        assert command("show", bare.path, one).out == command("show", small_run.path, one).out
    assert command("show", bare.path, one, "--cache", small_run.cache).code == 0
    refused(
        command("show", bare.path, one, "--cache", "elsewhere"),
        "two does not keep these trades and equity, and they cannot be computed again: NVDA: not cached in "
        "elsewhere; run `options-bt data pull` with the job file",
    )


def test_compare_says_how_many_jobs_have_no_tables(command: Command, small_run: SmallRun) -> None:
    bare = finished(job_of(symbols=["SPY", "NVDA"], run={"keep": "top 1"}), Path("runs"), small_run.cache)
    answer = command("compare", small_run.path, bare.path)
    assert (answer.code, answer.out) == (
        0,
        "4 jobs are bit-identical in results; trades and equity were compared for 1 of them (the others are not kept "
        "by both runs)\n",
    )


def test_compare_of_equal_runs_ends_with_0(command: Command, small_run: SmallRun) -> None:
    answer = command("compare", small_run.path, small_run.copy(Path("runs")))
    assert (answer.code, answer.out) == (0, "4 jobs are bit-identical in results, trades and equity\n")


def test_compare_of_other_runs_ends_with_1_and_the_differing_cells(command: Command, small_run: SmallRun) -> None:
    other = finished(job_of(symbols=["SPY", "NVDA"], params={"commission": 0.66}), Path("runs"), small_run.cache)
    answer = command("compare", small_run.path, other.path, "--top", 5)
    assert answer.code == 1
    first, header, _, *cells = answer.lines[: answer.lines.index("")]
    assert re.fullmatch(r"\d+ cells of 4 common jobs differ", first)
    assert header.split() == ["job", "table", "row", "column", "a", "b"]
    assert len(cells) == 5
    assert any(cell.split()[3:] == ["commission", "0.65", "0.66"] for cell in cells)
    assert re.search(r"^total_pnl +4 .* 0 +4 +0 +0:2 +0.5$", answer.out, re.M)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", ["results --format csv", "show JOB", "compare RUN"])
def test_a_reader_that_leaves_early_is_no_error(small_run: SmallRun, arguments: str) -> None:
    name, *rest = arguments.split()
    job = open_run(small_run.path).results()["job"][0]
    words = [{"JOB": job, "RUN": str(small_run.path)}.get(word, word) for word in rest]
    with subprocess.Popen(
        [PROGRAM, name, small_run.path, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == b""
