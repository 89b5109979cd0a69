from __future__ import annotations

import fcntl
import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from options_bt.errors import RunFolderError, StorageError
from options_bt.job.planner import Plan
from options_bt.job.schema import JobFile
from options_bt.runner.run import run_job
from options_bt.runner.run_folder import folder as folder_room
from options_bt.runner.run_folder.folder import RunFolder, RunInfo, differences, run_info
from tests.small_run import SmallRun, contents, job_of

DATA = {"SPY": "1234", "NVDA": "5678"}
OTHER: dict[str, dict[str, Any]] = {
    "symbols": {"symbols": ["NVDA"]},
    "period": {"period": {"start": "2023-01-01", "end": "2024-12-30"}},
    "grid": {"grid": {"delta": [0.15, 0.2]}},
    "params": {"params": {"commission": 0.5}},
    "strategy": {"strategy": "short_put"},
    "windows": {"windows": {"train": "1y", "test": "1y"}},
    "source": {"source": "demo?seed=2"},
    "columns": {"columns": {"bid": "Bid"}},
}


def info_of(job: JobFile | None = None, data: dict[str, str] | None = None) -> RunInfo:
    return run_info(job or job_of(), "demo: simulated", "1", data or DATA)


def test_run_json_says_what_it_takes_to_run_the_same_again(tmp_path: Path) -> None:
    job = job_of(params={"commission": 0.5, "exit_dte": 7}, windows={"train": "1y", "test": "1y"})
    info = info_of(job)
    folder = RunFolder(tmp_path / "two")
    assert not folder.exists()
    folder.create(info)
    assert folder.exists()
    read = folder.info()
    assert read == info
    assert list(Plan(read.job)) == list(Plan(job))
    assert (read.source, read.source_version, read.fingerprints) == ("demo: simulated", "1", DATA)
    assert {"python", "options-bt", "numpy", "polars", "pyarrow", "numba"} == set(read.versions)
    assert abs((datetime.now(UTC) - read.created).total_seconds()) < 60


def test_run_json_is_made_for_reading(tmp_path: Path) -> None:
    RunFolder(tmp_path / "two").create(info_of())
    text = (tmp_path / "two/run.json").read_text()
    assert len(text.splitlines()) > 20
    assert json.loads(text)["job"]["symbols"] == ["SPY"]


def test_a_strategy_axis_comes_back_as_it_was(tmp_path: Path) -> None:
    info = info_of(job_of(grid={"strategy": ["short_put", "iron_condor"]}))
    folder = RunFolder(tmp_path / "two")
    folder.create(info)
    assert folder.info() == info


@pytest.mark.parametrize("source", ["mysql://u:secret@h:1", "mysql://u:se/cr@et@h:1", "mysql://:secret@h"])
def test_a_password_is_not_kept(source: str) -> None:
    encoded = msgspec.json.encode(info_of(job_of(source=source))).decode()
    assert "secret" not in encoded
    assert "cr@et" not in encoded
    assert ":***@h" in encoded


def test_a_changed_password_is_the_same_run() -> None:
    sources = ("mysql://u:secret@h:1", "mysql://u:other@h:1", "mysql://u:${PASSWORD}@h:1")
    assert len({info_of(job_of(source=source)).identity for source in sources}) == 1


@pytest.mark.parametrize(
    "entries",
    [
        {"name": "other"},
        {"quick": {"start": "2024-01-01"}},
        {"objective": "calmar"},
        {"run": {"workers": 7, "timeout": 5, "retries": 0}},
        {"grid": {"delta": [0.15, 0.25, 0.250]}},
        {"strategy": "put_credit_spread"},
        {"params": {"commission": 0.65}},
    ],
    ids=str,
)
def test_what_changes_no_result_is_the_same_run(entries: dict[str, Any]) -> None:
    one, other = info_of(), info_of(job_of(**entries))
    assert one.identity == other.identity
    assert differences(one, other) == []


@pytest.mark.parametrize("key", list(OTHER))
def test_what_changes_results_is_another_run_and_named(key: str) -> None:
    one, other = info_of(), info_of(job_of(**OTHER[key]))
    assert one.identity != other.identity
    assert differences(one, other) == [key]


def test_other_data_is_another_run_and_the_symbol_named() -> None:
    one, other = info_of(), info_of(data=DATA | {"NVDA": "9999"})
    assert one.identity != other.identity
    assert differences(one, other) == ["the data of NVDA"]


def test_other_semantics_are_another_run_and_both_named(monkeypatch: pytest.MonkeyPatch) -> None:
    one = info_of()
    monkeypatch.setattr(folder_room, "SEMANTICS_VERSION", 77)
    other = info_of()
    assert one.identity != other.identity
    assert differences(one, other) == [f"semantics {one.semantics} and 77"]


def test_every_difference_is_named() -> None:
    other = info_of(job_of(**OTHER["grid"], **OTHER["params"]), DATA | {"SPY": "0"})
    assert differences(info_of(), other) == ["grid", "params", "the data of SPY"]


