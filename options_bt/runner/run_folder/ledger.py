"""The ledger: what became of each job of a run, in one SQLite file with one writer."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from options_bt.engine.metrics import METRICS
from options_bt.errors import RunFolderError, StorageError
from options_bt.job.planner import Plan
from options_bt.job.spec import JobSpec
from options_bt.runner.run_folder.heartbeat import Heartbeat, LedgerState
from options_bt.runner.run_folder.parts import BatchMetadata, Receipt

_SCHEMA = """
CREATE TABLE IF NOT EXISTS batch (
    number INTEGER PRIMARY KEY, symbol TEXT NOT NULL, jobs INTEGER NOT NULL, seconds REAL NOT NULL,
    finished REAL NOT NULL, peak INTEGER NOT NULL,
    trades TEXT NOT NULL, equity TEXT NOT NULL  -- SHA-256 of the parts; equity is empty where no tables are kept
);
CREATE TABLE IF NOT EXISTS heartbeat (one INTEGER PRIMARY KEY CHECK (one = 1), value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS job (
    position INTEGER PRIMARY KEY,  -- in the plan of run.json, which gives the spec
    id TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL, batch INTEGER,
    finished REAL NOT NULL, spec TEXT, error TEXT, metrics BLOB
);
"""
_KEPT = "job JOIN batch ON job.batch = batch.number AND job.state = 'done' AND batch.equity != ''"
_FORMAT = 4
CHUNK = 10_000
"""Jobs whose rows are in memory at once."""
_REBUILD = "`options-bt run` with its job file rebuilds it"
_CLOSE_SECONDS = 1.0


class Failure(NamedTuple):
    """A job that failed: its worker died, or it raised."""

    position: int
    job: str
    attempts: int
    spec: str
    error: str


class Part(NamedTuple):
    """A batch of the ledger with the SHA-256 of each of its files; `equity` is empty where no tables are kept."""

    number: int
    trades: str
    equity: str


class DamagedLedgerError(RunFolderError):
    """The file is not a whole ledger."""


class BusyLedgerError(RunFolderError):
    """Another process has locked the ledger for a moment."""


class Ledger:
    """The ledger of a run folder.

    A job is entered once it is done or failed; done means that what is kept of its trades and equity is on the disk.

    Parameters
    ----------
    path : Path
    read_only : bool
        To read while a run writes.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path, self._read_only = path, read_only
        try:
            if read_only:
                self._connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
            else:
                self._connection = sqlite3.connect(path)
                if not self._connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()[0]:
                    # Before WAL and at once, so that a reader finds an empty file or a whole ledger.
                    self._connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={_FORMAT}; COMMIT;")
                self._connection.execute("PRAGMA journal_mode=WAL")
                self._connection.execute("PRAGMA synchronous=FULL")  # a job that counts as done outlives a power cut
            self._connection.execute("SELECT COUNT(*) FROM job LIMIT 1").fetchone()
            (found,) = self._connection.execute("PRAGMA user_version").fetchone()
        except sqlite3.DatabaseError as error:
            raise self._fault(error) from None
        if found != _FORMAT:
            raise RunFolderError(f"{path} was written by another version of options-bt; use --fresh to start over")

    def close(self) -> None:
        """Close the file, and leave nothing beside it that a reader would need to write."""
        until = time.monotonic() + _CLOSE_SECONDS
        while not self._read_only and time.monotonic() < until:
            try:
                self._connection.execute("PRAGMA journal_mode=DELETE")
                break
            except sqlite3.OperationalError:  # another process is reading, for which SQLite does not wait here
                time.sleep(0.02)
        self._connection.close()

    def _fault(self, error: sqlite3.DatabaseError) -> RunFolderError:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return BusyLedgerError(f"{self._path} is locked by another process; try again in a moment")
        return DamagedLedgerError(f"{self._path}: {error}; {_REBUILD}")

    def done(self, size: int) -> NDArray[np.bool_]:
        """Return for each position of a plan of that size whether its job is in the ledger."""
        return self._mask(size, "job")

    def kept(self, size: int) -> NDArray[np.bool_]:
        """Return for each position of a plan of that size whether trades and equity of its job are on the disk."""
        return self._mask(size, _KEPT)

    def _mask(self, size: int, those: str) -> NDArray[np.bool_]:
        mask = np.zeros(size, bool)
        query = f"SELECT position FROM {those} WHERE position > ? ORDER BY position LIMIT ?"
        last = -1
        while rows := self._rows(query, last, CHUNK):
            last = rows[-1][0]
            mask[np.fromiter(chain.from_iterable(rows), np.int64, len(rows))] = True
        return mask

    def next_batch(self) -> int:
        """Return a batch number that was not used yet."""
        ((number,),) = self._rows("SELECT COALESCE(MAX(number), -1) + 1 FROM batch")
        return int(number)

    def is_whole(self) -> bool:
        """Return whether SQLite finds nothing wrong with the file."""
        try:
            return bool(self._connection.execute("PRAGMA quick_check").fetchone() == ("ok",))
        except sqlite3.DatabaseError:
            return False

    def batches(self) -> list[int]:
        """Return the numbers of the batches in the ledger."""
        return [part.number for part in self.parts()]

    def job_batches(self, jobs: Sequence[str] | None = None) -> list[tuple[str, str, int | None]]:
        """Return id, state and batch of these jobs or of all, in plan order; the batch is None without tables."""
        kept = "CASE WHEN state = 'done' AND equity != '' THEN number END"
        query = f"SELECT id, state, {kept} FROM job LEFT JOIN batch ON job.batch = batch.number"
        if jobs is None:
            return self._rows(f"{query} ORDER BY position")
        return self._rows(f"{query} WHERE id IN (SELECT value FROM json_each(?)) ORDER BY position", _listed(jobs))

    def metrics_of(self, jobs: Sequence[str]) -> list[tuple[int, str, bytes]]:
        """Return position, id and metrics of these jobs, in the order of the plan."""
        query = "SELECT position, id, metrics FROM job WHERE id IN (SELECT value FROM json_each(?)) ORDER BY position"
        return self._rows(query, _listed(jobs))

    def parts(self) -> list[Part]:
        """Return the batches in the ledger, with the checksums of their parts."""
        return [
            Part(*row) for row in self._connection.execute("SELECT number, trades, equity FROM batch ORDER BY number")
        ]

    def delete(self, batch: int) -> None:
        """Delete a batch and its jobs, so that they run again."""
        with self._connection:
            self._connection.execute("DELETE FROM job WHERE batch = ?", (batch,))
            self._connection.execute("DELETE FROM batch WHERE number = ?", (batch,))

    def delete_jobs(self, positions: Iterable[int]) -> None:
        """Delete these jobs, so that they run again."""
        with self._connection:
            self._connection.executemany("DELETE FROM job WHERE position = ?", ((position,) for position in positions))

    def delete_failed(self) -> int:
        """Delete the jobs that failed, so that they run again; return how many there were."""
        with self._connection:
            return self._connection.execute("DELETE FROM job WHERE state = 'failed'").rowcount

    def write_heartbeat(self, heartbeat: Heartbeat) -> None:
        """Write down how the run is going."""
        self._write([], None, heartbeat)

    def heartbeat(self) -> Heartbeat | None:
        """Return the last heartbeat; None before the first."""
        rows = self._rows("SELECT value FROM heartbeat")
        return msgspec.json.decode(rows[0][0], type=Heartbeat) if rows else None

    def state(self, per_symbol: int) -> LedgerState:
        """Return how the run is going at this moment, where the plan has `per_symbol` jobs of each symbol.

        Raises
        ------
        RunFolderError
            When the file cannot be read.
        """
        query = "SELECT position / ?, SUM(state = 'done'), SUM(state = 'failed') FROM job GROUP BY 1"
        with self._connection:
            self._connection.execute("BEGIN")
            symbols = {index: (done, failed) for index, done, failed in self._rows(query, per_symbol)}
            ((peak, last),) = self._rows("SELECT COALESCE(MAX(peak), 0), COALESCE(MAX(finished), 0) FROM batch")
            heartbeat, ended = self.heartbeat(), {number for (number,) in self._rows("SELECT number FROM batch")}
        if heartbeat is not None:
            running = tuple(batch for batch in heartbeat.running if batch.number not in ended)
            heartbeat = structs.replace(heartbeat, running=running)
        return LedgerState(heartbeat, symbols, int(peak), float(last))

    def record(self, receipt: Receipt, metadata: BatchMetadata, plan: Plan, heartbeat: Heartbeat | None = None) -> None:
        """Enter the jobs of a finished batch, whose parts have to be on the disk, and how the run is going.

        Raises
        ------
        StorageError
            When the disk refuses; then none of them is entered.
        """
        now = time.time()
        width = 8 * len(METRICS)
        batch, errors = metadata.batch, metadata.errors
        rows = [
            (
                position,
                job,
                "failed" if index in errors else "done",
                batch.attempt,
                batch.number,
                now,
                msgspec.json.encode(plan[position]).decode() if index in errors else None,
                errors.get(index),
                metadata.metrics[index * width : (index + 1) * width],
            )
            for index, (position, job) in enumerate(zip(batch.positions, metadata.jobs, strict=True))
        ]
        measured = receipt.seconds, now, receipt.peak
        parts = receipt.trades, receipt.equity
        self._write(rows, (batch.number, batch.symbol, len(rows), *measured, *parts), heartbeat)

    def quarantine(self, position: int, job: str, spec: JobSpec, attempts: int, reason: str) -> None:
        """Enter a job whose worker died too often as failed."""
        encoded = msgspec.json.encode(spec).decode()
        nothing = np.full(len(METRICS), np.nan).tobytes()
        self._write([(position, job, "failed", attempts, None, time.time(), encoded, reason, nothing)], None)

    def _write(
        self, jobs: Sequence[tuple[object, ...]], batch: tuple[object, ...] | None, heartbeat: Heartbeat | None = None
    ) -> None:
        try:
            with self._connection:
                if batch is not None:
                    self._connection.execute("INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?, ?, ?)", batch)
                if heartbeat is not None:
                    encoded = msgspec.json.encode(heartbeat).decode()
                    self._connection.execute("INSERT OR REPLACE INTO heartbeat VALUES (1, ?)", (encoded,))
                self._connection.executemany("INSERT INTO job VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", jobs)
        except sqlite3.OperationalError as error:
            raise StorageError(f"{self._path}: {error}; free some space, then run the same command to resume") from None

    def failures(self, first: int | None = None) -> list[Failure]:
        """Return the jobs that failed, or the first so many, in plan order."""
        query = "SELECT position, id, attempts, spec, error FROM job WHERE state = 'failed' ORDER BY position LIMIT ?"
        return [Failure(*row) for row in self._rows(query, -1 if first is None else first)]

    def counts(self) -> tuple[int, int]:
        """Return how many jobs are done and how many failed."""
        query = "SELECT COALESCE(SUM(state = 'done'), 0), COALESCE(SUM(state = 'failed'), 0) FROM job"
        ((done, failed),) = self._rows(query)
        return int(done), int(failed)

    def rows(self) -> Iterator[tuple[list[int], list[str], list[str], NDArray[np.float64]]]:
        """Yield the entered jobs in the order of the plan, in chunks: positions, ids, states, metrics."""
        query = "SELECT position, id, state, metrics FROM job WHERE position > ? ORDER BY position LIMIT ?"
        last = -1
        while chunk := self._rows(query, last, CHUNK):
            positions, ids, states, blobs = zip(*chunk, strict=True)
            last = positions[-1]
            metrics = np.frombuffer(b"".join(blobs)).reshape(len(chunk), len(METRICS))
            yield list(positions), list(ids), list(states), metrics

    def _rows(self, query: str, *parameters: object) -> list[Any]:
        try:
            return self._connection.execute(query, parameters).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._fault(error) from None


def _listed(jobs: Sequence[str]) -> str:
    return msgspec.json.encode(list(jobs)).decode()
