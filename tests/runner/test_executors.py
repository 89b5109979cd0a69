"""One conformance suite for every executor: the contract in `runner.executor.Executor`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from options_bt.data.cache import Cache
from options_bt.data.prepare import Prepared, prepared, pull
from options_bt.data.source import open_source
from options_bt.job.planner import Plan
from options_bt.job.schema import JobFile
from options_bt.runner.batch import Batch, Task
from options_bt.runner.executor import Executor, Finished, Lost
from options_bt.runner.inline import Inline
from options_bt.runner.slots import Slots


@pytest.fixture(scope="module")
def market(cache: Path, job: JobFile) -> Prepared:
    source = open_source("demo")
    store, years = Cache(cache, source.name), Plan(job).years
    pull(source, store, ["SPY"], years, lambda symbol_years, rows, what: None)
    return prepared(store, "SPY", years)


@pytest.fixture(params=[Inline, lambda: Slots(2)], ids=["inline", "slots"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    made: Executor = request.param()
    yield made
    made.close()


def task(number: int, job: JobFile, market: Prepared, repeat: int = 1) -> Task:
    plan = Plan(job)
    specs = [spec for spec in plan if spec.symbol == "SPY"] * repeat
    batch = Batch(number=number, symbol="SPY", positions=tuple(range(len(specs))))
    return Task(
        batch=batch,
        market=market.folder,
        jobs=tuple((spec.id(market.fingerprint), spec) for spec in specs),
        tables=True,
    )


def until(executor: Executor, count: int) -> list[Finished | Lost]:
    events: list[Finished | Lost] = []
    for _ in range(600):
        events += executor.wait(0.1)
        if len(events) >= count:
            break
    return events


def test_gives_one_result_for_each_task(executor: Executor, job: JobFile, market: Prepared) -> None:
    for number in range(executor.slots):
        executor.submit(task(number, job, market))
    events = until(executor, executor.slots)
    numbers = [event.result.number for event in events if isinstance(event, Finished)]
    assert sorted(numbers) == list(range(executor.slots))


def test_gives_the_same_bits_as_any_other_executor(executor: Executor, job: JobFile, market: Prepared) -> None:
    executor.submit(task(7, job, market))
    (event,) = until(executor, 1)
    inline = Inline()
    inline.submit(task(7, job, market))
    (expected,) = until(inline, 1)
    assert isinstance(event, Finished)
    assert isinstance(expected, Finished)
    for part in ("metrics", "trades", "equity", "errors"):
        assert getattr(event.result, part) == getattr(expected.result, part)


def test_a_task_that_cannot_be_run_is_lost_with_its_reason(
    executor: Executor, job: JobFile, market: Prepared, tmp_path: Path
) -> None:
    executor.submit(task(1, job, market._replace(folder=tmp_path / "nowhere")))
    (event,) = until(executor, 1)
    assert isinstance(event, Lost)
    assert "FileNotFoundError" in event.reason
    executor.submit(task(2, job, market))
    (event,) = until(executor, 1)
    assert isinstance(event, Finished)


def test_an_idle_wait_gives_nothing(executor: Executor) -> None:
    assert executor.wait(0.01) == []


def test_a_killed_worker_loses_its_own_task_only(job: JobFile, market: Prepared) -> None:
    slots = Slots(2)
    try:
        slots.submit(task(1, job, market, repeat=20_000))
        slots.submit(task(2, job, market))
        (event,) = until(slots, 1)
        assert isinstance(event, Finished)
        assert event.result.number == 2
        slots.kill(1)
        (event,) = until(slots, 1)
        assert event == Lost(1, "the worker process was killed by SIGKILL")
        slots.submit(task(3, job, market))
        (event,) = until(slots, 1)
        assert isinstance(event, Finished)
    finally:
        slots.close()


def test_close_leaves_no_worker(job: JobFile, market: Prepared) -> None:
    slots = Slots(2)
    slots.submit(task(1, job, market, repeat=20_000))
    slots.submit(task(2, job, market, repeat=20_000))
    workers = [
        child for child in psutil.Process(os.getpid()).children(recursive=True) if "spawn_main" in str(child.cmdline())
    ]
    assert len(workers) >= 2
    slots.close()
    deadline = time.monotonic() + 10
    while any(worker.is_running() for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(worker.is_running() for worker in workers)


def test_a_worker_killed_in_the_middle_of_its_result_is_lost_at_once(job: JobFile, market: Prepared) -> None:
    slots = Slots(1)
    try:
        slots.submit(task(1, job, market, repeat=100))
        # The result is larger than a pipe holds: with its first bytes here, the worker is stuck with the rest.
        assert slots._busy[1].pipe.poll(60)
        slots.kill(1)
        # Reading makes room in the pipe, and a worker that is not dead yet could still send the rest.
        slots._busy[1].process.join()
        (event,) = until(slots, 1)
        assert event == Lost(1, "the worker process was killed by SIGKILL")
    finally:
        slots.close()
