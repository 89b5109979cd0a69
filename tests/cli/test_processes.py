"""The command line as a process: started as a module, and with pipes that close early."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from options_bt.cli import CLOSED_PIPE
from tests.cli.terminal import PROGRAM, process
from tests.small_run import SmallRun

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["--version"], ["results", "nothing"], ["nothing"], []], ids=" ".join
)
def test_the_package_runs_as_the_program_does(tmp_path: Path, arguments: list[str]) -> None:
    line = [sys.executable, "-m", "options_bt", *arguments]
    module = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    program = process(*arguments, folder=tmp_path)
    assert (module.returncode, module.stdout, module.stderr) == (program.returncode, program.stdout, program.stderr)


def test_the_package_runs_with_worker_processes(small_run: SmallRun, tmp_path: Path) -> None:
    options = ["--quick", "--workers", "2", "--runs", str(tmp_path), "--cache", str(small_run.cache)]
    line = [sys.executable, "-m", "options_bt", "run", str(small_run.jobfile), *options]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def with_a_closed_pipe(stream: str, *arguments: object, folder: Path) -> tuple[int, str]:
    """Run a command whose output or errors nobody reads; return its exit code and what it wrote to the other."""
    reader, writer = os.pipe()
    os.close(reader)
    other = "stderr" if stream == "stdout" else "stdout"
    line = [str(PROGRAM), *map(str, arguments)]
    try:
        with subprocess.Popen(line, cwd=folder, **{stream: writer, other: subprocess.PIPE}, text=True) as command:  # type: ignore[call-overload]
            out, err = command.communicate()
    finally:
        os.close(writer)
    return command.returncode, err if stream == "stdout" else out


@pytest.mark.parametrize(
    "arguments", [["results"], ["results", "--format", "csv"], ["show"], ["status"], ["--help"]], ids=" ".join
)
def test_a_command_whose_output_nobody_reads_ends_silently(small_run: SmallRun, arguments: list[str]) -> None:
    if arguments[0] == "show":
        arguments = ["show", str(small_run.path), (small_run.path / "log.jsonl").read_text().split('"job": "')[1][:16]]
    elif arguments[0] != "--help":
        arguments = [arguments[0], str(small_run.path), *arguments[1:]]
    assert with_a_closed_pipe("stdout", *arguments, folder=small_run.cache) == (CLOSED_PIPE, "")


def test_a_command_whose_errors_nobody_reads_ends_silently(tmp_path: Path) -> None:
    assert with_a_closed_pipe("stderr", "results", "nothing", folder=tmp_path) == (CLOSED_PIPE, "")


def test_a_reader_that_takes_one_line_gets_it(small_run: SmallRun) -> None:
    line = f"{PROGRAM} results {small_run.path} | head -1"
    for errors in ("", " 2>&-"):
        done = subprocess.run(["sh", "-c", line + errors], capture_output=True, text=True, check=False)
        assert done.stdout.split()[:3] == ["job", "symbol", "delta"]
        assert (done.stdout.count("\n"), done.stderr) == (1, "")


def test_without_a_standard_error_the_exit_code_is_the_same(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{PROGRAM} results nothing 2>&-"], cwd=tmp_path, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, b"")


def test_a_run_whose_output_nobody_reads_goes_on_to_its_end(small_run: SmallRun, tmp_path: Path) -> None:
    options = ["--quick", "--workers", 1, "--runs", tmp_path, "--cache", small_run.cache]
    assert with_a_closed_pipe("stdout", "run", small_run.jobfile, *options, folder=tmp_path) == (CLOSED_PIPE, "")
    results = tmp_path / small_run.path.name / "results.parquet"
    assert results.read_bytes() == (small_run.path / "results.parquet").read_bytes()
