"""A scheduler and workers on machines of their own: results are those of a local run, whatever happens to them."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from distributed import Client

from options_bt.analysis.compare import compare
from options_bt.analysis.run_reader import open_run
from options_bt.errors import RunFolderError
from options_bt.job.load import load_job
from options_bt.runner.run import run_job
from options_bt.runner.run_folder.ledger import Ledger
from tests.cluster.machines import PROGRAM, Machine, environment, machines, require_ci, until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
GRID = ROOT / "jobs" / "grid.yaml"
SWEEP = f"slippage={[number / 400 for number in range(334)]}"
SMALL = [f"delta={[0.15, 0.2]}", "dte=[21-30]"]
PRELOADS = Path(__file__).with_name("preloads.py")


class Cluster:
    """Three machines with a worker each, a scheduler on a fourth, and a coordinator here."""

    def __init__(self, made: list[Machine], folder: Path, cache: Path) -> None:
        self.head, *self.workers = made
        self.folder, self.cache = folder, cache
        self.scheduler = self.head.start_scheduler()

    def start_workers(self, **variables: str) -> None:
        for machine in self.workers:
            machine.start_worker(self.scheduler, **variables)

    def command(self, name: str, *overrides: str) -> list[str]:
        sets = [word for override in overrides for word in ("--set", override)]
        places = ["--runs", self.folder / "runs", "--cache", self.cache]
        cluster = ["--executor", "dask", "--scheduler", self.scheduler]
        return [str(word) for word in (PROGRAM, "run", GRID, *sets, "--name", name, *places, *cluster, "-v")]

    def run(self, name: str, *overrides: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(name, *overrides), env=environment(), capture_output=True, text=True, timeout=300, check=False
        )

    def begin(self, name: str, *overrides: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(self.command(name, *overrides), env=environment(), stdout=log, stderr=log)

    def until_done(self, name: str, count: int) -> None:
        def done() -> bool:
            try:
                ledger = Ledger(self.folder / "runs" / name / "ledger.sqlite", read_only=True)
            except RunFolderError:  # not there yet
                return False
            with closing(ledger):
                return ledger.counts()[0] >= count

        until(done, f"{count} jobs are done", 120)

    def log(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "runs" / name / "log.jsonl").read_text().splitlines()]

    def require_same(self, name: str, whole: Path) -> None:
        path = self.folder / "runs" / name
        assert compare(open_run(path), open_run(whole)).equal
        assert (path / "results.parquet").read_bytes() == (whole / "results.parquet").read_bytes()


class Local(NamedTuple):
    """Runs of this machine alone, and the cache that all runs share."""

    cache: Path
    grid: Path
    sweep: Path


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Local:
    require_ci()
    folder = tmp_path_factory.mktemp("local")

    def run(name: str, *overrides: str) -> Path:
        job = load_job(GRID, overrides=overrides, name=name)
        return run_job(job, runs=folder, cache=folder / "cache", shown=False).path

    return Local(folder / "cache", run("grid"), run("sweep", SWEEP))


@pytest.fixture
def cluster(local: Local, tmp_path: Path) -> Iterator[Cluster]:
    with machines([2, 11, 12, 13], tmp_path) as made:
        yield Cluster(made, tmp_path, local.cache)


def messages(log: list[dict[str, Any]]) -> str:
    return "\n".join(entry["message"] for entry in log)


def test_the_grid_is_that_of_a_local_run_and_each_market_travels_once_a_host(cluster: Cluster, local: Local) -> None:
    cluster.start_workers()
    done = cluster.run("grid")
    assert done.returncode == 0, done.stdout + done.stderr
    cluster.require_same("grid", local.grid)
    sent = [(entry["host"], entry["symbol"]) for entry in cluster.log("grid") if "bytes" in entry]
    assert len(sent) == len(set(sent)) >= 4
    assert {symbol for _, symbol in sent} == {"AAPL", "MSFT", "NVDA", "SPY"}
    for host, count in Counter(host for host, _ in sent).items():
        size = sum(entry["bytes"] for entry in cluster.log("grid") if entry.get("host") == host and "bytes" in entry)
        assert f"{host} was sent {count} ({size / 1e6:.1f} MB)" in done.stdout
    again = cluster.run("grid-again")
    assert again.returncode == 0, again.stdout + again.stderr
    sent += [(entry["host"], entry["symbol"]) for entry in cluster.log("grid-again") if "bytes" in entry]
    assert len(sent) == len(set(sent))
    kept = [path for machine in cluster.workers for path in machine.cache.glob("*/market/*/*/market.json")]
    assert len(kept) == len(sent)


def test_a_killed_worker_and_one_that_is_cut_off_change_nothing(cluster: Cluster, local: Local) -> None:
    cluster.start_workers()
    run = cluster.begin("sweep", SWEEP)
    killed, cut, _ = cluster.workers
    cluster.until_done("sweep", 3000)
    killed.worker_processes()[0].kill()
    cluster.until_done("sweep", 7000)
    cut.cut()
    until(lambda: f"{cut.address}:" in messages(cluster.log("sweep")), "the cut is noticed")
    cut.reconnect()
    assert run.wait(200) == 0
    cluster.require_same("sweep", local.sweep)
    assert f"{killed.address}:" in messages(cluster.log("sweep"))
    with Client(cluster.scheduler, set_as_default=False) as client:
        client.wait_for_workers(3, timeout=60)


def test_a_scheduler_that_restarts_changes_nothing(cluster: Cluster, local: Local) -> None:
    cluster.start_workers()
    run = cluster.begin("sweep", SWEEP)
    cluster.until_done("sweep", 3000)
    cluster.head.kill()
    time.sleep(2)
    cluster.head.start_scheduler()
    assert run.wait(200) == 0
    cluster.require_same("sweep", local.sweep)
    assert "lost connection to the scheduler" in messages(cluster.log("sweep"))


def test_a_machine_that_dies_changes_nothing(cluster: Cluster, local: Local) -> None:
    cluster.start_workers()
    run = cluster.begin("sweep", SWEEP)
    cluster.until_done("sweep", 3000)
    cluster.workers[0].kill()
    assert run.wait(200) == 0
    cluster.require_same("sweep", local.sweep)


def test_a_poison_job_is_named_and_kills_one_worker_at_a_time(cluster: Cluster) -> None:
    cluster.start_workers(DASK_DISTRIBUTED__WORKER__PRELOAD=str(PRELOADS), POISON="1")
    done = cluster.run("poison", *SMALL)
    assert done.returncode == 1, done.stdout + done.stderr
    assert open_run(cluster.folder / "runs" / "poison").results()["status"].to_list().count("done") == 7
    deaths = [entry for entry in cluster.log("poison") if re.search(r"Batch \d+: .* is gone", entry["message"])]
    assert len(deaths) == 3  # with its batch, alone, and once more: `retries` is 1


def test_workers_of_another_version_get_no_batches(cluster: Cluster) -> None:
    other, right, _ = cluster.workers
    other.start_worker(cluster.scheduler, DASK_DISTRIBUTED__WORKER__PRELOAD=str(PRELOADS), OTHER_SEMANTICS="1")
    with Client(cluster.scheduler, set_as_default=False) as client:
        client.wait_for_workers(1, timeout=60)
    done = cluster.run("versions", *SMALL)
    assert done.returncode == 2
    assert "none of the 1 workers" in done.stderr
    assert "semantics 1000 (here " in done.stderr
    assert "Traceback" not in done.stderr
    right.start_worker(cluster.scheduler)
    with Client(cluster.scheduler, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
    done = cluster.run("versions", *SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "gets no batches: it has semantics 1000" in done.stdout + done.stderr
    assert not other.cache.exists()


def test_the_commands_of_the_page_work(local: Local, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "scale-out.md").read_text()
    lan = next(block for block in re.findall(r"```text\n(.*?)```", page, re.S) if block.startswith("dask scheduler"))
    with machines([2, 11], tmp_path) as (head, other):
        places = {"10.0.0.1": head.address, "/var/cache/options-bt": str(other.cache), "jobs/grid.yaml": str(GRID)}
        for one, another in places.items():
            lan = lan.replace(one, another)
        scheduler, worker, run = (shlex.split(line) for line in lan.splitlines())
        head.start(PROGRAM.with_name(scheduler[0]), *scheduler[1:])
        other.start(PROGRAM, *worker[1:])
        with Client(worker[2], set_as_default=False, timeout=60) as client:
            client.wait_for_workers(1, timeout=60)
        places_of_run = ["--runs", tmp_path, "--cache", local.cache, "-q"]
        subprocess.run([PROGRAM, *run[1:], *map(str, places_of_run)], check=True, capture_output=True)
    assert compare(open_run(tmp_path / "grid"), open_run(local.grid)).equal
