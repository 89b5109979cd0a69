from __future__ import annotations

import fcntl
import io
import json
import logging
import os
import pty
import re
import shlex
import shutil
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import click
import polars as pl
import pytest

from options_bt.analysis.opened import open_run
from options_bt.cli import cli, main
from options_bt.data.demo import DemoSource
from options_bt.data.dolt import DoltSource
from options_bt.engine.backtest import Outcome, run_backtest
from options_bt.engine.metrics import METRICS
from options_bt.job.parameters import FIELDS
from options_bt.job.spec import JobSpec
from options_bt.runner import batch, run
from tests.small_run import JOB, SmallRun, contents, finished, job_of, with_a_failure

PROGRAM = Path(sys.executable).parent / "options-bt"
ONE_YEAR = "name: year\nsymbols: [SPY]\nperiod: {start: 2019-01-01, end: 2019-06-30}\n"
SMALL_NEWS = [
    r"INFO \[options_bt\.runner\.coordinator\] Running 4 backtests in this process",
    r"INFO \[options_bt\.engine\] Backtest complete: 23 trades",
    r"INFO \[options_bt\.engine\] Backtest complete: 23 trades",
    r"INFO \[options_bt\.engine\] Backtest complete: 26 trades",
    r"INFO \[options_bt\.engine\] Backtest complete: 27 trades",
    r"INFO \[options_bt\.runner\.progress\] small-quick: 4/4 jobs \(100%\), .*best sharpe 2\.\d+ \(NVDA delta 0\.15\)",
    r"INFO \[options_bt\.runner\.run\] 4 of 4 backtests done, 0 failed",
]


class Answer(NamedTuple):
    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode()

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


Command = Callable[..., Answer]


