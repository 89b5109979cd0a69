"""What names a cluster on the command line, and how it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.terminal import Command, refused
from tests.cli.test_report import without
from tests.small_run import SmallRun

NOBODY = "tcp://127.0.0.1:1"


def test_a_scheduler_that_does_not_answer_is_named(
    command: Command, small_run: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("options_bt.runner.cluster.connection._CONNECT_SECONDS", 0.5)
    answer = command("run", small_run.jobfile, "--quick", "--executor", "dask", "--scheduler", NOBODY, "-q")
    refused(answer, f"Error: no Dask scheduler answers at {NOBODY}", "start one with `dask scheduler`")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--scheduler", NOBODY], "say --executor dask too"),
        (
            ["--executor", "dask", "--scheduler", "foo://x"],
            "'foo://x' does not lead to a scheduler: unknown address scheme",
        ),
        (
            ["--executor", "dask", "--scheduler", "tcp://host"],
            "'tcp://host' does not lead to a scheduler: missing",
        ),
        (
            ["--executor", "dask", "--scheduler-file", "no.json"],
            "no.json' does not lead to a scheduler: [Errno 2]",
        ),
        (["--executor", "dask", "--scheduler", NOBODY, "--tls-cert", "no.pem"], "no.pem: there is no such file"),
        (["--executor", "dask", "--scheduler", NOBODY, "--workers", "3"], "--workers counts processes of this machine"),
        (["--executor", "ray"], "'ray'"),
    ],
)
def test_wrong_options_are_refused(command: Command, small_run: SmallRun, options: list[str], text: str) -> None:
    refused(command("run", small_run.jobfile, "--quick", "-q", *options), text)


def test_without_dask_the_command_says_how_to_install_it(
    command: Command, small_run: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    without("distributed", monkeypatch)
    expected = "Runs on a cluster need the package distributed, which is not installed: pip install 'options-bt[dask]'"
    refused(command("run", small_run.jobfile, "--quick", "--executor", "dask", "-q"), expected)
    refused(command("worker", NOBODY), expected)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "no scheduler was named"),
        (["foo://x"], "'foo://x' does not lead to a scheduler"),
        (["--scheduler-file", "no.json"], "no.json' does not lead to a scheduler: [Errno 2]"),
        ([NOBODY, "--tls-key", "no.pem"], "no.pem: there is no such file"),
    ],
)
def test_a_worker_is_told_what_is_wrong_before_it_starts(
    command: Command, arguments: list[str], text: str, tmp_path: Path
) -> None:
    refused(command("worker", *arguments), text)


@pytest.mark.slow
def test_a_run_on_a_local_cluster_is_that_of_this_process(command: Command, small_run: SmallRun) -> None:
    answer = command("run", small_run.jobfile, "--quick", "--executor", "dask", "--workers", 1)
    assert answer.code == 0, answer.err
    assert "Running 4 backtests in the Dask cluster of this machine, 1 worker" in answer.out
    assert Path("runs/small-quick/results.parquet").read_bytes() == (small_run.path / "results.parquet").read_bytes()
