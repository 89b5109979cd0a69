"""Kill and stop workers at random moments, many times: no task may be lost, end twice or be waited for in vain.

`python -m benchmarks.kills 10000` takes about half an hour on two cores. Its tasks load nothing, so that most of the
time goes to starting workers; tests/chaos kills workers that run real batches.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:  # workers import this module again, and are to start quickly
    from options_bt.runner.execution.slots import Slots

SLOTS = 4
STOPPED_SHARE = 0.1
STUCK_SECONDS = 1.0
HANG_SECONDS = 60.0
DONE = "done"


class Small(NamedTuple):
    """What stands for a task."""

    number: int
    folder: Path


def run_small(task: Small) -> str:
    """Work for a moment, write a file, and answer about as much as a receipt has."""
    time.sleep(random.random() * 0.02)
    (task.folder / f"{task.number}.tmp").write_bytes(os.urandom(1 + task.number % 200_000))
    return DONE.ljust(400)


def kill_workers(slots: Slots, kills: int, counts: Counter[str]) -> None:
    """Kill or stop random workers, until so many were hit."""
    import psutil

    chance = random.Random(7)
    while counts["killed"] + counts["stopped"] < kills:
        time.sleep(chance.expovariate(6))
        with suppress(psutil.Error):
            worker = psutil.Process(chance.choice(slots.worker_ids))
            if chance.random() < STOPPED_SHARE:
                worker.suspend()
                threading.Timer(3 * STUCK_SECONDS, end, [worker]).start()
                counts["stopped"] += 1
            else:
                worker.kill()
                counts["killed"] += 1


def end(worker: Any) -> None:
    """Kill a worker that was stopped while it had no task, for which nobody would."""
    import psutil

    with suppress(psutil.Error):
        worker.kill()


def run_tasks(slots: Slots, folder: Path, killer: threading.Thread, counts: Counter[str]) -> int:
    """Run tasks for as long as workers are killed; return how many."""
    from options_bt.runner.execution.executor import Lost

    started: dict[int, float] = {}
    number, last, printed = 0, time.monotonic(), 0.0
    while started or killer.is_alive():
        while len(started) < slots.slots and killer.is_alive():
            task: Any = Small(number, folder)
            slots.submit(task)
            started[number] = time.monotonic()
            number += 1
        for event in slots.wait(0.2):
            last = time.monotonic()
            assert isinstance(event, Lost)  # as all are, since no answer here is a receipt
            ended, reason, _ = event
            del started[ended]  # a KeyError is a task that ended twice
            finished = reason.startswith(DONE)
            counts["finished" if finished else "lost"] += 1
            if finished:
                (folder / f"{ended}.tmp").rename(folder / f"{ended}")
            else:
                (folder / f"{ended}.tmp").unlink(missing_ok=True)
        for one in [one for one, at in started.items() if time.monotonic() - at > STUCK_SECONDS]:
            slots.kill(one)  # its worker was stopped
        if time.monotonic() - last > HANG_SECONDS:
            print(f"hangs with tasks {sorted(started)}; {dict(counts)}", flush=True)
            os._exit(1)
        if time.monotonic() - printed > 10:
            printed = time.monotonic()
            print(dict(counts), flush=True)
    return number


def main() -> int:
    """Run tasks while workers are killed; return 1 where anything is wrong."""
    import psutil

    from options_bt.runner.execution.slots import Slots

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", type=int)
    kills, counts = parser.parse_args().kills, Counter[str]()
    with TemporaryDirectory() as name:
        slots = Slots(SLOTS, run=run_small, load=os.getpid)  # type: ignore[arg-type]  # takes what stands for a task
        killer = threading.Thread(target=kill_workers, args=(slots, kills, counts), daemon=True)
        killer.start()
        tasks = run_tasks(slots, Path(name), killer, counts)
        slots.close()
        files = Counter(path.suffix for path in Path(name).iterdir())
    time.sleep(1)
    left = [child.pid for child in psutil.Process().children(recursive=True) if "spawn_main" in str(child.cmdline())]
    print(
        f"{counts['killed']} killed, {counts['stopped']} stopped; of {tasks} tasks {counts['finished']} finished and "
        f"{counts['lost']} were lost; {files['']} files, {files['.tmp']} temporary ones; {len(left)} processes left"
    )
    missing = tasks - counts["finished"] - counts["lost"]
    return int(missing > 0 or files[""] != counts["finished"] or files[".tmp"] > 0 or bool(left))


if __name__ == "__main__":
    sys.exit(main())