@pytest.fixture
def command(
    small_run: SmallRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> Iterator[Command]:
    """Run a command line in this process and an empty folder, on the cache of the small run."""
    logger = logging.getLogger("options_bt")
    before = logger.handlers, logger.level, logger.propagate
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("OPTIONS_BT_CACHE", str(small_run.cache))
    monkeypatch.delenv("OPTIONS_BT_RUNS", raising=False)

    def call(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["options-bt", *map(str, arguments)])
        capsysbinary.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsysbinary.readouterr()
        return Answer(int(ended.value.code or 0), out, err.decode())

    yield call
    logger.handlers, logger.level, logger.propagate = before


def refused(answer: Answer, *parts: str) -> None:
    """Check that a command ended with 2 and one message that has these parts."""
    assert answer.code == 2
    assert answer.raw == b""
    assert "Traceback" not in answer.err
    for part in parts:
        assert part in answer.err


def written(text: str, name: str = "job.yaml") -> Path:
    path = Path(name)
    path.write_text(text)
    return path


def process(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command line as a user does."""
    line = [str(PROGRAM), *map(str, arguments)]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def commands(group: click.Group = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, one in group.commands.items():
        if isinstance(one, click.Group):
            yield from commands(one, (*path, name))
        else:
            yield (*path, name), one


# help


@pytest.mark.parametrize(("path", "one"), list(commands()), ids=[" ".join(path) for path, _ in commands()])
def test_the_help_of_every_command_ends_with_an_example_that_parses(
    command: Command, path: tuple[str, ...], one: click.Command
) -> None:
    answer = command(*path, "--help")
    assert answer.code == 0
    title, example = answer.lines[-2:]
    assert title == "Example:"
    words = shlex.split(example)
    assert words[: len(path) + 1] == ["options-bt", *path]
    one.make_context(path[-1], words[len(path) + 1 :])


def test_the_help_lists_every_command_with_what_it_does(command: Command) -> None:
    answer = command("-h")
    assert answer.code == 0
    for name, one in cli.commands.items():
        assert any(line.split() and line.split()[0] == name and len(line.split()) > 3 for line in answer.lines), name
        assert one.help


@pytest.mark.parametrize("arguments", [(), ("data",)], ids=["nothing", "data"])
def test_without_a_command_the_help_is_shown(command: Command, arguments: tuple[str, ...]) -> None:
    answer = command(*arguments)
    assert answer.code == 2
    assert "Commands:" in answer.err + answer.out


def test_the_version_is_shown(command: Command) -> None:
    answer = command("--version")
    assert answer.code == 0
    assert re.search(r"\d+\.\d+", answer.out)


# plan


def test_plan_shows_what_would_run_and_writes_nothing(command: Command, small_run: SmallRun) -> None:
    answer = command("plan", small_run.jobfile, "--quick", "--workers", 1)
    assert answer.code == 0
    assert answer.lines[0] == "small-quick: 4 backtests of 2023-01-01 to 2024-12-31"
    assert "  symbols   2 symbols x 2 backtests: SPY, NVDA" in answer.lines
    assert re.search(r"data +2021 to 2024; 8 of 8 symbol-years are cached \([\d,]+ quotes\)$", answer.out, re.M)
    assert re.search(r"estimate +\d+ s with 1 worker, \d+ MB of memory", answer.out)
    assert answer.lines[-4:] == [
        f"  {number:>4}  {symbol} 2023-01-01..2024-12-31 put_credit_spread delta={delta}"
        for number, (symbol, delta) in enumerate((s, d) for s in ("SPY", "NVDA") for d in (0.15, 0.25))
    ]
    assert list(Path().iterdir()) == []


def test_plan_of_an_empty_cache_says_what_would_be_pulled_and_makes_no_folder(
    command: Command, small_run: SmallRun
) -> None:
    answer = command("plan", small_run.jobfile, "--quick", "--symbol", "SPY", "--cache", "mine", "--first", 1)
    assert answer.code == 0
    assert "0 of 4 symbol-years are cached (0 quotes), 4 would be pulled" in answer.out
    assert answer.lines[-2:] == ["first 1:", answer.lines[-1]]
    assert list(Path().iterdir()) == []


def test_plan_takes_what_run_takes(command: Command, small_run: SmallRun) -> None:
    options = ["--symbol", "NVDA", "--set", "width=[2, 5]", "--set", "commission=1", "--name", "wide", "--workers", 3]
    answer = command("plan", small_run.jobfile, *options)
    assert answer.lines[0] == "wide: 4 backtests of 2019-01-01 to 2024-12-31"
    assert "  axis      width: 2.0, 5.0" in answer.lines
    assert "symbol x 4 backtests: NVDA" in answer.out


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
    assert [line for line in rest[8:] if line] == [
        "Data: demo: simulated market (sparse, seed 1)",
        "Results: runs/small-quick/results.parquet",
    ]
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
    assert answer.lines[0] == "small: 4 backtests of 2019-01-01 to 2024-12-31"


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
    assert "Backtest complete: 27 trades" in Path("runs/small-quick/log.jsonl").read_text()


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
    (aside,) = (path for path in Path("runs").iterdir() if path.name != "small-quick")
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
            "--fresh (the old run is set aside)",
            "--name NAME",
        )
    assert contents(Path("runs/small-quick")) == before


def test_a_failed_backtest_is_named_and_the_exit_code_is_1(command: Command, small_run: SmallRun) -> None:
    with_a_failure(job_of(name="small-quick", symbols=["SPY", "NVDA"]), Path("runs"), small_run.cache)
    job = open_run("runs/small-quick").failures()[0].job
    answer = command("run", small_run.jobfile, "--quick", "-q")
    assert answer.code == 1
    assert answer.err.splitlines() == [f"failed {job}: ZeroDivisionError: a fault of the test"]
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
    assert answer.err.splitlines() == [f"failed {job}: ZeroDivisionError: a fault at 0.25"]
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
    assert answer.err.splitlines() == [
        f"failed {job}: ZeroDivisionError: a fault at {delta}" for job, delta in zip(jobs, (0.15, 0.25), strict=True)
    ]


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
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 150, 0, 0))
    line = [str(PROGRAM), "run", str(small_run.jobfile), "--quick", "--workers", "1", "--cache", str(small_run.cache)]
    with subprocess.Popen(line, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer):
        os.close(writer)
        shown = b""
        try:
            while part := os.read(reader, 65536):
                shown += part
        except OSError:  # how Linux says that the other end was closed
            os.close(reader)
    # What a terminal shows of a line is what was written last from its start on.
    texts = [text.rpartition("\r")[2] for text in shown.decode().replace("\r\n", "\n").split("\n")]
    assert "small-quick: 100%" in shown.decode()
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


# bad input

WRONG_JOB = """\
name: a/b
symbol: [SPY]
symbols: [SPY, "no ticker"]
period: {start: 2024-01-01, end: 2023-01-01}
source: mongodb://x
strategy: put_spread
grid: {delta: [0.2, 2], detla: [0.1]}
params: {width: -5, dte: 45-30}
windows: {train: 2 years, test: 1y}
objective: sharp
run: {workers: 0}
"""


@pytest.mark.parametrize("name", ["run", "plan", "data pull"])
def test_every_fault_of_a_job_file_is_listed_and_nothing_is_written(command: Command, name: str) -> None:
    job = written(WRONG_JOB)
    answer = command(*name.split(), job, "--cache", "cache")
    refused(answer)
    first, *faults = answer.err.splitlines()
    assert first == f"Error: job.yaml: {len(faults)} faults, nothing was run"
    paths = [fault.split(":")[0].strip() for fault in faults]
    assert sorted(paths) == sorted(
        [
            "name",
            "symbol",
            "symbols[1]",
            "period.end",
            "source",
            "strategy",
            "grid.delta[1]",
            "grid.detla",
            "params.width",
            "params.dte",
            "windows.train",
            "objective",
            "run.workers",
        ]
    )
    assert all("; allowed: " in fault for fault in faults)
    assert "did you mean 'delta'" in answer.err
    assert list(Path().iterdir()) == [job]


def test_a_wrong_job_file_ends_a_real_process_with_2_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(WRONG_JOB)
    done = process("run", "job.yaml", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: job.yaml: 13 faults, nothing was run\n")
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["job.yaml"]


BAD_SOURCES = {
    "unknown symbol": (JOB.replace("NVDA", "NVDAA"), ["NVDAA: no quotes (did you mean 'NVDA'"]),
    "missing folder": (JOB.replace("source: demo", "source: files:nowhere"), ["there is no folder nowhere"]),
    "empty folder": (JOB.replace("source: demo", "source: files:."), ["option_chain.parquet", "option_chain.csv"]),
    "missing column": (
        JOB.replace("source: demo", "source: files:data"),
        ["data/option_chain.csv has no column 'call_put' (did you mean 'callput'?)", "columns: {call_put: NAME}"],
    ),
    "unknown profile": (JOB.replace("source: demo", "source: demo?profile=thick"), ["allowed: sparse, dense"]),
    "unset variable": (JOB.replace("source: demo", "source: 'files:${NO_SUCH_VARIABLE}'"), ["NO_SUCH_VARIABLE is not"]),
    "no server": (JOB.replace("source: demo", "source: mysql://u@127.0.0.1:1"), ["no server answers", "dolt sql-serv"]),
}


@pytest.mark.parametrize("name", ["run", "plan", "data pull"])
@pytest.mark.parametrize(("text", "parts"), list(BAD_SOURCES.values()), ids=list(BAD_SOURCES))
def test_a_source_that_cannot_give_the_data_is_refused_and_nothing_is_written(
    command: Command, name: str, text: str, parts: list[str]
) -> None:
    job = written(text)
    Path("data").mkdir()
    Path("data/option_chain.csv").write_text("date,act_symbol,expiration,strike,callput,bid,ask\n")
    before = contents(Path())
    refused(command(*name.split(), job, "--quick", "--cache", "cache"), *parts)
    assert contents(Path()) == before
    assert sorted(path.name for path in Path().iterdir()) == ["data", "job.yaml"]


@pytest.mark.parametrize("name", ["plan", "data pull"])
def test_a_period_without_quotes_is_refused_and_nothing_is_written(command: Command, name: str) -> None:
    job = written(ONE_YEAR.replace("2019", "2009"))
    refused(command(*name.split(), job, "--cache", "cache"), "from 2019-01-01 to 2024-12-31, none in the job's 2007")
    assert list(Path().iterdir()) == [job]


def test_a_run_of_a_period_without_quotes_writes_nothing(command: Command) -> None:
    job = written(ONE_YEAR.replace("2019", "2009"))
    refused(command("run", job, "--cache", "cache"), "from 2019-01-01 to 2024-12-31, none in the job's 2007")
    assert list(Path().iterdir()) == [job]


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--symbol", "spy"], ["--symbol \"spy\" is not in the job file (did you mean 'SPY'?); allowed: SPY, NVDA"]),
        (["--set", "detla=0.2"], ["--set detla", "did you mean 'delta'", "allowed: delta, "]),
        (["--set", "delta"], ["expected KEY=VALUE"]),
        (["--set", "delta=7"], ["params.delta: got 7; allowed: a number above 0 and at most 1"]),
        (["--set", "delta=["], ["the value is not YAML"]),
        (["--name", "../up"], ['name: got "../up"; allowed: a plain file name']),
        (["--name", "a b"], ['name: got "a b"; allowed: a plain file name']),
        (["--workers", "0"], ["got '0'; allowed: a whole number from 1 to 256, or auto"]),
        (["--workers", "many"], ["got 'many'; allowed: a whole number from 1 to 256, or auto"]),
        (["--worker", "2"], ["No such option", "--workers"]),
        (["--top", "-1"], ["--top"]),
    ],
    ids=lambda value: " ".join(value) if value and value[0].startswith("--") else "",
)
def test_wrong_options_are_refused_and_nothing_is_written(
    command: Command, small_run: SmallRun, options: list[str], parts: list[str]
) -> None:
    refused(command("run", small_run.jobfile, *options, "--cache", "cache"), *parts)
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["got null; allowed: a mapping of keys to values"]),
        ("- a\n- b\n", ["1 fault", "allowed: a mapping of keys to values"]),
        ("{}", ["name: missing", "symbols: missing", "period: missing"]),
        ("name: [unclosed\n", ["not YAML", "line "]),
        ("name: a\nname: b\n", ["line 2, column 1", "the key 'name' stands twice"]),
        (JOB.replace("[SPY, NVDA]", "SPY"), ['symbols: got "SPY"; allowed: a list of tickers']),
    ],
    ids=["empty", "list", "empty mapping", "not YAML", "twice", "no list"],
)
def test_what_is_no_job_file_is_refused(command: Command, text: str, parts: list[str]) -> None:
    refused(command("run", written(text)), *parts)


@pytest.mark.parametrize(("name", "hint"), [("smal.yaml", "did you mean 'small.yaml'"), (".", "")])
def test_a_job_file_that_is_not_there_is_refused_with_the_nearest(
    command: Command, small_run: SmallRun, name: str, hint: str
) -> None:
    refused(command("run", small_run.jobfile.parent / name), "cannot be read", hint)


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
    place = ["job", "symbol", "window", "role", "start", "end", "status"]
    assert expected.columns == [*place, "strategy", *FIELDS, *METRICS]
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
    opened = open_run(small_run.path)
    job = opened.results()["job"][0]
    answer = command("show", small_run.path, job[:8])
    assert answer.code == 0
    titles = [line for line in answer.lines if line in ("Parameters", "Metrics", "Refusals", "Trades")]
    assert titles == ["Parameters", "Metrics", "Refusals", "Trades"]
    for name in (*FIELDS, *(name for name in METRICS if not name.startswith("refused_"))):
        assert re.search(rf"^  {name} ", answer.out, re.M), name
    assert len(re.findall(r"^\d{4}-\d\d-\d\d  \d{4}-\d\d-\d\d", answer.out, re.M)) == opened.trades(job).height


def test_show_of_an_unknown_or_an_ambiguous_job_is_refused(command: Command, small_run: SmallRun) -> None:
    refused(
        command("show", small_run.path, "nope"), "has no job 'nope'", f"`options-bt results {small_run.path}` lists"
    )
    jobs = open_run(small_run.path).results()["job"]
    refused(command("show", small_run.path, ""), "4 jobs begin with ''", *jobs, "give more of it")


def test_compare_of_equal_runs_ends_with_0(command: Command, small_run: SmallRun) -> None:
    answer = command("compare", small_run.path, small_run.copy(Path("runs")))
    assert (answer.code, answer.out) == (0, "4 jobs are bit-identical in results, trades and equity\n")


def test_compare_of_other_runs_ends_with_1_and_the_differing_cells(command: Command, small_run: SmallRun) -> None:
    other = finished(job_of(symbols=["SPY", "NVDA"], params={"commission": 0.66}), Path("runs"), small_run.cache)
    answer = command("compare", small_run.path, other.path, "--top", 5)
    assert answer.code == 1
    first, header, _, *cells = answer.lines
    assert re.fullmatch(r"\d+ cells of 4 common jobs differ", first)
    assert header.split() == ["job", "table", "row", "column", "a", "b"]
    assert len([cell for cell in cells if cell]) == 5
    assert any(cell.split()[3:] == ["commission", "0.65", "0.66"] for cell in cells if cell)


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


# data


def test_data_is_pulled_listed_and_verified(command: Command) -> None:
    job = written(ONE_YEAR)
    pulled = command("data", "pull", job, "--cache", "cache")
    assert pulled.code == 0
    assert "INFO [options_bt.runner.run] Pulling SPY of demo: simulated market (sparse, seed 1)" in pulled.lines
    before = contents(Path("cache"))
    again = command("data", "pull", job, "--cache", "cache", "-q")
    assert (again.code, again.out) == (0, "")
    assert contents(Path("cache")) == before
    header, _, row = command("data", "ls", "--cache", "cache").lines
    shown = dict(zip(header.split(), row.split(), strict=False))
    assert (shown["source"], shown["symbol"], shown["first"], shown["last"]) == ("demo", "SPY", "2019", "2019")
    assert int(shown["bytes"]) == sum(len(data) for name, data in before.items() if name.endswith(".parquet"))
    answer = command("data", "verify", "--cache", "cache")
    assert (answer.code, answer.out) == (0, "3 files and 1 built market checked, 0 damaged\n")


def test_an_empty_cache_is_listed_and_verified(command: Command) -> None:
    assert command("data", "ls", "--cache", "none").lines[0].split()[:2] == ["source", "symbol"]
    assert command("data", "verify", "--cache", "none") == (0, b"0 files and 0 built markets checked, 0 damaged\n", "")
    assert not Path("none").exists()


@pytest.fixture
def year(command: Command) -> Path:
    """A cache of one year of one symbol."""
    assert command("data", "pull", written(ONE_YEAR), "--cache", "cache", "-q").code == 0
    return Path("cache")


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("file", ["chain/SPY/2019.parquet", "closes/SPY.parquet", "splits/SPY.parquet"])
def test_a_flipped_bit_is_found_named_and_healed_by_the_next_pull(command: Command, year: Path, file: str) -> None:
    path = year / "demo" / file
    whole = path.read_bytes()
    flipped(path)
    answer = command("data", "verify", "--cache", year)
    assert answer.code == 1
    assert answer.lines == [
        f"{path} has another checksum than when it was written",
        "3 files and 1 built market checked, 1 damaged; the next pull heals them",
    ]
    assert command("data", "pull", Path("job.yaml"), "--cache", year).code == 0
    assert path.read_bytes() == whole
    assert command("data", "verify", "--cache", year).code == 0


def test_a_flipped_bit_is_found_before_a_market_is_built_from_it(command: Command, year: Path) -> None:
    shutil.rmtree(year / "demo/market")
    path = year / "demo/chain/SPY/2019.parquet"
    flipped(path)
    refused(
        command("run", "job.yaml", "--cache", year, "-q"), f"damaged cache: {path} has another checksum", "run again"
    )
    assert command("run", "job.yaml", "--cache", year, "-q").code == 0
    assert open_run("runs/year").results()["status"].to_list() == ["done"]


def test_a_flipped_bit_in_a_market_is_found(command: Command, year: Path) -> None:
    (path,) = (year / "demo/market/SPY").glob("*/quotes.npy")
    flipped(path)
    answer = command("data", "verify", "--cache", year)
    assert answer.code == 1
    assert str(path) in answer.out


# passwords


def secrets_in(folder: Path) -> list[str]:
    return [name for name, data in contents(folder).items() if b"secret" in data]


@pytest.mark.parametrize("name", ["run -v", "plan", "data pull"])
@pytest.mark.parametrize(
    "source",
    [
        "mysql://u:secret@127.0.0.1:1",
        "mysql://u:sec%40secret@127.0.0.1:1",
        "mysql://u:se/secret@127.0.0.1:1",
        "mysql://u:secret@127.0.0.1:port",
        "mysql://:secret@127.0.0.1:1",
        "mysql://u:secret@",
        "mysql:u:secret@127.0.0.1:1",
        "mysql://u:${PASSWORD_OF_TEST}@127.0.0.1:1",
        "mysql://u:secret@127.0.0.1:1?option=1",
        "${KIND_OF_TEST}://u:secret@127.0.0.1:1",
    ],
)
def test_a_password_is_in_no_message(command: Command, monkeypatch: pytest.MonkeyPatch, name: str, source: str) -> None:
    monkeypatch.setenv("PASSWORD_OF_TEST", "secret")
    monkeypatch.setenv("KIND_OF_TEST", "oracle")
    job = written(JOB.replace("source: demo", f"source: '{source}'"))
    answer = command(*name.split(), job, "--cache", "cache")
    assert answer.code == 2
    assert "secret" not in answer.out + answer.err
    assert list(Path().iterdir()) == [job]


@pytest.mark.parametrize("source", ["[mysql://u:secret@127.0.0.1:1]", "{url: mysql://u:secret@127.0.0.1:1}"])
def test_a_password_is_in_no_message_about_a_source_that_is_no_text(command: Command, source: str) -> None:
    answer = command("plan", written(JOB.replace("source: demo", f"source: {source}")))
    assert answer.code == 2
    assert "secret" not in answer.err


class Server(DoltSource):
    """A server that has the demo's data."""

    _demo = DemoSource("sparse", 1)
    version = "1"
    symbols = _demo.symbols
    extent = _demo.extent
    chain = _demo.chain
    closes = _demo.closes
    splits = _demo.splits


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(text: str, columns: Any) -> Server:
        return Server(os.path.expandvars(text))

    monkeypatch.setattr(run, "open_source", opened)


@pytest.mark.usefixtures("server")
def test_a_password_is_in_no_file_and_no_line_of_a_run(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD_OF_TEST", "also-secret")
    for password in ("secret", "${PASSWORD_OF_TEST}", "other"):
        job = written(ONE_YEAR + f"source: 'mysql://u:{password}@127.0.0.1:1'\n", "of.yaml")
        answer = command("run", job, "--cache", "cache", "-v")
        assert answer.code == 0
        # Another password is no other data: the finished run is found again.
        assert ("Running 1 backtests" in answer.out) == (password == "secret")
        assert "Data: database options at 127.0.0.1:1" in answer.lines
        assert "secret" not in answer.out + answer.err
        assert command("data", "pull", job, "--cache", "cache").code == 0
    job.unlink()
    (name,) = open_run("runs/year").results()["job"]
    for arguments in (("results", "runs/year"), ("show", "runs/year", name), ("data", "ls", "--cache", "cache")):
        answer = command(*arguments)
        assert answer.code == 0
        assert "secret" not in answer.out + answer.err
    assert secrets_in(Path()) == []
    assert json.loads(Path("runs/year/run.json").read_text())["job"]["source"] == "mysql://u:***@127.0.0.1:1"
