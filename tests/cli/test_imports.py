"""What each command imports: start-up is most of a short run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.small_run import SmallRun

pytestmark = pytest.mark.slow

REPORTING = """\
import atexit, sys
from options_bt.cli import main
if __name__ == "__main__":  # a worker that is spawned imports this too
    atexit.register(lambda: print("imported:", *sys.modules, file=sys.stderr))
    main()
"""


def imported_by(tmp_path: Path, *arguments: str) -> set[str]:
    """Return every module that a command imports."""
    script = tmp_path / "reporting.py"
    script.write_text(REPORTING)
    done = subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.rpartition("imported:")[2].split())


@pytest.mark.parametrize("command", [["--help"], ["--version"], ["run", "--help"], ["data", "--help"]])
def test_help_needs_nothing_heavy(tmp_path: Path, command: list[str]) -> None:
    assert not imported_by(tmp_path, *command) & {"numpy", "polars", "numba", "pyarrow", "msgspec", "yaml", "tqdm"}


@pytest.mark.parametrize("command", ["results", "overfitting", "report"])
def test_analysis_needs_no_other_statistics_package(small_run: SmallRun, tmp_path: Path, command: str) -> None:
    found = imported_by(tmp_path, command, str(small_run.path), *(["--output", "page.html"] * (command == "report")))
    assert "polars" in found
    assert not found & {"numba", "scipy.linalg", "scipy.stats", "arch", "pandas", "statsmodels"}
    assert ("plotly" in found) == (command == "report")


def test_a_run_with_workers_leaves_the_compiler_to_them(small_run: SmallRun, tmp_path: Path) -> None:
    command = ["run", str(small_run.jobfile), "--quick", "--runs", ".", "--cache", str(small_run.cache)]
    assert "numba" not in imported_by(tmp_path, *command, "--workers", "2")


def test_a_run_needs_no_statistics_package(small_run: SmallRun, tmp_path: Path) -> None:
    command = ["run", str(small_run.jobfile), "--quick", "--runs", ".", "--cache", str(small_run.cache)]
    found = imported_by(tmp_path, *command, "--workers", "1")
    assert "numba" in found
    assert not found & {"scipy.stats", "arch", "pandas", "statsmodels"}
