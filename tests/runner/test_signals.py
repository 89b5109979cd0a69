"""Ctrl-C in a terminal reaches each process of it, at any moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

HAMMERED = """
import os, psutil, signal, sys, threading, time
from pathlib import Path

if __name__ == "__main__":
    from options_bt.runner.cluster.executor import DaskExecutor
    from options_bt.runner.execution.slots import Slots

    signal.signal(signal.SIGINT, lambda *_: None)
    begun, over = threading.Event(), threading.Event()

    def hammer():
        while not over.wait(0.02):
            os.killpg(os.getpgrp(), signal.SIGINT)
            begun.set()

    threading.Thread(target=hammer, daemon=True).start()
    begun.wait()
    executor = {made}
    lost, deadline = executor.wait(1), time.monotonic() + 60
    while executor.slots < 2 and time.monotonic() < deadline:
        lost += executor.wait(1)
    time.sleep(1)
    over.set()
    print(executor.slots, lost, {alive})
    executor.close()
"""

DASK = "the Dask cluster of this machine, 2 workers"


@pytest.mark.parametrize(
    ("made", "alive", "said"),
    [
        ("Slots(2)", "[*map(psutil.pid_exists, executor.worker_ids)]", "2 [] [True, True]"),
        (
            "DaskExecutor(None, 2, Path(sys.argv[1]))",
            "executor.description",
            "2 [] the Dask cluster of this machine, 2 workers",
        ),
    ],
    ids=["slots", "dask"],
)
def test_workers_survive_ctrl_c_while_they_start(made: str, alive: str, said: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(HAMMERED.format(made=made, alive=alive))
    command = [sys.executable, str(script), str(tmp_path / "cache")]
    ended = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        start_new_session=True,  # as a terminal has one
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        timeout=120,
    )
    assert (ended.returncode, ended.stdout.strip()) == (0, said), ended.stderr
    assert ended.stderr == ""


COLLECTING = """
from options_bt.runner.signals import ignore_interrupts

ignore_interrupts()
import polars as pl

print("begun", flush=True)
for _ in range(300):
    pl.LazyFrame({"a": range(1000)}).sort("a", descending=True).collect()
"""


def test_a_worker_survives_ctrl_c_while_polars_collects() -> None:
    worker = subprocess.Popen([sys.executable, "-c", COLLECTING], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert worker.stdout and worker.stdout.readline() == b"begun\n"
    while worker.poll() is None:
        worker.send_signal(signal.SIGINT)
        time.sleep(0.001)
    assert (worker.returncode, worker.communicate()[1]) == (0, b"")
