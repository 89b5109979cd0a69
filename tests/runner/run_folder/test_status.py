from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from options_bt.errors import RunFolderError
from options_bt.job.planner import Plan
from options_bt.runner.run_folder.folder import RunFolder
from options_bt.runner.run_folder.heartbeat import RunningBatch
from options_bt.runner.run_folder.ledger import BusyLedgerError, DamagedLedgerError, Ledger
from options_bt.runner.run_folder.run_list import latest_run, listed_runs, run_folders
from options_bt.runner.run_folder.status import details, read_status, speed, status_line, watched
from tests.small_run import SmallRun, contents
from tests.unfinished_run import FOUR, begun, heartbeat, owned, record

pytestmark = pytest.mark.slow

LATER = 1e10
"""A time that no test reaches."""


def running(number: int) -> RunningBatch:
    return RunningBatch(number=number, symbol="SPY", jobs=1, attempt=2, started=LATER)


# states


def test_a_run_that_goes_on_is_read_while_its_process_writes(tmp_path: Path) -> None:
    folder = begun(tmp_path / "four")
    with owned(folder) as owner:
        seen = read_status(folder)
        assert (seen.state, seen.active) == ("running", True)
        assert seen.heartbeat is not None
        assert seen.heartbeat.pid == owner.pid
        assert status_line(seen) == f"four: running (process {owner.pid}); 0 of 4 done, 0 failed (0%)"
        assert seen.running.drop("seconds").rows() == [(7, "NVDA", 2, 1)]
        text = details(seen)
        assert "  workers   3; batches retried: 1" in text
        assert "  memory    400 MB held, 2,500 MB free, 0 MB at most in a batch" in text
        with closing(sqlite3.connect(folder.ledger)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("DELETE FROM heartbeat")
            assert read_status(folder).heartbeat == seen.heartbeat


def test_done_and_failed_are_counted_by_symbol_also_those_that_were_given_up(tmp_path: Path) -> None:
    folder = begun(tmp_path / "four")
    folder.claim()
    ledger = Ledger(folder.ledger)
    record(ledger, 3, 0)
    record(ledger, 4, 1, failed=True, beat=heartbeat(running=(running(4), running(5))))
    ledger.quarantine(3, "job3", Plan(FOUR)[3], 2, "killed by SIGSEGV")
    seen = read_status(folder)
    ledger.close()
    folder.release()
    assert seen.symbols.rows() == [("SPY", 2, 1, 1), ("NVDA", 2, 0, 1)]
    assert (seen.total, seen.done, seen.failed, seen.peak) == (4, 1, 2, 100_000_004)
    assert seen.running["batch"].to_list() == [5]  # batch 4 has ended


def test_a_run_that_was_stopped_says_how_it_goes_on(tmp_path: Path) -> None:
    folder = begun(tmp_path / "four")
    with closing(Ledger(folder.ledger)) as ledger:
        record(ledger, 0, 0, 1, beat=heartbeat(started=LATER, updated=LATER + 4))
    seen = read_status(folder)
    assert seen.state == "stopped"
    assert status_line(seen) == "four: stopped; its `options-bt run` command resumes it; 2 of 4 done, 0 failed (50%)"
    assert (seen.rate, speed(seen)) == (0.5, "0.5 jobs/s")
    assert seen.running.is_empty()


def test_a_run_whose_process_was_killed_has_died_and_looking_changes_nothing(tmp_path: Path) -> None:
    folder = begun(tmp_path / "four")
    with closing(Ledger(folder.ledger)) as ledger:
        record(ledger, 0, 0)
    with owned(folder) as owner:
        owner.kill()
        owner.wait()
        kept = {"ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"}
        before = contents(folder.path)
        assert before.keys() >= kept
        seen = read_status(folder)
        after = contents(folder.path)
    assert seen.state == "died"
    assert status_line(seen).startswith("four: died; its `options-bt run` command resumes it; 1 of 4 done")
    assert seen.running.drop("seconds").rows() == [(7, "NVDA", 2, 1)]
    shared = "ledger.sqlite-shm"  # SQLite's index of the log; made anew from it
    assert {k: v for k, v in before.items() if k != shared} == {k: v for k, v in after.items() if k != shared}


def test_a_finished_run_is_finished_and_looking_changes_nothing(small_run: SmallRun) -> None:
    before = contents(small_run.path)
    seen = read_status(RunFolder(small_run.path))
    assert status_line(seen) == "small-quick: finished; 4 of 4 done, 0 failed (100%)"
    assert "left" not in details(seen)
    assert contents(small_run.path) == before


def test_a_run_that_goes_on_again_prepares_until_it_tells(tmp_path: Path) -> None:
    folder = begun(tmp_path / "four")
    with owned(folder) as owner:
        owner.kill()
        owner.wait()
    folder.claim()
    seen = read_status(folder)
    folder.release()
    assert (seen.state, seen.heartbeat) == ("preparing", None)
    assert status_line(seen) == "four: preparing: pulling and checking its data; 0 of 4 done, 0 failed (0%)"


def test_a_run_that_brings_its_data_has_no_run_json_yet(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "new")
    folder.claim()
    seen = read_status(folder)
    listed = listed_runs(tmp_path)
    folder.release()
    assert status_line(seen) == "new: preparing: pulling and checking its data"
    assert details(seen)
    assert listed["state"].to_list() == ["preparing"]
    with pytest.raises(RunFolderError, match="new is not a run folder"):
        read_status(folder)


@pytest.mark.parametrize("present", [True, False])
def test_without_a_ledger_nothing_has_ended(tmp_path: Path, present: bool) -> None:
    folder = begun(tmp_path / "four")
    if present:
        folder.ledger.touch()
    seen = read_status(folder)
    assert (seen.state, seen.total, seen.done, seen.rate) == ("stopped", 4, 0, 0.0)


def test_the_number_of_a_process_that_has_gone_may_be_another_s_now(tmp_path: Path) -> None:
    folder = begun(tmp_path / "four")
    folder.claim()
    with closing(Ledger(folder.ledger)) as ledger:
        ledger.write_heartbeat(heartbeat(started=1.0, updated=2.0))  # this process began after that
        assert read_status(folder).state == "preparing"
    folder.release()


# the ledger


def test_a_ledger_that_is_locked_for_a_moment_is_told_apart_from_a_damaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = begun(tmp_path / "four")
    Ledger(folder.ledger).close()
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", partial(connect, timeout=0))
    with closing(connect(folder.ledger)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(BusyLedgerError, match="is locked by another process; try again in a moment"):
            read_status(folder)
    folder.ledger.write_bytes(b"this is no database" * 100)
    with pytest.raises(DamagedLedgerError, match="`options-bt run` with its job file rebuilds it"):
        read_status(folder)


def test_a_ledger_that_is_closed_while_somebody_looks_leaves_nothing_beside_it(tmp_path: Path) -> None:
    folder = begun(tmp_path / "four")
    ledger = Ledger(folder.ledger)
    record(ledger, 0, 0)
    reader = sqlite3.connect(f"{folder.ledger.as_uri()}?mode=ro", uri=True, check_same_thread=False)
    reader.execute("BEGIN")
    assert reader.execute("SELECT COUNT(*) FROM job").fetchone() == (1,)
    threading.Timer(0.2, reader.close).start()
    ledger.close()
    assert sorted(path.name for path in folder.path.iterdir()) == ["ledger.sqlite", "run.json"]


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(folder: RunFolder) -> None:
        raise PermissionError(13, "Permission denied")

    folder = begun(tmp_path / "four")
    monkeypatch.setattr(RunFolder, "info", forbidden)
    with pytest.raises(RunFolderError, match="four cannot be read: Permission denied; check its permissions"):
        read_status(folder)
    assert listed_runs(tmp_path)["state"].to_list() == ["unreadable"]


def test_a_folder_of_any_name_can_be_read(tmp_path: Path) -> None:
    folder = begun(tmp_path / "50% of #1?")
    with closing(Ledger(folder.ledger)) as ledger:
        record(ledger, 0, 0)
    assert read_status(folder).done == 1


# looking on


def test_looking_on_ends_when_the_run_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("options_bt.runner.run_folder.status.time.sleep", lambda seconds: None)
    folder = begun(tmp_path / "four")
    with owned(folder) as owner:
        states = []
        for seen in watched(folder):
            states.append(seen.state)
            if len(states) == 1:
                assert owner.stdin is not None
                owner.stdin.close()
                owner.wait()
        assert states == ["running", "stopped"]


# the list


def test_every_run_is_listed_the_last_first_with_what_is_wrong_with_it(tmp_path: Path, small_run: SmallRun) -> None:
    small_run.copy(tmp_path)
    aside = begun(tmp_path / "four").set_aside()
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn/run.json").write_text("{")
    old = begun(tmp_path / "old")
    Ledger(old.ledger).close()
    with closing(sqlite3.connect(old.ledger)) as connection:
        connection.execute("PRAGMA user_version=1")
    listed = listed_runs(tmp_path)
    rows = {row["run"]: row for row in listed.rows(named=True)}
    assert rows.keys() == {"small-quick", aside.name, "torn", "old"}
    assert [listed["run"][0], latest_run(tmp_path).path.name] == [run_folders(tmp_path)[0].path.name] * 2
    small = rows["small-quick"]
    assert (small["state"], small["total"], small["done"], small["failed"]) == ("finished", 4, 4, 0)
    assert (small["symbols"], small["problem"]) == ("SPY, NVDA", None)
    assert small["bytes"] == sum(map(len, contents(small_run.path).values()))
    assert (rows[aside.name]["state"], rows[aside.name]["done"]) == ("stopped", 0)
    assert (rows["torn"]["state"], rows["old"]["state"]) == ("unreadable", "unreadable")
    assert "torn/run.json cannot be read" in rows["torn"]["problem"]
    assert "another version" in rows["old"]["problem"]


def test_the_run_that_wrote_last_is_the_latest(tmp_path: Path) -> None:
    for number, name in enumerate(["b", "c", "a"]):
        folder = begun(tmp_path / name)
        for path in (folder.path, folder.info_file):
            os.utime(path, (number, number))
    assert latest_run(tmp_path).path.name == "a"
    Ledger(tmp_path / "b/ledger.sqlite").close()
    assert latest_run(tmp_path).path.name == "b"


@pytest.mark.parametrize("present", [True, False])
def test_where_there_is_no_run_it_is_said(tmp_path: Path, present: bool) -> None:
    runs = tmp_path if present else tmp_path / "nowhere"
    with pytest.raises(RunFolderError, match="holds no runs; start one with `options-bt run`"):
        latest_run(runs)
    assert listed_runs(runs).is_empty()
