from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from options_bt.job.planner import Plan
from options_bt.job.schema import JobFile
from options_bt.runner import coordinator, memory
from options_bt.runner.memory import free_memory, held_memory, memory_floor, peak_memory, reset_peak
from options_bt.runner.run import run_job


def test_a_peak_is_of_what_was_held_since_it_was_forgotten() -> None:
    reset_peak()
    before = peak_memory()
    held = os.urandom(1) * 200_000_000
    after = peak_memory()
    assert len(held) / 2 < after - before < 2 * len(held)
    del held
    reset_peak()
    if Path("/proc/self/clear_refs").exists():
        assert peak_memory() < after


def test_free_memory_is_that_of_the_machine_or_of_its_container(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert 0 < free_memory() <= psutil.virtual_memory().total
    limit, used = tmp_path / "max", tmp_path / "current"
    monkeypatch.setattr(memory, "_CGROUPS", ((str(limit), str(used)),))
    limit.write_text("5000000\n")
    used.write_text("2000000\n")
    assert free_memory() == 3_000_000
    limit.write_text("max\n")
    assert free_memory() > 3_000_000


def test_this_process_holds_some() -> None:
    assert psutil.Process().memory_info().rss / 2 < held_memory()
    assert 0 < memory_floor() <= 500_000_000


@pytest.mark.slow
def test_workers_are_as_many_as_there_is_memory_for(
    job: JobFile, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(coordinator, "free_memory", lambda: memory_floor() + 320_000_000)
    summary = run_job(job, runs=tmp_path, cache=cache, workers=8, shown=False)
    assert summary.done == len(Plan(job))
    free = (memory_floor() + 320_000_000) // 1_000_000
    assert f"2 instead of 8 workers: each takes about 150 MB, and only {free} MB of memory are free" in caplog.messages
    assert any("in 2 worker processes" in message for message in caplog.messages)
