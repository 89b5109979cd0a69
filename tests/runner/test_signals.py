"""Ctrl-C in a terminal reaches each process of it, at any moment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HAMMERED = """
import os, signal, sys, threading, time
from pathlib import Path

if __name__ == "__main__":
    from options_bt.runner.cluster.executor import Dask
    from options_bt.runner.slots import Slots

    signal.signal(signal.SIGINT, lambda *_: None)
    begun, over = threading.Event(), threading.Event()

    def hammer():
        while not over.wait(0.02):
            os.killpg(os.getpgrp(), signal.SIGINT)
            begun.set()

    threading.Thread(target=hammer, daemon=True).start()
    begun.wait()
    executor = {made}
    time.sleep(1)
    lost = executor.wait(1)
    over.set()
    print(executor.slots, lost, {alive})
    executor.close()
"""


@pytest.mark.parametrize(
    ("made", "alive", "said"),
    [
        ("Slots(2)", "[worker.process.is_alive() for worker in executor._free]", "2 [] [True, True]"),
        ("Dask(None, 2, Path(sys.argv[1]))", "executor.place", "2 [] the Dask cluster of this machine, 2 workers"),
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
