from __future__ import annotations

import os
from typing import Any

import pytest

from options_bt.job.planner import Plan
from options_bt.runner.preflight.estimate import (
    BYTES_PER_QUOTE,
    BYTES_PER_WORKER,
    WORTH_A_SPAWN,
    estimated,
    worker_count,
)
from tests.small_run import job_of


def plan(years: int = 1, **entries: Any) -> Plan:
    return Plan(job_of(period={"start": "2019-01-01", "end": f"{2018 + years}-12-31"}, **entries))


def test_twice_the_jobs_and_twice_the_days_take_twice_the_seconds() -> None:
    once = estimated(plan(), 1000, 0, 1).seconds
    assert once > 0
    assert estimated(plan(), 2000, 0, 1).seconds == pytest.approx(2 * once)
    assert estimated(plan(years=2), 1000, 0, 1).seconds == pytest.approx(2 * once, rel=0.01)


def test_jobs_of_windows_count_with_the_days_of_their_windows() -> None:
    six_years = plan(years=6)
    windows = plan(years=6, windows={"train": "2y", "test": "1y"})
    # 2 and 1 years in turn.
    each = estimated(windows, 100, 0, 1).seconds
    assert each == pytest.approx(estimated(six_years, 100, 0, 1).seconds * 1.5 / 6, rel=0.01)


@pytest.mark.parametrize("workers", [1, 2, 16])
def test_so_many_workers_as_were_asked_for(workers: int) -> None:
    assert worker_count(0.001, workers) == worker_count(1e6, workers) == workers


def test_auto_starts_no_processes_for_little_work_and_fills_the_cores_for_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3, 4, 5, 6}, raising=False)
    assert worker_count(WORTH_A_SPAWN * 0.9, "auto") == 1
    assert worker_count(WORTH_A_SPAWN * 1.1, "auto") == 7
    assert estimated(plan(), 10_000_000, 0, "auto").workers == 7


def test_memory_is_that_of_the_shared_quotes_and_of_each_worker() -> None:
    # The markets are mapped into memory once, whatever the number of workers.
    cost = estimated(plan(), 10, 1_000_000, 3)
    assert cost.memory == 1_000_000 * BYTES_PER_QUOTE + 3 * BYTES_PER_WORKER


def test_nothing_to_run_costs_nothing() -> None:
    assert estimated(plan(), 0, 0, "auto") == (0.0, 1, BYTES_PER_WORKER)


def test_no_more_workers_than_jobs() -> None:
    assert estimated(plan(), 2, 0, 64).workers == 2


def test_auto_fills_the_cores_on_every_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert worker_count(1e6, "auto") >= 1
