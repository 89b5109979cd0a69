"""What only a Dask cluster does; what every executor does is in tests/runner/test_executors.py."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import dask
import pytest
from msgspec import structs

from options_bt.data.cache.cache import Cache
from options_bt.data.prepare import prepared, pull
from options_bt.data.sources.factory import open_source
from options_bt.errors import InputError
from options_bt.job.planner import Plan
from options_bt.job.schema import JobFile
from options_bt.runner.cluster.executor import DaskExecutor
from options_bt.runner.execution.batch import Task
from options_bt.runner.execution.executor import Finished, Lost
from options_bt.runner.run_folder.folder import RunFolder, run_info
from options_bt.runner.run_folder.parts import Batch
from tests.runner.test_executors import until_whole

pytestmark = pytest.mark.slow


@pytest.fixture
def task(cache: Path, job: JobFile, tmp_path: Path) -> Task:
    source = open_source("demo")
    store, plan = Cache(cache, source.name), Plan(job)
    pull(source, store, ["SPY"], plan.years, lambda symbol_years, rows, what: None)
    market = prepared(store, "SPY", plan.years)
    positions = tuple(position for position, spec in enumerate(plan) if spec.symbol == "SPY")
    batch = Batch(number=1, symbol="SPY", positions=positions)
    folder, info = RunFolder(tmp_path / "run"), run_info(job, "demo: simulated", "1", {})
    folder.create(info)
    return Task(
        batch=batch,
        folder=folder.path,
        identity=info.identity,
        market=market.folder,
        fingerprint=market.fingerprint,
        tables=False,
    )


def until_one(executor: DaskExecutor) -> Finished | Lost:
    for _ in range(600):
        for event in executor.wait(0.1):
            return event
    raise AssertionError("nothing ended")


def test_a_market_that_the_workers_lack_is_sent_once(task: Task, tmp_path: Path) -> None:
    executor = DaskExecutor(None, 2, tmp_path / "away")
    try:
        for number in (1, 2):
            executor.submit(task)
            assert isinstance(until_one(executor), Finished), number
        assert list(executor.transfers.sent.values()) == [1]
        (size,) = executor.transfers.size.values()
        assert 0 < size < sum(path.stat().st_size for path in task.market.iterdir())
    finally:
        executor.close()
    assert [path.parent.name for path in (tmp_path / "away").rglob("market.json")] == [task.market.name]


def test_a_market_in_the_store_of_the_workers_is_not_sent(
    task: Task, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTIONS_BT_STORE", str(cache))
    executor = DaskExecutor(None, 1, tmp_path / "away")
    try:
        executor.submit(task)
        assert isinstance(until_one(executor), Finished)
        assert (executor.transfers.sent.total(), executor.transfers.stored) == (0, {"127.0.0.1": 1})
    finally:
        executor.close()


def test_markets_are_sent_where_the_store_fails_which_is_said_once(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OPTIONS_BT_STORE", str(tmp_path / "nowhere"))
    executor = DaskExecutor(None, 1, tmp_path / "away")
    try:
        for name in ("one", "another"):
            folder = Path(shutil.copytree(task.market, tmp_path / "demo" / "market" / "SPY" / name))
            executor.submit(structs.replace(task, market=folder))
            assert isinstance(until_one(executor), Finished)
        assert executor.transfers.sent.total() == 2
    finally:
        executor.close()
    (said,) = [record.getMessage() for record in caplog.records if "store" in record.getMessage()]
    assert re.search(r"the store .*nowhere cannot be read: FileNotFoundError: .*; markets are sent there instead", said)


def test_workers_that_cannot_keep_a_market_are_not_used(task: Task, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    executor = DaskExecutor(None, 1, tmp_path / "file")
    try:
        executor.submit(task)
        with pytest.raises(InputError, match=r"none of the 1 workers .* can be used; .*/file/.*: cannot write"):
            until_one(executor)
    finally:
        executor.close()


def test_a_worker_that_was_replaced_is_not_let_go_of(task: Task, cache: Path) -> None:
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1ms"}):  # before any can be replaced
        executor = DaskExecutor(None, 1, cache)
        try:
            executor.submit(structs.replace(task, batch=structs.replace(task.batch, positions=(12,) * 50_000)))
            executor.kill(1)
            assert isinstance(until_one(executor), Lost)
            until_whole(executor, 1)
            executor.submit(task)
            assert isinstance(until_one(executor), Finished)
        finally:
            executor.close()
