"""Damage in a run folder is named, and costs no more than the batches that it hit."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from options_bt.analysis.compare import compare
from options_bt.analysis.run_reader import open_run
from options_bt.errors import RunFolderError
from options_bt.job.schema import JobFile
from options_bt.runner import schedule
from options_bt.runner.run import run_job
from options_bt.runner.run_folder.parts import batch_metadata

pytestmark = pytest.mark.slow

Damage = Callable[[Path], None]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.fixture
def run(job: JobFile, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Run the job in six batches, and give the warnings of it."""
    monkeypatch.setattr(schedule, "FIRST_BATCH", 4)
    monkeypatch.setattr(schedule, "BATCH_SECONDS", 1e9)
    monkeypatch.setattr(schedule, "LARGEST_BATCH", 4)

    def call() -> list[str]:
        handler = _Warnings()
        logging.getLogger("options_bt").addHandler(handler)
        try:
            run_job(job, runs=tmp_path, cache=cache, workers=1, shown=False)
        finally:
            logging.getLogger("options_bt").removeHandler(handler)
        return handler.texts

    return call


class _Warnings(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@pytest.fixture
def whole(run: Callable[[], list[str]], tmp_path: Path) -> bytes:
    assert run() == []
    return (tmp_path / "small/results.parquet").read_bytes()


@pytest.mark.parametrize("damage", [cut, flip, Path.unlink])
@pytest.mark.parametrize("table", ["trades", "equity"])
def test_a_damaged_part_is_named_and_its_jobs_run_again(
    run: Callable[[], list[str]], whole: bytes, computed: list[str], tmp_path: Path, table: str, damage: Damage
) -> None:
    path = sorted((tmp_path / "small" / table).iterdir())[2]
    damage(path)
    what = "is missing" if damage is Path.unlink else "is damaged"
    assert run() == [f"{path} {what}; the jobs of batch 2 run again"]
    assert len(computed) == 4
    assert (tmp_path / "small/results.parquet").read_bytes() == whole
    assert run() == [] and len(computed) == 4


@pytest.mark.parametrize("damage", [cut, flip, lambda path: path.write_bytes(b"no database" * 1000)])
def test_a_damaged_ledger_is_rebuilt_from_the_parts(
    run: Callable[[], list[str]], whole: bytes, computed: list[str], tmp_path: Path, damage: Damage
) -> None:
    path = tmp_path / "small/ledger.sqlite"
    _break_pages(path) if damage is flip else damage(path)
    (warning,) = run()
    assert warning == f"{path} is damaged: it was set aside as ledger.damaged, and rebuilt from 6 whole batches"
    assert computed == []
    assert (tmp_path / "small/results.parquet").read_bytes() == whole
    assert run() == []


def _break_pages(path: Path) -> None:
    """Overwrite all pages but the first, so that SQLite opens the file and finds it broken later."""
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))


def test_a_damaged_ledger_and_a_damaged_part_cost_that_part(
    run: Callable[[], list[str]], whole: bytes, computed: list[str], tmp_path: Path
) -> None:
    cut(tmp_path / "small/ledger.sqlite")
    cut(tmp_path / "small/trades/part-00000001.parquet")
    (tmp_path / "small/equity/part-00000004.parquet").unlink()
    (warning,) = run()
    assert "rebuilt from 4 whole batches" in warning
    assert len(computed) == 8
    assert (tmp_path / "small/results.parquet").read_bytes() == whole


def test_damage_is_named_to_those_who_only_read(whole: bytes, tmp_path: Path) -> None:
    _break_pages(tmp_path / "small/ledger.sqlite")
    (tmp_path / "small/results.parquet").unlink()
    with pytest.raises(RunFolderError, match=r"ledger\.sqlite: .*; `options-bt run` with its job file rebuilds it"):
        open_run(tmp_path / "small").results()


def test_a_ledger_of_another_version_is_kept(run: Callable[[], list[str]], whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "small/ledger.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=1")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(RunFolderError, match="was written by another version of options-bt; use --fresh to start over"):
        run()
    assert path.read_bytes() == before


def test_a_part_tells_of_its_batch(whole: bytes, tmp_path: Path) -> None:
    metadata = batch_metadata(tmp_path / "small/trades/part-00000003.parquet")
    results = open_run(tmp_path / "small").results()
    assert metadata.batch.number == 3
    assert list(metadata.jobs) == results["job"][list(metadata.batch.positions)].to_list()
    with pytest.raises(ValueError):
        batch_metadata(b"nothing")


def test_what_is_rebuilt_is_what_was_there(run: Callable[[], list[str]], whole: bytes, tmp_path: Path) -> None:
    before = open_run(tmp_path / "small")
    results, trades = before.results(), before.trades()
    cut(tmp_path / "small/ledger.sqlite")
    run()
    after = open_run(tmp_path / "small")
    assert after.results().equals(results) and after.trades().equals(trades)
    assert compare(before, after).equal
