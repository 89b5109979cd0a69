"""The command walk-forward, and how a run with windows ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from options_bt.analysis.run_reader import open_run
from options_bt.analysis.walk_forward import walk_forward
from tests.cli.terminal import Command, refused, written
from tests.small_run import SmallRun

pytestmark = pytest.mark.slow

JOB = """\
name: walk
symbols: [SPY, NVDA]
period: {start: 2023-01-01, end: 2024-12-31}
grid: {delta: [0.15, 0.25]}
windows: {train: 6m, test: 6m, embargo: 5d}
"""


@pytest.fixture
def walked(command: Command) -> Path:
    assert command("run", written(JOB), "-q").code == 0
    return Path("runs/walk")


def test_a_run_with_windows_ends_with_the_choices(command: Command) -> None:
    answer = command("run", written(JOB), "-q")
    assert answer.code == 0
    assert "walk: parameters chosen by sharpe in training, and their results in the next test:" in answer.lines
    assert "Out of sample, 2023-07-03 to 2024-12-31:" in answer.lines
    assert answer.lines[-2:] == ["Results: runs/walk/results.parquet", "Report: runs/walk/report.html"]


def test_a_run_with_windows_ends_with_so_many_as_are_asked_for(command: Command) -> None:
    job = written(JOB)
    assert "and 4 more: options-bt walk-forward runs/walk" in command("run", job, "-q", "--top", 1).lines
    assert "chosen" not in command("run", job, "-q", "--top", 0).out


def test_each_choice_is_a_line(command: Command, walked: Path) -> None:
    answer = command("walk-forward", walked)
    assert answer.code == 0
    rows = [line.split() for line in answer.lines if line.startswith(("SPY", "NVDA"))]
    choices = walk_forward(open_run(walked)).choices
    assert [(row[0], row[1], row[4]) for row in rows[:6]] == [
        (symbol, str(window), str(delta))
        for symbol, window, delta in choices.select("symbol", "window", "delta").rows()
    ]
    assert answer.out == command("walk-forward", "walk").out


def test_the_choice_is_by_what_is_asked_for(command: Command, walked: Path) -> None:
    answer = command("walk-forward", walked, "--by", "max_drawdown", "--plateau", "--pooled")
    assert answer.code == 0
    assert "by max_drawdown (mean over neighbours and symbols)" in answer.lines[0]
    assert "mean_max_drawdown  train_max_drawdown  test_max_drawdown" in answer.out


def test_a_run_without_windows_and_an_unknown_metric_are_refused(
    command: Command, small_run: SmallRun, walked: Path
) -> None:
    refused(command("walk-forward", small_run.path), f"{small_run.path} has no walk-forward windows")
    refused(command("walk-forward", walked, "--by", "shrpe"), "--by: got 'shrpe' (did you mean 'sharpe'?); allowed: ")
    refused(command("walk-forward", "nothing"), "nothing is not a run folder")
