"""Workers that read markets from an S3 bucket; also, machines that are addresses of the loopback."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import Client

from tests.cluster.bucket import Bucket, bucket_at
from tests.cluster.machines import PROGRAM, Machine, machines
from tests.small_run import SmallRun

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bucket(small_run: SmallRun, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    """A bucket with a copy of the cache of the small run."""
    with bucket_at(tmp_path_factory.mktemp("bucket")) as made:
        made.put(small_run.cache, "cache")
        yield made


@pytest.fixture
def made(tmp_path: Path) -> Iterator[list[Machine]]:
    with machines([2, 11, 12], tmp_path, apart=False) as made:
        yield made


def run(small_run: SmallRun, folder: Path, scheduler: str, workers: int) -> str:
    """Run the small run on workers that are on their way; return what was printed, having seen that nothing differs."""
    with Client(scheduler, set_as_default=False) as client:
        client.wait_for_workers(workers, timeout=60)
    command = [PROGRAM, "run", small_run.jobfile, "--quick", "--cache", small_run.cache, "--runs", folder]
    command += ["--executor", "dask", "--scheduler", scheduler]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    results = (folder / "small-quick" / "results.parquet").read_bytes()
    assert results == (small_run.path / "results.parquet").read_bytes()
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout


def require_untold(secrets: list[str], folder: Path, printed: str) -> None:
    """See that no secret was printed, logged or stored."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 10
    for secret in secrets:
        assert secret not in printed
        assert [path for path in files if secret.encode() in path.read_bytes()] == []


def test_markets_are_read_from_a_bucket_and_none_is_sent(
    small_run: SmallRun, bucket: Bucket, made: list[Machine], tmp_path: Path
) -> None:
    head, *workers = made
    scheduler = head.start_scheduler()
    for machine in workers:
        machine.start_worker(scheduler, "--store", "s3://bucket/cache", **bucket.variables)
    printed = run(small_run, tmp_path, scheduler, 2)
    read = "; ".join(rf"{machine.address} read [12] from its store" for machine in workers)
    assert re.search(f"^Markets: {read}$", printed, re.M), printed
    assert "was sent" not in printed
    require_untold(bucket.secrets, tmp_path, printed)


def test_markets_are_sent_where_a_bucket_cannot_be_read(
    small_run: SmallRun, bucket: Bucket, made: list[Machine], tmp_path: Path
) -> None:
    head, one, other = made
    scheduler = head.start_scheduler()
    wrong = bucket.variables | {"AWS_SECRET_ACCESS_KEY": "wr0ng/s3cret"}
    one.start_worker(scheduler, "--store", "s3://bucket/cache", **wrong)
    other.start_worker(scheduler, "--store", "s3://no-such-bucket/cache", **bucket.variables)
    printed = run(small_run, tmp_path, scheduler, 2)
    told = [line for line in printed.splitlines() if "markets are sent there instead" in line]
    assert len(told) == 2
    refused, missing = sorted(told)
    assert f"{one.address}: the store s3://bucket/cache cannot be read: PermissionError" in refused
    assert f"{other.address}: the store s3://no-such-bucket/cache cannot be read: FileNotFoundError" in missing
    assert re.search(rf"^Markets: {one.address} was sent [12] \(\d\.\d MB\); {other.address} was sent", printed, re.M)
    require_untold([*bucket.secrets, "wr0ng/s3cret"], tmp_path, printed)
