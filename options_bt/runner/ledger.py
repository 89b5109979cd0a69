"""The ledger: what became of each job of a run, in one SQLite file with one writer."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from options_bt.engine.metrics import METRICS
from options_bt.errors import RunFolderError, StorageError
from options_bt.job.spec import JobSpec
from options_bt.runner.batch import Batch, Result

_SCHEMA = """
CREATE TABLE IF NOT EXISTS batch (
    number INTEGER PRIMARY KEY, symbol TEXT NOT NULL, jobs INTEGER NOT NULL,
    seconds REAL NOT NULL, finished REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS job (
    position INTEGER PRIMARY KEY,  -- in the plan of run.json, which gives the spec
    id TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL, batch INTEGER,
    finished REAL NOT NULL, spec TEXT, error TEXT, metrics BLOB
);
"""
_CHUNK = 50_000


class Failure(NamedTuple):
    """A job that failed: its worker died, or it raised."""

    position: int
    job: str
    attempts: int
    spec: str
    error: str


class Ledger:
    """The ledger of a run folder.

    A job stands in it once it is done or failed; done means that its trades and equity are on the disk.

    Parameters
    ----------
    path : Path
    read_only : bool
        For looking on while a run writes.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        try:
            if read_only:
                self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
            else:
                self._connection = sqlite3.connect(path)
                self._connection.execute("PRAGMA journal_mode=WAL")
                self._connection.executescript(_SCHEMA)
            self._connection.execute("SELECT COUNT(*) FROM job LIMIT 1").fetchone()
        except sqlite3.Error as error:
            raise RunFolderError(f"{path}: {error}") from None

    def close(self) -> None:
        """Close the file, and leave nothing beside it that a reader would need to write."""
        with suppress(sqlite3.OperationalError):  # somebody else looks on
            self._connection.execute("PRAGMA journal_mode=DELETE")
        self._connection.close()

    def done(self, size: int) -> NDArray[np.bool_]:
        """Tell for each position of a plan of that size whether its job stands in the ledger."""
        mask = np.zeros(size, bool)
        for (position,) in self._connection.execute("SELECT position FROM job"):
            mask[position] = True
        return mask

    def next_batch(self) -> int:
        """Give a batch number that was not used yet."""
        return int(self._connection.execute("SELECT COALESCE(MAX(number), -1) + 1 FROM batch").fetchone()[0])

    def batches(self) -> list[int]:
        """Give the numbers of the batches whose parts count."""
        return [number for (number,) in self._connection.execute("SELECT number FROM batch ORDER BY number")]

    def record(self, batch: Batch, result: Result, jobs: Iterable[tuple[str, JobSpec]]) -> None:
        """Enter the jobs of a finished batch; its parts have to be on the disk.

        Raises
        ------
        StorageError
            When the disk refuses; then none of them is entered.
        """
        now = time.time()
        width = 8 * len(METRICS)
        rows = [
            (
                position,
                job,
                "failed" if index in result.errors else "done",
                batch.attempt,
                batch.number,
                now,
                msgspec.json.encode(spec).decode() if index in result.errors else None,
                result.errors.get(index),
                result.metrics[index * width : (index + 1) * width],
            )
            for index, (position, (job, spec)) in enumerate(zip(batch.positions, jobs, strict=True))
        ]
        self._write(rows, (batch.number, batch.symbol, len(rows), result.seconds, now))

    def quarantine(self, position: int, job: str, spec: JobSpec, attempts: int, reason: str) -> None:
        """Enter a job whose worker died too often."""
        encoded = msgspec.json.encode(spec).decode()
        nothing = np.full(len(METRICS), np.nan).tobytes()
        self._write([(position, job, "failed", attempts, None, time.time(), encoded, reason, nothing)], None)

    def _write(self, jobs: Sequence[tuple[object, ...]], batch: tuple[object, ...] | None) -> None:
        try:
            with self._connection:
                if batch is not None:
                    self._connection.execute("INSERT INTO batch VALUES (?, ?, ?, ?, ?)", batch)
                self._connection.executemany("INSERT INTO job VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", jobs)
        except sqlite3.OperationalError as error:
            raise StorageError(f"{self._path}: {error}; free some space, then run again to go on") from None

    def failures(self) -> list[Failure]:
        """Give the jobs that failed, in the order of the plan."""
        query = "SELECT position, id, attempts, spec, error FROM job WHERE state = 'failed' ORDER BY position"
        return [Failure(*row) for row in self._connection.execute(query)]

    def counts(self) -> tuple[int, int]:
        """Give how many jobs are done and how many failed."""
        query = "SELECT COALESCE(SUM(state = 'done'), 0), COALESCE(SUM(state = 'failed'), 0) FROM job"
        done, failed = self._connection.execute(query).fetchone()
        return int(done), int(failed)

    def seconds(self) -> float:
        """Give the time that workers spent on batches."""
        return float(self._connection.execute("SELECT COALESCE(SUM(seconds), 0) FROM batch").fetchone()[0])

    def rows(self) -> Iterator[tuple[list[int], list[str], list[str], NDArray[np.float64]]]:
        """Give the entered jobs in the order of the plan, in chunks: positions, ids, states, metrics."""
        query = "SELECT position, id, state, metrics FROM job WHERE position > ? ORDER BY position LIMIT ?"
        last = -1
        while chunk := self._connection.execute(query, (last, _CHUNK)).fetchall():
            positions, ids, states, blobs = zip(*chunk, strict=True)
            last = positions[-1]
            metrics = np.frombuffer(b"".join(blobs)).reshape(len(chunk), len(METRICS))
            yield list(positions), list(ids), list(states), metrics
