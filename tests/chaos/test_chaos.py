"""Whatever happens to workers and coordinator, the results are those of an undisturbed run."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest

from options_bt.analysis.compare import compare
from options_bt.analysis.run_reader import open_run
from options_bt.errors import RunFolderError
from options_bt.job.load import load_job
from options_bt.runner.run import run_job
from options_bt.runner.run_folder.ledger import Ledger

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("chaotic_run.py")
JOB = f"""
name: chaos
symbols: [AAPL, MSFT, NVDA, SPY]
period: {{start: 2022-01-01, end: 2024-12-31}}
strategy: put_credit_spread
params: {{unquoted: hold}}
grid:
  delta: [0.15, 0.2, 0.25, 0.3, 0.35]
  dte: [21-30, 30-45]
  slippage: {[number / 250 for number in range(250)]}
run: {{workers: 2, timeout: 8, retries: 3}}
"""
EARLY = ("kill", "kill", "segv", "exit")


def test_chaos_changes_no_result(tmp_path: Path) -> None:
    moments = random.Random(11)
    jobfile, cache, faults = tmp_path / "chaos.yaml", tmp_path / "cache", tmp_path / "faults"
    jobfile.write_text(JOB)
    faults.mkdir()
    whole = open_run(run_job(load_job(jobfile, name="whole"), runs=tmp_path, cache=cache, shown=False).path)
    jobs = whole.results()["job"].to_list()
    assert len(jobs) == 10_000
    _prepare(faults, EARLY, moments.sample(jobs, len(EARLY)))
    command = [sys.executable, str(SCRIPT), str(jobfile), str(tmp_path), str(cache)]
    environment = os.environ | {"FAULTS": str(faults)}
    for done, fault in ((800, "eat"), (1600, ""), (2400, "")):
        if fault:
            _prepare(faults, [fault], jobs[:1])
        coordinator = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        workers = _workers_after(coordinator, tmp_path / "chaos/ledger.sqlite", done - moments.randrange(700))
        deadline = time.monotonic() + 60
        log = tmp_path / "chaos/log.jsonl"
        while fault and "of memory were left" not in log.read_text():
            assert coordinator.poll() is None and time.monotonic() < deadline, _told(log)
            time.sleep(0.05)
        moments.choice(_workers(coordinator)).kill()  # not the one that eats: that would spoil its fault
        workers += _workers_after(coordinator, tmp_path / "chaos/ledger.sqlite", done)
        coordinator.kill()
        coordinator.wait()
        assert psutil.wait_procs(workers, timeout=30)[1] == []
    left = sorted(set(jobs) - set(open_run(tmp_path / "chaos").results()["job"]))
    _prepare(faults, ["hang"], moments.sample(left, 1))
    last = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert last.returncode == 0, last.stdout[-3000:] + last.stderr[-3000:]
    assert "Traceback" not in last.stderr
    assert all(path.name.startswith("taken-") for path in faults.iterdir())
    run = open_run(tmp_path / "chaos")
    assert compare(run, whole).equal
    assert (tmp_path / "chaos/results.parquet").read_bytes() == (tmp_path / "whole/results.parquet").read_bytes()
    for table, key in (("trades", ["job", "entry_date"]), ("equity", ["job", "date"])):
        mine, others = (getattr(one, table)().sort(key, maintain_order=True) for one in (run, whole))
        assert mine.equals(others)
    messages = [json.loads(line)["message"] for line in (tmp_path / "chaos/log.jsonl").read_text().splitlines()]
    for text in (
        "killed by SIGKILL",
        "killed by SIGSEGV",
        "exit code 3",
        "no result within 8 s",
        "of memory were left",
    ):
        assert any(text in message for message in messages), text


def _told(log: Path) -> list[str]:
    """Return what a log says of more than single backtests."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [line["message"] for line in lines if line["level"] != "DEBUG"]


def _prepare(folder: Path, faults: Sequence[str], jobs: Sequence[str]) -> None:
    for fault, job in zip(faults, jobs, strict=True):
        (folder / f"{job}.{fault}").touch()


def _workers_after(coordinator: subprocess.Popen[bytes], path: Path, done: int) -> list[psutil.Process]:
    """Return the workers once so many jobs are done and there are any."""
    deadline = time.monotonic() + 120
    while coordinator.poll() is None and time.monotonic() < deadline:
        try:
            ledger = Ledger(path, read_only=True)
        except RunFolderError:  # not there yet
            continue
        with closing(ledger):
            if ledger.counts()[0] >= done and (workers := _workers(coordinator)):
                return workers
        time.sleep(0.01)
    raise AssertionError(f"the run ended or hung before {done} jobs were done")


def _workers(coordinator: subprocess.Popen[bytes]) -> list[psutil.Process]:
    found = []
    for process in psutil.Process(coordinator.pid).children():
        with suppress(psutil.Error):  # it has just ended
            if "spawn_main" in str(process.cmdline()):
                found.append(process)
    return found
