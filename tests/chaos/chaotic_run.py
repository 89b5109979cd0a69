"""A run whose workers misbehave: `FAULTS=FOLDER python chaotic_run.py JOBFILE RUNS CACHE`.

Worker processes import this script again, so that both sides are patched. FAULTS is a folder with an empty file for
each fault, named `<job>.<fault>`; a worker that takes a fault renames its file first, so that each happens once.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numba
import psutil

from options_bt.engine.backtest import Outcome, run_backtest
from options_bt.job.load import load_job
from options_bt.job.spec import JobSpec
from options_bt.runner import coordinator
from options_bt.runner.execution import batch
from options_bt.runner.logs import log_to_console
from options_bt.runner.run import run_job

FAULTS = Path(os.environ.get("FAULTS", ""))
BUDGET, FLOOR = 1_600_000_000, 400_000_000
"""Bytes that the run may take as far as it can tell, and how many of them are to stay free."""


def _endless() -> int:
    number = 1
    while number:
        number = (number * 5 + 1) % 1_000_003 + 1
    return number


_stuck: Any = numba.njit(_endless)


def _misbehave(fault: str) -> None:
    match fault:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "segv":
            signal.signal(signal.SIGSEGV, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGSEGV)
        case "exit":
            os._exit(3)
        case "hang":
            _stuck()
        case "eat":
            eaten: list[bytes] = []
            while len(eaten) < 100:
                eaten.append(os.urandom(1) * 20_000_000)
            time.sleep(600)


def _chaotic(spec: JobSpec, market: Any) -> Outcome:
    for path in FAULTS.glob(f"{spec.id(market.fingerprint)}.*"):
        fault = path.suffix.removeprefix(".")
        try:
            path.rename(FAULTS / f"taken-{path.name}")
        except FileNotFoundError:  # another worker was quicker
            continue
        _misbehave(fault)
    return run_backtest(spec, market)


def _free() -> int:
    held = 0
    for process in psutil.Process().children(recursive=True):
        try:
            held += process.memory_info().rss
        except psutil.Error:
            continue
    return BUDGET - held


if "FAULTS" in os.environ:
    for room, name, patched in (
        (batch, "run_backtest", _chaotic),
        (coordinator, "free_memory", _free),
        (coordinator, "memory_floor", lambda: FLOOR),
    ):
        setattr(room, name, patched)

if __name__ == "__main__":
    log_to_console(0)
    job = load_job(Path(sys.argv[1]))
    sys.exit(run_job(job, runs=Path(sys.argv[2]), cache=Path(sys.argv[3]), workers=2, shown=False).exit_code)