def test_the_parts_of_batches_have_paths_of_their_own_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    paths = [folder.part(table, number) for table in ("equity", "trades") for number in (0, 9, 10, 123_456)]
    assert len(set(paths)) == 8
    assert paths == sorted(paths)
    assert all(tmp_path in path.parents for path in paths)


@pytest.mark.parametrize("present", [True, False])
def test_what_is_no_run_is_refused(tmp_path: Path, present: bool) -> None:
    folder = tmp_path / "nothing"
    if present:
        folder.mkdir()
    with pytest.raises(RunFolderError) as caught:
        RunFolder(folder).info()
    assert str(caught.value) == f"{folder} is not a run folder: it has no run.json"
    assert caught.value.exit_code == 2


def test_the_nearest_run_is_named(tmp_path: Path) -> None:
    for name in ("grid", "walk_forward"):
        RunFolder(tmp_path / name).create(info_of())
    (tmp_path / "gird").mkdir()
    with pytest.raises(RunFolderError, match=r"gird is not a run folder: .* \(did you mean 'grid'\?\)"):
        RunFolder(tmp_path / "gird").info()


@pytest.mark.parametrize("text", [b"", b"{", b"{}", b'{"job": 3}', b"\xff\xfe"])
def test_an_unreadable_run_json_is_named(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "run.json").write_bytes(text)
    with pytest.raises(RunFolderError, match=r"run\.json cannot be read: "):
        RunFolder(tmp_path).info()


def test_a_file_is_no_run(small_run: SmallRun) -> None:
    with pytest.raises(RunFolderError, match="is not a run folder"):
        RunFolder(small_run.path / "results.parquet").info()


def test_a_folder_has_one_owner_until_it_is_released(tmp_path: Path) -> None:
    one, other = RunFolder(tmp_path / "a/b"), RunFolder(tmp_path / "a/b")
    one.claim()
    with pytest.raises(
        RunFolderError,
        match=rf"is in use by another options-bt \(process {os.getpid()} on .* since .*\); wait for it or",
    ):
        other.claim()
    one.release()
    other.claim()
    other.release()


def test_who_looks_whether_a_folder_is_in_use_keeps_nobody_from_it(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "two")
    look = folder.lock_file.open("w")
    fcntl.flock(look, fcntl.LOCK_SH)
    threading.Timer(0.02, look.close).start()
    folder.claim()
    folder.release()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"file/two: cannot write: Not a directory; check the disk") as caught:
        RunFolder(tmp_path / "file" / "two").claim()
    assert caught.value.exit_code == 3


def test_a_run_that_is_set_aside_is_kept_whole_under_the_time_of_its_beginning(
    small_run: SmallRun, tmp_path: Path
) -> None:
    path = small_run.copy(tmp_path)
    before, info = contents(path), RunFolder(path).info()
    aside = RunFolder(path).set_aside()
    assert aside == tmp_path / f"small-quick.{info.created:%Y-%m-%dT%H-%M-%S}"
    assert not path.exists()
    assert contents(aside) == before
    assert RunFolder(aside).info() == info


def test_a_folder_that_is_set_aside_stays_claimed_under_its_name_and_is_free_under_the_new_one(
    small_run: SmallRun, tmp_path: Path
) -> None:
    folder = RunFolder(small_run.copy(tmp_path))
    folder.claim()
    aside = RunFolder(folder.set_aside())
    assert (RunFolder(folder.path).in_use(), aside.in_use()) == (True, False)
    with pytest.raises(RunFolderError, match=rf"is in use by another options-bt \(process {os.getpid()} on "):
        RunFolder(folder.path).claim()
    folder.release()
    assert not RunFolder(folder.path).in_use()


def test_a_folder_is_in_use_however_its_path_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(tmp_path / "two")
    folder.claim()
    (folder.path / "trades").mkdir()
    for current, path in ((tmp_path, "two"), (folder.path, "."), (folder.path / "trades", "..")):
        monkeypatch.chdir(current)
        assert RunFolder(Path(path)).in_use()
    folder.release()


def test_runs_of_the_same_second_are_set_aside_side_by_side(tmp_path: Path) -> None:
    for _ in range(3):
        folder = RunFolder(tmp_path / "two")
        folder.create(msgspec.structs.replace(info_of(), created=datetime(2024, 1, 1, tzinfo=UTC)))
        folder.set_aside()
    assert len(list(tmp_path.iterdir())) == 3


def test_fresh_sets_aside_a_run_whose_run_json_cannot_be_read(small_run: SmallRun, tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    (tmp_path / "two/run.json").write_text('{"of": "another version"}')
    summary = run_job(job_of(), runs=tmp_path, cache=small_run.cache, workers=1, fresh=True, shown=False)
    assert summary.done == 2
    assert len(list(tmp_path.glob("two*"))) == 2
