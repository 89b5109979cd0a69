"""How time and memory are measured, and what a row of a table is."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import inf, nan
from pathlib import Path
from tempfile import TemporaryFile
from typing import Literal, NamedTuple

import numpy as np
import psutil

ROOT = Path(__file__).parents[1]
OPTIONS_BT = str(Path(sys.executable).parent / "options-bt")
SAMPLE_SECONDS = 0.02
FULL_SAMPLE_SECONDS = 0.3  # what a process shares is counted page by page
SHORT_SECONDS = 5.0
MB = 1_000_000


class Row(NamedTuple):
    """A row of a table: what was measured, how it stands to the row that is 1, and in seconds or bytes."""

    what: str
    ratio: str
    figure: str


class MemorySample(NamedTuple):
    """What a process and those below it held in memory at a moment, in bytes.

    Attributes
    ----------
    when : float
        Seconds since it began.
    own : int
        What the process itself held.
    whole : int
        What all of them held; what they share is divided among them. Zero where it was not measured.
    below : int
        What its worker processes had for themselves: without the files that they map, such as markets and libraries,
        which lie in memory once. Zero where it was not measured.
    """

    when: float
    own: int
    whole: int = 0
    below: int = 0


class Observed(NamedTuple):
    """What a command took."""

    seconds: float
    samples: tuple[MemorySample, ...]

    def peak(self, of: Literal["own", "whole", "below"] = "own", until: float = inf) -> int:
        """Return the most bytes of a kind, in all or until so many seconds."""
        return max((getattr(sample, of) for sample in self.samples if sample.when <= until), default=0)


def seconds(action: Callable[[], object], rounds: int = 5) -> float:
    """Return the shortest of several rounds."""
    best = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        action()
        best = min(best, time.perf_counter() - started)
    return best


def side_by_side(*actions: Callable[[], object], rounds: int = 15) -> list[float]:
    """Return the shortest of several rounds of each action, in seconds; the actions take turns."""
    times = [[seconds(action, 1) for action in actions] for _ in range(rounds)]
    return [min(column) for column in zip(*times, strict=True)]


def observed(command: Sequence[str], folder: Path) -> Observed:
    """Run a command with runs and cache below a folder, and sample its memory.

    Raises
    ------
    SystemExit
        With its output, when it fails.
    """
    places = {"OPTIONS_BT_RUNS": str(folder / "runs"), "OPTIONS_BT_CACHE": str(folder / "cache")}
    samples: list[MemorySample] = []
    sampled = 0.0
    with TemporaryFile() as said:
        started = time.perf_counter()
        process = psutil.Popen(command, cwd=ROOT, env=os.environ | places, stdout=said, stderr=said)
        while process.poll() is None:
            when = time.perf_counter() - started
            with suppress(psutil.Error):  # it has ended
                if when - sampled > FULL_SAMPLE_SECONDS:
                    sampled = when
                    samples.append(_full_sample(process, when))
                else:
                    samples.append(MemorySample(when, process.memory_info().rss))
            time.sleep(SAMPLE_SECONDS)
        took = time.perf_counter() - started
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{said.read().decode()}")
    return Observed(took, tuple(samples))


def _full_sample(process: psutil.Process, when: float) -> MemorySample:
    own, others = process.memory_full_info(), process.children(recursive=True)
    held = [(other.memory_full_info(), "spawn_main" in " ".join(other.cmdline())) for other in others]
    below = sum(each.rss - each.shared for each, is_worker in held if is_worker)
    return MemorySample(when, own.rss, own.pss + sum(each.pss for each, _ in held), below)


def run(job: Path, folder: Path, workers: int) -> tuple[Observed, float]:
    """Run a job file anew from the shell; return what that took, and the seconds until its results were written."""
    began = time.time()
    told = observed([OPTIONS_BT, "run", str(job), "--fresh", "-q", "--workers", str(workers)], folder)
    return told, (folder / "runs" / job.stem / "results.parquet").stat().st_mtime - began


def tenths(ledger: Path) -> tuple[float, float]:
    """Return the backtests a second of the first and of the last tenth of a run, by when its batches ended.

    NaN for a run of a few seconds. The first batch is not counted: the workers start before it.
    """
    with sqlite3.connect(ledger) as connection:
        batches = connection.execute("SELECT finished, jobs FROM batch ORDER BY finished").fetchall()
    ended, done = np.array([finished for finished, _ in batches]), np.cumsum([jobs for _, jobs in batches])
    first, last = np.searchsorted(done, (done[-1] / 10, 9 * done[-1] / 10))
    if ended[-1] - ended[0] < SHORT_SECONDS or not 0 < first <= last < len(done) - 1:
        return nan, nan
    at_first = (done[first] - done[0]) / (ended[first] - ended[0])
    return float(at_first), float((done[-1] - done[last]) / (ended[-1] - ended[last]))
