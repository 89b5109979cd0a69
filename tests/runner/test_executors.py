"""One conformance suite for every executor: the contract in `runner.executor.Executor`."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numba
import psutil
import pytest
from msgspec import structs

from options_bt.data.cache.cache import Cache
from options_bt.data.prepare import Prepared, prepared, pull
from options_bt.data.sources.factory import open_source
from options_bt.errors import InputError, StorageError
from options_bt.job.planner import Plan
from options_bt.job.schema import JobFile
from options_bt.runner.cluster.executor import DaskExecutor
from options_bt.runner.execution.batch import Task
from options_bt.runner.execution.executor import Executor, Finished, Lost
from options_bt.runner.execution.inline import Inline
from options_bt.runner.execution.slots import Slots
from options_bt.runner.run_folder.folder import RunFolder, run_info
from options_bt.runner.run_folder.parts import Batch, batch_metadata

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def market(cache: Path, job: JobFile) -> Prepared:
    source = open_source("demo")
    store, years = Cache(cache, source.name), Plan(job).years
    pull(source, store, ["SPY"], years, lambda symbol_years, rows, what: None)
    return prepared(store, "SPY", years)


@pytest.fixture(scope="module")
def folder(job: JobFile, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run folder with a `run.json`."""
    started = RunFolder(tmp_path_factory.mktemp("run"))
    started.create(run_info(job, "demo: simulated", "1", {}))
    return started


def on_dask(cache: Path) -> Executor:
    return DaskExecutor(None, 2, cache)


MAKERS: dict[str, Callable[[Path], Executor]] = {
    "inline": lambda cache: Inline(),
    "slots": lambda cache: Slots(2),
    "dask": on_dask,
}
"""Every executor; a cache for those whose workers do not find markets by their paths."""
WORKERS = {"inline": 1, "slots": 2, "dask": 2}
WITH_WORKERS = ["slots", "dask"]


@pytest.fixture(scope="module", params=MAKERS)
def executor(request: pytest.FixtureRequest, cache: Path) -> Iterator[Executor]:
    """An executor that the tests leave without tasks."""
    made = MAKERS[request.param](cache)
    until_whole(made, WORKERS[request.param])
    yield made
    made.close()


@pytest.fixture(scope="module", params=WITH_WORKERS)
def with_workers(request: pytest.FixtureRequest, cache: Path) -> Iterator[Executor]:
    """An executor whose workers are processes of their own."""
    made = MAKERS[request.param](cache)
    until_whole(made, WORKERS[request.param])
    yield made
    made.close()


def _endless() -> int:
    number = 1
    while number:
        number = (number * 5 + 1) % 1_000_003 + 1
    return number


_stuck: Any = numba.njit(_endless)


def misbehave(how: str) -> None:
    if how == "hang":
        _stuck()  # numba holds on to the interpreter's lock
    os.kill(os.getpid(), signal.SIGKILL)


class Misbehaving(NamedTuple):
    """What stands for the fingerprint of a task, and takes effect where it arrives."""

    how: str

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return misbehave, (self.how,)


def task(number: int, job: JobFile, market: Prepared, folder: RunFolder, repeat: int = 1) -> Task:
    positions = [position for position, spec in enumerate(Plan(job)) if spec.symbol == "SPY"] * repeat
    return Task(
        batch=Batch(number=number, symbol="SPY", positions=tuple(positions)),
        folder=folder.path,
        identity=folder.info().identity,
        market=market.folder,
        fingerprint=market.fingerprint,
        tables=True,
    )


def until(executor: Executor, count: int) -> list[Finished | Lost]:
    events: list[Finished | Lost] = []
    for _ in range(600):
        events += executor.wait(0.1)
        if len(events) >= count:
            break
    return events


def test_gives_one_result_for_each_task(executor: Executor, job: JobFile, market: Prepared, folder: RunFolder) -> None:
    for number in range(executor.slots):
        executor.submit(task(number, job, market, folder))
    events = until(executor, executor.slots)
    numbers = [event.receipt.number for event in events if isinstance(event, Finished)]
    assert sorted(numbers) == list(range(executor.slots))


def test_gives_the_same_bits_as_any_other_executor(
    executor: Executor, job: JobFile, market: Prepared, folder: RunFolder
) -> None:
    executor.submit(task(7, job, market, folder))
    (event,) = until(executor, 1)
    inline = Inline()
    inline.submit(task(7, job, market, folder))
    (expected,) = until(inline, 1)
    assert isinstance(event, Finished)
    assert isinstance(expected, Finished)
    assert (event.receipt.trades, event.receipt.equity) == (expected.receipt.trades, expected.receipt.equity)


def test_a_task_that_cannot_be_run_is_lost_with_its_reason(
    executor: Executor, job: JobFile, market: Prepared, folder: RunFolder, tmp_path: Path
) -> None:
    executor.submit(task(1, job, market._replace(folder=tmp_path / "nowhere"), folder))
    (event,) = until(executor, 1)
    assert isinstance(event, Lost)
    assert "FileNotFoundError" in event.reason
    executor.submit(task(2, job, market, folder))
    (event,) = until(executor, 1)
    assert isinstance(event, Finished)


def test_an_idle_wait_gives_nothing(executor: Executor) -> None:
    assert executor.wait(0.01) == []


