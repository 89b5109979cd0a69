"""What `run.keep` stores, and that a run with any of its values survives what others survive."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from msgspec import structs

from options_bt.analysis.run_reader import Run, open_run
from options_bt.errors import StorageError
from options_bt.job import schema
from options_bt.job.schema import JobFile
from options_bt.runner.execution import batch
from options_bt.runner.run import run_job
from options_bt.runner.run_folder import parts
from options_bt.runner.run_folder.ledger import Ledger
from options_bt.runner.summary import Summary

pytestmark = pytest.mark.slow


def keeping(job: JobFile, keep: str, **entries: object) -> JobFile:
    return structs.replace(job, run=structs.replace(job.run, keep=keep), **entries)


def ran(job: JobFile, runs: Path, cache: Path, workers: int = 1) -> Summary:
    return run_job(job, runs=runs, cache=cache, workers=workers, shown=False)


def stored(run: Run) -> set[str]:
    """The jobs whose tables are on the disk."""
    return set(run.batches().drop_nulls("batch")["job"])


@pytest.fixture(scope="module")
def whole(job: JobFile, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return open_run(ran(keeping(job, "all"), tmp_path_factory.mktemp("runs"), cache).path, cache)


@pytest.mark.parametrize(("keep", "count"), [("all", 24), ("auto", 24), ("top 30", 24), ("top 5", 5), ("metrics", 0)])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_stores_the_tables_that_it_is_asked_for(
    job: JobFile, cache: Path, tmp_path: Path, whole: Run, keep: str, count: int, workers: int
) -> None:
    summary = ran(keeping(job, keep), tmp_path, cache, workers)
    assert (summary.done, summary.failed, summary.exit_code) == (24, 0, 0)
    run = open_run(summary.path, cache)
    assert stored(run) == set(whole.ranked(top=count or 1)["job"][:count])
    assert run.results().equals(whole.results())
    rows = pl.scan_parquet(str(summary.path / "trades/*.parquet")).select(pl.col("job").unique()).collect()["job"]
    assert set(rows) == stored(run)
    assert run.trades().equals(whole.trades()) and run.equity().equals(whole.equity())


def test_a_run_of_metrics_alone_writes_no_equity(job: JobFile, cache: Path, tmp_path: Path) -> None:
    summary = ran(keeping(job, "metrics"), tmp_path, cache)
    assert not (summary.path / "equity").exists()


def test_a_large_run_stores_the_best_alone_by_default(
    job: JobFile, cache: Path, tmp_path: Path, whole: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "KEPT_UP_TO", 23)
    monkeypatch.setattr(schema, "KEPT_BEST", 3)
    worst = keeping(job, "auto", objective="max_drawdown")
    run = open_run(ran(worst, tmp_path, cache).path, cache)
    assert stored(run) == set(whole.ranked("max_drawdown", top=3)["job"])


def test_more_is_added_to_a_finished_run_and_nothing_is_taken_away(
    job: JobFile, cache: Path, tmp_path: Path, whole: Run, computed: list[str]
) -> None:
    best = whole.ranked()["job"].to_list()
    for keep, stands, runs in (
        ("metrics", 0, 24),
        ("top 5", 5, 5),
        ("top 8", 8, 3),
        ("all", 24, 16),
        ("metrics", 24, 0),
    ):
        computed.clear()
        run = open_run(ran(keeping(job, keep), tmp_path, cache).path, cache)
        assert stored(run) == set(best[:stands])
        assert len(computed) == runs
        assert run.results().equals(whole.results())
    computed.clear()
    assert run.trades().equals(whole.trades()) and computed == []


def test_a_run_that_ends_while_it_stores_the_best_goes_on(
    job: JobFile, cache: Path, tmp_path: Path, whole: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = parts.store_parts

    def full(folder: Path, number: int, trades: bytes, equity: bytes) -> None:
        if equity:
            raise StorageError("the disk is full")
        write(folder, number, trades, equity)

    monkeypatch.setattr(batch, "store_parts", full)
    with pytest.raises(StorageError):
        ran(keeping(job, "top 5"), tmp_path, cache)
    assert not (tmp_path / "small/results.parquet").exists()
    assert open_run(tmp_path / "small", cache).results().height == 19
    monkeypatch.undo()
    run = open_run(ran(keeping(job, "top 5"), tmp_path, cache).path, cache)
    assert stored(run) == set(whole.ranked(top=5)["job"])
    assert run.results().equals(whole.results()) and run.trades().equals(whole.trades())


@pytest.mark.parametrize("keep", ["metrics", "top 5"])
def test_a_damaged_ledger_is_rebuilt_without_tables(
    job: JobFile, cache: Path, tmp_path: Path, whole: Run, computed: list[str], keep: str
) -> None:
    path = ran(keeping(job, keep), tmp_path, cache).path
    before = stored(open_run(path, cache))
    (path / "ledger.sqlite").write_bytes(b"no database" * 1000)
    computed.clear()
    run = open_run(ran(keeping(job, keep), tmp_path, cache).path, cache)
    assert computed == []
    assert run.results().equals(whole.results())
    assert stored(run) == before


def test_damaged_tables_of_the_best_are_stored_again(
    job: JobFile, cache: Path, tmp_path: Path, whole: Run, computed: list[str]
) -> None:
    path = ran(keeping(job, "top 5"), tmp_path, cache).path
    part = sorted((path / "equity").iterdir())[-1]
    jobs = set(pl.read_parquet(part)["job"])
    part.write_bytes(b"damaged")
    computed.clear()
    run = open_run(ran(keeping(job, "top 5"), tmp_path, cache).path, cache)
    assert set(computed) == jobs
    assert stored(run) == set(whole.ranked(top=5)["job"])
    assert run.equity().equals(whole.equity())


def test_the_ledger_says_which_jobs_have_their_tables(job: JobFile, cache: Path, tmp_path: Path, whole: Run) -> None:
    path = ran(keeping(job, "top 5"), tmp_path, cache).path
    ledger = Ledger(path / "ledger.sqlite", read_only=True)
    kept = ledger.kept(24)
    ledger.close()
    assert set(whole.results()["job"].filter(pl.Series(kept))) == set(whole.ranked(top=5)["job"])
