"""Run folders as they are in the middle of a run, made by hand or held by another process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from options_bt.engine.metrics import METRICS
from options_bt.job.planner import Plan
from options_bt.job.schema import JobFile
from options_bt.runner.run_folder.folder import RunFolder, run_info
from options_bt.runner.run_folder.heartbeat import Heartbeat, RunningBatch
from options_bt.runner.run_folder.ledger import Ledger
from options_bt.runner.run_folder.parts import Batch, BatchMetadata, Receipt
from tests.small_run import job_of

FOUR = job_of(name="four", symbols=["SPY", "NVDA"])
"""Two jobs of each of two symbols."""
OWNER = """
import os, sys, time
from pathlib import Path
from options_bt.runner.run_folder.folder import RunFolder
from options_bt.runner.run_folder.ledger import Ledger
from tests.unfinished_run import heartbeat
folder = RunFolder(Path(sys.argv[1]))
folder.claim()
ledger = Ledger(folder.ledger)
ledger.write_heartbeat(heartbeat())
print("told", flush=True)
sys.stdin.readline()
ledger.close()
folder.release()
"""


def begun(path: Path, job: JobFile = FOUR) -> RunFolder:
    """Return a run folder in which nothing has ended yet."""
    folder = RunFolder(path)
    folder.create(run_info(job, "demo: simulated", "1", {}))
    return folder


def heartbeat(**changes: Any) -> Heartbeat:
    """Return the heartbeat of a run of this process, of which batch 7 is running."""
    now = time.time()
    running = RunningBatch(number=7, symbol="NVDA", jobs=2, attempt=1, started=now)
    values: dict[str, Any] = {
        "pid": os.getpid(),
        "started": now,
        "updated": now,
        "ended_before": 0,
        "workers": 3,
        "retried": 1,
        "held": 400_000_000,
        "free": 2_500_000_000,
        "running": (running,),
    }
    return Heartbeat(**values | changes)


def record(ledger: Ledger, number: int, *positions: int, failed: bool = False, beat: Heartbeat | None = None) -> None:
    """Enter a batch of jobs of `FOUR`."""
    plan = Plan(FOUR)
    jobs = tuple(f"job{position}" for position in positions)
    metadata = BatchMetadata(
        batch=Batch(number=number, symbol=plan[positions[0]].symbol, positions=positions),
        jobs=jobs,
        metrics=np.full((len(jobs), len(METRICS)), np.nan).tobytes(),
        errors=dict.fromkeys(range(len(jobs)), "Boom") if failed else {},
        equity="",
    )
    receipt = Receipt(number=number, trades="", equity="", seconds=0.5, peak=100_000_000 + number)
    ledger.record(receipt, metadata, plan, beat)


@contextmanager
def owned(folder: RunFolder) -> Iterator[subprocess.Popen[str]]:
    """Let another process hold the folder and its ledger, until it is killed or gets a line."""
    line = [sys.executable, "-c", OWNER, str(folder.path.absolute())]
    root = Path(__file__).parents[1]
    with subprocess.Popen(line, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "told\n"
        try:
            yield owner
        finally:
            owner.kill()