def until_whole(executor: Executor, workers: int = 2) -> None:
    """Wait for the replacement of a worker."""
    for _ in range(600):
        if executor.slots == workers:
            return
        assert executor.wait(0.1) == []
    raise AssertionError("the worker was not replaced")


def test_a_killed_worker_loses_its_own_task_only(
    with_workers: Executor, job: JobFile, market: Prepared, folder: RunFolder
) -> None:
    with_workers.submit(task(1, job, market, folder, repeat=3_000))
    with_workers.submit(task(2, job, market, folder))
    (event,) = until(with_workers, 1)
    assert isinstance(event, Finished)
    assert event.receipt.number == 2
    with_workers.kill(1)
    (event,) = until(with_workers, 1)
    assert isinstance(event, Lost)
    assert (event.number, event.not_at_fault) == (1, False)
    until_whole(with_workers)
    for number in (3, 4):
        with_workers.submit(task(number, job, market, folder))
    assert {type(event) for event in until(with_workers, 2)} == {Finished}


@pytest.mark.parametrize("how", ["hang", "die"])
def test_a_worker_that_hangs_or_dies_is_replaced(
    with_workers: Executor, job: JobFile, market: Prepared, folder: RunFolder, how: str
) -> None:
    bad = structs.replace(task(1, job, market, folder), fingerprint=Misbehaving(how))
    with_workers.submit(bad)
    with_workers.submit(task(2, job, market, folder))
    events = until(with_workers, 1 if how == "hang" else 2)
    if how == "hang":
        with_workers.kill(1)
        events += until(with_workers, 1)
    assert {event.receipt.number: "done" for event in events if isinstance(event, Finished)} == {2: "done"}
    assert [event.number for event in events if isinstance(event, Lost)] == [1]
    until_whole(with_workers)
    for number in (3, 4):
        with_workers.submit(task(number, job, market, folder))
    assert {type(event) for event in until(with_workers, 2)} == {Finished}


@pytest.mark.parametrize("name", WITH_WORKERS)
def test_close_leaves_no_worker(name: str, cache: Path, job: JobFile, market: Prepared, folder: RunFolder) -> None:
    before = set(_workers())
    executor = MAKERS[name](cache)
    until_whole(executor)
    executor.submit(task(1, job, market, folder, repeat=3_000))
    executor.submit(structs.replace(task(2, job, market, folder), fingerprint=Misbehaving("hang")))
    workers = set(_workers()) - before
    assert len(workers) >= 2
    executor.close()
    deadline = time.monotonic() + 10
    while any(worker.is_running() for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(worker.is_running() for worker in workers)


def _workers() -> list[psutil.Process]:
    children = psutil.Process(os.getpid()).children(recursive=True)
    return [child for child in children if "spawn_main" in str(child.cmdline())]


def test_the_parts_of_a_finished_task_are_in_the_run_folder_under_temporary_names(
    executor: Executor, job: JobFile, market: Prepared, folder: RunFolder
) -> None:
    executor.submit(task(31, job, market, folder))
    (event,) = until(executor, 1)
    assert isinstance(event, Finished)
    assert not folder.part("trades", 31).exists()
    temporary = folder.path / "trades" / ".part-00000031.parquet.tmp"
    assert batch_metadata(temporary).batch.number == 31


def test_a_disk_that_refuses_the_parts_is_an_error_of_the_run(
    executor: Executor, job: JobFile, market: Prepared, folder: RunFolder, tmp_path: Path
) -> None:
    full = RunFolder(tmp_path)
    full.create(folder.info())
    (tmp_path / "trades").touch()  # a file stands where the folder has to be
    executor.submit(task(32, job, market, full))
    with pytest.raises(StorageError, match="trades"):
        until(executor, 1)
    executor.submit(task(33, job, market, folder))
    (event,) = until(executor, 1)
    assert isinstance(event, Finished)


def test_a_stopped_worker_can_be_killed_and_is_lost(job: JobFile, market: Prepared, folder: RunFolder) -> None:
    slots = Slots(1)
    try:
        until_whole(slots, 1)
        slots.submit(task(1, job, market, folder, repeat=3_000))
        os.kill(slots.worker_ids[0], signal.SIGSTOP)
        assert slots.wait(0.5) == []
        slots.kill(1)
        (event,) = until(slots, 1)
        assert event == Lost(1, "the worker process was killed by SIGKILL")
    finally:
        slots.close()


def test_a_worker_that_died_before_its_task_is_replaced_and_the_task_is_not_at_fault(
    job: JobFile, market: Prepared, folder: RunFolder
) -> None:
    slots = Slots(1)
    try:
        until_whole(slots, 1)
        slots.submit(task(1, job, market, folder))
        assert isinstance(until(slots, 1)[0], Finished)
        os.kill(slots.worker_ids[0], signal.SIGKILL)
        time.sleep(0.5)
        slots.submit(task(2, job, market, folder))
        assert until(slots, 1) == [Lost(2, "the worker process was killed by SIGKILL", not_at_fault=True)]
        until_whole(slots, 1)
        slots.submit(task(3, job, market, folder))
        assert isinstance(until(slots, 1)[0], Finished)
    finally:
        slots.close()


def test_workers_that_end_as_soon_as_they_start_are_an_error() -> None:
    slots = Slots(2, load=partial(os._exit, 7))
    try:
        with pytest.raises(InputError, match=r"cannot start: the worker process ended with exit code 7.*__main__"):
            until(slots, 1)
    finally:
        slots.close()
