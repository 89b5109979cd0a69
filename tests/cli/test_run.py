"""The command run."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from options_bt.analysis.run_reader import open_run
from options_bt.engine.backtest import Outcome, run_backtest
from options_bt.job.spec import JobSpec
from options_bt.runner import schedule
from options_bt.runner.execution import batch
from tests.cli.terminal import (
    ONE_YEAR,
    PROGRAM,
    SMALL_NEWS,
    Answer,
    Command,
    process,
    refused,
    shown_on_terminal,
    written,
)
from tests.small_run import JOB, SmallRun, contents, job_of, with_a_failure

pytestmark = pytest.mark.slow

# run


def test_run_prints_news_the_best_and_where_the_results_are(command: Command, small_run: SmallRun) -> None:
    answer = command("run", small_run.jobfile, "--quick", "--workers", 1)
    assert (answer.code, answer.err) == (0, "")
    for line, expected in zip(answer.lines, SMALL_NEWS, strict=False):
        assert re.fullmatch(expected, line)
    rest = answer.lines[len(SMALL_NEWS) :]
    assert rest[:2] == ["", "small-quick, the best 4 of 4 by sharpe:"]
    assert rest[2].split()[:4] == ["job", "symbol", "delta", "sharpe"]
    sharpes = [float(line.split()[3]) for line in rest[4:8]]
    assert sharpes == sorted(sharpes, reverse=True)
    data, prices, warning, times, results, report = [line for line in rest[8:] if line]
    assert re.fullmatch(
        r"Prices: of [\d,]+ position-days \d+% have a modelled leg and 0% no .* at modelled prices\.", prices
    )
    assert warning.startswith("Warning: these shares are high; docs/modelled-quotes.md explains")
    assert data == "Data: demo: simulated market (sparse, seed 1)"
    seconds = r"\d+\.\d s"
    assert re.fullmatch(
        rf"Time: {seconds} pull, {seconds} build, {seconds} backtests \({seconds} of work\), {seconds} writing", times
    )
    assert results == "Results: runs/small-quick/results.parquet"
    assert report == "Report: runs/small-quick/report.html"
    assert Path("runs/small-quick/results.parquet").read_bytes() == (small_run.path / "results.parquet").read_bytes()


def test_the_log_is_json_lines_with_time_level_logger_message_and_job(command: Command, small_run: SmallRun) -> None:
    started = datetime.now(UTC)
    answer = command("run", small_run.jobfile, "--quick", "--workers", 1)
    entries = [json.loads(line) for line in Path("runs/small-quick/log.jsonl").read_text().splitlines()]
    for entry in entries:
        assert entry.keys() >= {"time", "level", "logger", "message"}
        assert -1 < (datetime.fromisoformat(entry["time"]) - started).total_seconds() < 60
        assert f"{entry['level']} [{entry['logger']}] {entry['message']}" in answer.lines
    done = [entry for entry in entries if entry["message"].startswith("Backtest complete")]
    results = open_run("runs/small-quick").results()
    assert [(entry["job"], entry["symbol"], entry["message"]) for entry in done] == [
        (row["job"], row["symbol"], f"Backtest complete: {row['trades']} trades")
        for row in results.iter_rows(named=True)
    ]


def test_a_finished_run_runs_nothing_again_and_prints_its_results(command: Command, small_run: SmallRun) -> None:
    path = small_run.copy(Path("runs"))
    before = contents(path)
    answer = command("run", small_run.jobfile, "--quick", "--workers", 1)
    assert answer.code == 0
    assert "Backtest complete" not in answer.out
    assert answer.lines[0] == "INFO [options_bt.runner.run] 4 of 4 backtests done, 0 failed"
    assert "small-quick, the best 4 of 4 by sharpe:" in answer.lines
    after = contents(path)
    for name in ("ledger.sqlite", "results.parquet", "run.json"):
        assert after[name] == before[name]
    assert {name for name in after if "part-" in name} == {name for name in before if "part-" in name}


def test_symbols_can_be_chosen_more_than_once(command: Command, small_run: SmallRun) -> None:
    job = written(JOB.replace("[SPY, NVDA]", "[MSFT, SPY, NVDA]"))
    assert command("run", job, "--quick", "--symbol", "NVDA", "--symbol", "SPY", "-q").code == 0
    assert open_run("runs/small-quick").results()["symbol"].to_list() == ["SPY", "SPY", "NVDA", "NVDA"]


def test_set_overrides_parameters_and_axes_and_name_names_the_run(command: Command, small_run: SmallRun) -> None:
    options = [
        "--symbol",
        "SPY",
        "--set",
        "delta=0.3",
        "--set",
        "width=[2,10]",
        "--set",
        "exit_dte=7",
        "--name",
        "mine",
    ]
    assert command("run", small_run.jobfile, "--quick", *options).code == 0
    results = open_run("runs/mine-quick").results()
    assert results.select("delta", "width", "exit_dte").rows() == [(0.3, 2.0, 7), (0.3, 10.0, 7)]


def test_without_quick_the_whole_period_is_run(command: Command, small_run: SmallRun) -> None:
    answer = command("plan", small_run.jobfile)
    assert answer.lines[0] == "small: 4 backtests from 2019-01-01 to 2024-12-31"


@pytest.mark.parametrize(("top", "rows"), [(0, 0), (1, 1), (3, 3), (50, 4)])
def test_top_rows_are_printed(command: Command, small_run: SmallRun, top: int, rows: int) -> None:
    small_run.copy(Path("runs"))
    answer = command("run", small_run.jobfile, "--quick", "--top", top)
    assert len(re.findall(r"^[0-9a-f]{16} ", answer.out, re.M)) == rows
    assert ("the best" in answer.out) == (rows > 0)


def test_quiet_prints_the_results_and_no_news(command: Command, small_run: SmallRun) -> None:
    answer = command("run", small_run.jobfile, "--quick", "-q")
    assert "INFO" not in answer.out
    assert "the best 4 of 4" in answer.out
    assert answer.err == ""
    assert "Backtest complete: 40 trades" in Path("runs/small-quick/log.jsonl").read_text()


def test_in_large_runs_single_backtests_are_details_that_verbose_prints(command: Command) -> None:
    many = ONE_YEAR + f"grid: {{delta: {[n / 200 for n in range(1, 102)]}}}\n"
    counts = {}
    for name, flag in (("details", "-v"), ("warnings", "-q"), ("news", "--top=1")):
        answer = command("run", written(many), "--workers", 1, "--name", name, flag)
        assert answer.code == 0
        counts[name] = answer.out.count("[options_bt.engine] Backtest complete")
        assert "the best " in answer.out
        log = Path(f"runs/{name}/log.jsonl").read_text()
        assert log.count('"Backtest complete: ') == 101
    assert counts == {"details": 101, "warnings": 0, "news": 0}


def test_fresh_begins_anew_and_keeps_the_old_run(command: Command, small_run: SmallRun) -> None:
    old = contents(small_run.copy(Path("runs")))
    answer = command("run", small_run.jobfile, "--quick", "--fresh", "--workers", 1, "--set", "width=10")
    assert answer.code == 0
    assert "Running 4 backtests" in answer.out
    (aside,) = Path("runs").glob("small-quick.*")
    assert re.fullmatch(r"small-quick\.\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d", aside.name)
    assert f"The old run was set aside as {aside}" in answer.out
    assert contents(aside) == old
    assert open_run("runs/small-quick").results()["width"].unique().to_list() == [10.0]


def test_another_job_of_the_same_name_is_refused_with_what_differs(command: Command, small_run: SmallRun) -> None:
    before = contents(small_run.copy(Path("runs")))
    for option, key in (("--set=width=7", "params"), ("--symbol=SPY", "symbols"), ("--set=delta=[0.1]", "grid")):
        refused(
            command("run", small_run.jobfile, "--quick", option, "-q"),
            f"runs/small-quick holds results of a run that differs in {key}. ",
            "--fresh to start over (the old run is set aside)",
            "--name NAME",
        )
    assert contents(Path("runs/small-quick")) == before


def test_a_failed_backtest_is_named_and_the_exit_code_is_1(command: Command, small_run: SmallRun) -> None:
    with_a_failure(job_of(name="small-quick", symbols=["SPY", "NVDA"]), Path("runs"), small_run.cache)
    job = open_run("runs/small-quick").failures()[0].job
    answer = command("run", small_run.jobfile, "--quick", "-q")
    assert answer.code == 1
    assert failed(answer) == [(job, "ZeroDivisionError: a fault of the test")]
    assert "The first 1 of 1 failures:" in answer.err
    assert any(line.startswith(job) and " failed " in line for line in answer.lines)
    assert "Results: runs/small-quick/results.parquet" in answer.lines


def failing_everywhere(monkeypatch: pytest.MonkeyPatch, *deltas: float) -> None:
    def failing(spec: JobSpec, market: Any) -> Outcome:
        if spec.params.delta in deltas:
            raise ZeroDivisionError(f"a fault at {spec.params.delta}")
        return run_backtest(spec, market)

    monkeypatch.setattr(batch, "run_backtest", failing)


def test_an_error_of_one_backtest_is_logged_with_its_job(
    command: Command, small_run: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_everywhere(monkeypatch, 0.25)
    answer = command("run", small_run.jobfile, "--quick", "--symbol", "SPY", "--workers", 1)
    assert answer.code == 1
    _, job = open_run("runs/small-quick").results()["job"]
    assert (
        f"ERROR [options_bt.runner.coordinator] Backtest {job} of SPY failed: ZeroDivisionError: a fault at 0.25"
    ) in answer.lines
    assert "INFO [options_bt.runner.run] 1 of 2 backtests done, 1 failed" in answer.lines
    assert failed(answer) == [(job, "ZeroDivisionError: a fault at 0.25")]
    shown = command("show", "runs/small-quick", job)
    assert "ZeroDivisionError: a fault at 0.25" in shown.out
    assert command("results", "runs/small-quick", "--where", "status = 'failed'", "--format", "csv").out.count(job) == 1


def test_what_went_wrong_is_told_when_no_backtest_of_a_batch_succeeds(
    command: Command, small_run: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_everywhere(monkeypatch, 0.15, 0.25)
    answer = command("run", small_run.jobfile, "--quick", "--symbol", "SPY", "--workers", 1)
    assert answer.code == 1
    jobs = open_run("runs/small-quick").results()["job"].to_list()
    assert failed(answer) == [
        (job, f"ZeroDivisionError: a fault at {delta}") for job, delta in zip(jobs, (0.15, 0.25), strict=True)
    ]


def failed(answer: Answer) -> list[tuple[str, str]]:
    """Return the jobs of the table of failures, with why."""
    rows = [line.split() for line in answer.err.splitlines() if "Error:" in line]
    return [(row[0], " ".join(row[4:])) for row in rows]


def test_failed_backtests_can_be_run_again(
    command: Command, small_run: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ("run", small_run.jobfile, "--quick", "--workers", 1)
    with monkeypatch.context() as patch:
        failing_everywhere(patch, 0.25)
        assert command(*run).code == 1
    assert command(*run).code == 1
    again = command(*run, "--resume-failed")
    assert again.code == 0
    assert "INFO [options_bt.runner.run] Running 2 backtests again that failed before" in again.lines
    assert command("compare", small_run.path, "runs/small-quick").code == 0
    assert "Backtest complete" not in command(*run, "--resume-failed").out


@pytest.mark.parametrize(
    ("option", "ended"),
    [(["--fail-fast"], False), (["--max-failures", "0"], False), (["--max-failures", "20%"], False), ([], True)],
)
def test_a_run_is_given_up_when_more_fail_than_is_allowed(
    command: Command, small_run: SmallRun, monkeypatch: pytest.MonkeyPatch, option: list[str], ended: bool
) -> None:
    monkeypatch.setattr(schedule, "FIRST_BATCH", 1)
    monkeypatch.setattr(schedule, "BATCH_SECONDS", 0.0)
    run = ("run", small_run.jobfile, "--quick", "--workers", 1)
    with monkeypatch.context() as patch:
        failing_everywhere(patch, 0.15)
        answer = command(*run, *option)
    assert answer.code == 1
    assert Path("runs/small-quick/results.parquet").exists() == ended
    assert ("Stopped after 1 failures, 3 backtests left. Run the same command to resume." in answer.err) != ended
    assert command(*run, "--resume-failed").code == 0
    assert command("compare", small_run.path, "runs/small-quick").code == 0


@pytest.mark.parametrize("given", ["few", "-1", "5 %", "1.5"])
def test_a_limit_that_is_none_is_refused(command: Command, small_run: SmallRun, given: str) -> None:
    answer = command("run", small_run.jobfile, "--quick", f"--max-failures={given}")
    assert answer.code == 2
    assert f"max-failures: got '{given}'; allowed: a whole number, or a share of the backtests as 5%" in answer.err


def test_workers_are_processes_that_give_the_same(small_run: SmallRun, tmp_path: Path) -> None:
    places = ["--runs", tmp_path / "runs", "--cache", small_run.cache]
    done = process("run", small_run.jobfile, "--quick", "--workers", 2, *places, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Running 4 backtests in 2 worker processes" in done.stdout
    compared = process("compare", small_run.path, tmp_path / "runs/small-quick", folder=tmp_path)
    assert (compared.returncode, compared.stdout) == (0, "4 jobs are bit-identical in results, trades and equity\n")


def test_a_changed_objective_ranks_the_results_of_a_finished_run(command: Command, small_run: SmallRun) -> None:
    small_run.copy(Path("runs"))
    answer = command("run", written(JOB + "objective: total_pnl\n"), "--quick")
    assert "small-quick, the best 4 of 4 by total_pnl:" in answer.lines
    at = answer.lines.index("small-quick, the best 4 of 4 by total_pnl:")
    column = answer.lines[at + 1].split().index("total_pnl")
    values = [float(line.split()[column].replace(",", "")) for line in answer.lines[at + 3 : at + 7]]
    assert values == sorted(values, reverse=True)


def test_on_a_terminal_news_stand_on_lines_of_their_own(small_run: SmallRun, tmp_path: Path) -> None:
    line = [str(PROGRAM), "run", str(small_run.jobfile), "--quick", "--workers", "1", "--cache", str(small_run.cache)]
    shown = shown_on_terminal(line, tmp_path, 24, 150)
    # What a terminal shows of a line is what was written last from its start on.
    texts = [text.rpartition("\r")[2] for text in shown.replace("\r\n", "\n").split("\n")]
    assert "small-quick: 100%" in shown
    assert [text for text in texts if "INFO" in text and not text.startswith("INFO")] == []


# places


def test_the_folders_are_options_or_variables_or_here(
    command: Command, small_run: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = written(ONE_YEAR)
    assert command("run", job, "--runs", "a/runs", "--cache", "a/cache").code == 0
    monkeypatch.setenv("OPTIONS_BT_RUNS", "b/runs")
    monkeypatch.setenv("OPTIONS_BT_CACHE", "b/cache")
    assert command("run", job).code == 0
    assert command("run", job, "--runs", "c/runs").code == 0
    monkeypatch.delenv("OPTIONS_BT_RUNS")
    monkeypatch.delenv("OPTIONS_BT_CACHE")
    assert command("run", job).code == 0
    for run_folder in ("a/runs", "b/runs", "c/runs", "runs"):
        assert open_run(Path(run_folder) / "year").results().height == 1
    for cache in ("a/cache", "b/cache", "cache"):
        assert [path.name for path in Path(cache).iterdir()] == ["demo"]
    assert not Path("c/cache").exists()


def test_a_folder_that_cannot_be_written_is_exit_code_3(command: Command, small_run: SmallRun) -> None:
    Path("file").touch()
    answer = command("run", small_run.jobfile, "--quick", "--runs", "file")
    assert answer.code == 3
    assert answer.err.startswith("Error: file/small-quick: cannot write: Not a directory; check the disk and its")


@pytest.mark.parametrize("name", ["plan", "run"])
def test_a_cache_that_is_a_file_is_told(command: Command, name: str) -> None:
    Path("file").touch()
    answer = command(name, written(ONE_YEAR), "--cache", "file")
    assert answer.code in (2, 3)
    assert "file" in answer.err
