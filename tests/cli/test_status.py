"""Status and runs: looking on from another terminal."""

from __future__ import annotations

import signal
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from options_bt.runner.run_folder.ledger import Ledger
from tests.cli.terminal import PROGRAM, Command, refused, shown_on_terminal
from tests.small_run import SmallRun, contents
from tests.unfinished_run import begun, heartbeat, owned, record

pytestmark = pytest.mark.slow


def watching(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    line = [str(PROGRAM), "status", "--watch", *arguments]
    return subprocess.Popen(line, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_status_of_a_run_that_goes_on(command: Command) -> None:
    folder = begun(Path("runs/four"))
    with owned(folder) as owner:
        answer = command("status", "four")
    assert (answer.code, answer.err) == (0, "")
    assert answer.lines[:2] == [
        f"four: running (process {owner.pid}); 0 of 4 done, 0 failed (0%)",
        "  folder    runs/four",
    ]
    assert "  workers   3; batches retried: 1" in answer.lines
    at = answer.lines.index("batch  symbol  jobs  attempt  seconds")
    assert answer.lines[at + 2].split()[:4] == ["7", "NVDA", "2", "1"]
    assert answer.lines[-4:] == [
        "symbol  total  done  failed",
        "------  -----  ----  ------",
        "SPY         2     0       0",
        "NVDA        2     0       0",
    ]


def test_status_of_a_finished_run_writes_nothing(command: Command, small_run: SmallRun) -> None:
    before = contents(small_run.path)
    answer = command("status", small_run.path)
    assert answer.code == 0
    assert answer.lines[0] == "small-quick: finished; 4 of 4 done, 0 failed (100%)"
    assert contents(small_run.path) == before


def test_status_of_a_run_that_was_stopped_or_killed_says_what_to_do(command: Command) -> None:
    folder = begun(Path("runs/four"))
    with closing(Ledger(folder.ledger)) as ledger:
        record(ledger, 0, 0, beat=heartbeat())
    stopped = command("status", "four")
    with owned(folder) as owner:
        owner.kill()
        owner.wait()
        died = command("status", "four")
    for answer, state in ((stopped, "stopped"), (died, "died")):
        assert answer.code == 0
        assert answer.lines[0] == (
            f"four: {state}; its `options-bt run` command resumes it; 1 of 4 done, 0 failed (25%)"
        )


def test_without_a_run_the_one_that_wrote_last_is_shown(
    command: Command, small_run: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_run.copy(Path("elsewhere"))
    begun(Path("elsewhere/four"))
    for options in (["--runs", "elsewhere"], []):
        assert command("status", *options).lines[0].startswith("four: stopped")
        monkeypatch.setenv("OPTIONS_BT_RUNS", "elsewhere")
    assert command("status", "small-quick").lines[0].startswith("small-quick: finished")
    monkeypatch.delenv("OPTIONS_BT_RUNS")
    assert command("status", "small-quick", "--runs", "elsewhere").code == 0


def test_no_run_is_refused_and_the_nearest_named(command: Command, small_run: SmallRun) -> None:
    refused(command("status"), "runs holds no runs; start one with `options-bt run`, or name their folder with --runs")
    small_run.copy(Path("runs"))
    refused(command("status", "small-quik"), "runs/small-quik is not a run folder", "did you mean 'small-quick'")
    refused(command("status", "--watch", "runs/nothing"), "runs/nothing is not a run folder: it has no run.json")


def test_an_unreadable_run_is_refused(command: Command) -> None:
    folder = begun(Path("runs/four"))
    folder.ledger.write_bytes(b"this is no database" * 100)
    refused(command("status", "four"), "runs/four/ledger.sqlite: ", "`options-bt run` with its job file rebuilds it")


def test_watch_tells_each_change_and_ends_with_the_run(tmp_path: Path) -> None:
    folder = begun(tmp_path / "runs/four")
    with owned(folder) as owner, watching(tmp_path) as watch:
        assert watch.stdout is not None
        assert watch.stdout.readline().startswith(f"four: running (process {owner.pid}); 0 of 4 done")
        with closing(Ledger(folder.ledger)) as ledger:
            record(ledger, 0, 0, 1)
        assert watch.stdout.readline().startswith(f"four: running (process {owner.pid}); 2 of 4 done")
        owner.communicate("end\n")
        rest, errors = watch.communicate()
    assert rest.startswith("four: stopped")
    assert (rest.count("\n"), errors, watch.returncode) == (1, "", 0)


def test_watch_ends_with_ctrl_c(tmp_path: Path) -> None:
    with owned(begun(tmp_path / "runs/four")), watching(tmp_path, "four") as watch:
        assert watch.stdout is not None
        watch.stdout.readline()
        watch.send_signal(signal.SIGINT)
        assert watch.communicate() == ("", "")
    assert watch.returncode == 0


def test_watch_paints_a_terminal_anew_and_leaves_out_what_does_not_fit(tmp_path: Path) -> None:
    folder = begun(tmp_path / "runs/four")
    line = [str(PROGRAM), "status", "four", "--watch"]
    shown = shown_on_terminal(line, tmp_path, 8, 40, TERM="xterm")
    assert folder.exists()
    _, _, painted = shown.rpartition("\x1b[H")
    lines = painted.removesuffix("\x1b[J").replace("\x1b[K", "").splitlines()
    assert lines[0] == "four: stopped; its `options-bt run` comm"
    assert len(lines) == 7
    assert all(len(line) <= 40 for line in lines)


def test_runs_are_listed(command: Command, small_run: SmallRun) -> None:
    assert command("runs").lines == ["runs holds no runs"]
    small_run.copy(Path("mine"))
    Path("mine/torn").mkdir()
    Path("mine/torn/run.json").write_text("{")
    answer = command("runs", "--runs", "mine")
    assert (answer.code, answer.err) == (0, "")
    header, _, torn, small = answer.lines
    assert header.split() == ["run", "state", "total", "done", "failed", "symbols", "started", "bytes", "problem"]
    assert torn.split()[:2] == ["torn", "unreadable"]
    assert "mine/torn/run.json cannot be read" in torn
    assert small.split()[:7] == ["small-quick", "finished", "4", "4", "0", "SPY,", "NVDA"]
