"""What a careless person types."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.terminal import ONE_YEAR, Command, process, refused, written
from tests.small_run import JOB, SmallRun, contents

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
        ("name: a\nname: b\n", ["line 2, column 1", "the key 'name' occurs twice"]),
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
