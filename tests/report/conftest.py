"""Runs of every kind, and their pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from options_bt.analysis.run_reader import Run, open_run
from tests.small_run import SmallRun, finished, job_of, with_a_failure

WINDOWS = {"train": "6m", "test": "6m", "step": "6m", "count": 2}


@pytest.fixture(scope="session")
def whole(small_run: SmallRun) -> Run:
    """Four backtests: two symbols, two deltas."""
    return open_run(small_run.path)


@pytest.fixture(scope="session")
def failing(small_run: SmallRun, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two backtests, of which one failed."""
    return with_a_failure(job_of(), tmp_path_factory.mktemp("failing"), small_run.cache)


@pytest.fixture(scope="session")
def single(small_run: SmallRun, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One backtest."""
    return finished(job_of(grid={}), tmp_path_factory.mktemp("single"), small_run.cache)


@pytest.fixture(scope="session")
def idle(small_run: SmallRun, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two backtests without a single trade."""
    return finished(job_of(params={"min_credit": 1000}), tmp_path_factory.mktemp("idle"), small_run.cache)


@pytest.fixture(scope="session")
def forward(small_run: SmallRun, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two windows of training and test, with two deltas."""
    return finished(job_of(windows=WINDOWS), tmp_path_factory.mktemp("forward"), small_run.cache)


KINDS = ("whole", "failing", "single", "idle", "forward")


@pytest.fixture(params=KINDS)
def any_run(request: pytest.FixtureRequest) -> Run:
    run: Run = request.getfixturevalue(request.param)
    return run


def copied(run: Run, folder: Path) -> Path:
    """Return a copy of a run's folder, to be changed."""
    return SmallRun(folder, run.path, folder).copy(folder)
