"""The parts of a run folder: per batch a Parquet file of trades, which also tells of the batch, and one of equity.

A worker writes them under temporary names and answers with a receipt; the coordinator gives them their names.
"""

from __future__ import annotations

import io
import os
from hashlib import sha256
from pathlib import Path
from typing import Literal, get_args

import msgspec
import polars as pl
from msgspec import Struct

from options_bt.storage import storage_errors

Table = Literal["trades", "equity"]
TABLES: tuple[Table, ...] = get_args(Table)

_METADATA = "options_bt"


class Batch(Struct, frozen=True, kw_only=True):
    """Jobs of one symbol that one worker runs together.

    Attributes
    ----------
    number : int
        Unique within a run, also across resumes.
    positions : tuple of int
        Of the jobs in the plan.
    attempt : int
        Above 1 for a single job whose worker died before.
    """

    number: int
    symbol: str
    positions: tuple[int, ...]
    attempt: int = 1


class BatchMetadata(Struct, frozen=True, kw_only=True):
    """What the trades file of a batch tells of the batch: enough to enter it into a ledger.

    Attributes
    ----------
    jobs : tuple of str
        The ids of the batch's jobs.
    metrics : bytes
        A float64 matrix, one row a job, by `engine.metrics.METRICS`; all NaN for a job that failed.
    errors : dict of int to str
        Index of each failed job in the batch, with its traceback.
    equity : str
        SHA-256 of the equity file; empty where the batch keeps none.
    """

    batch: Batch
    jobs: tuple[str, ...]
    metrics: bytes
    errors: dict[int, str]
    equity: str


class Receipt(Struct, frozen=True, kw_only=True):
    """What a worker answers when the parts of a batch are on the disk: small, however large the batch.

    Attributes
    ----------
    trades, equity : str
        SHA-256 of the files; `equity` is empty where the batch keeps none.
    seconds : float
        What the batch took.
    peak : int
        The most memory that the worker held during the batch, in bytes.
    """

    number: int
    trades: str
    equity: str
    seconds: float
    peak: int = 0


def part_path(folder: Path, table: Table, number: int) -> Path:
    """Return where the trades or the equity of a batch lie in a run folder."""
    return folder / table / f"part-{number:08d}.parquet"


def checksum(part: bytes) -> str:
    """Return the SHA-256 of a part; an empty string for one that is not kept."""
    return sha256(part).hexdigest() if part else ""


def trades_part(trades: pl.DataFrame, metadata: BatchMetadata) -> bytes:
    """Return the trades of a batch as a Parquet file that holds the batch's metadata too."""
    return _parquet(trades, {_METADATA: msgspec.json.encode(metadata).decode()})


def equity_part(equity: pl.DataFrame) -> bytes:
    """Return the equity of a batch as a Parquet file."""
    return _parquet(equity, {})


def _parquet(table: pl.DataFrame, metadata: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd", metadata=metadata)
    return buffer.getvalue()


def batch_metadata(trades: Path | bytes) -> BatchMetadata:
    """Return what a trades file tells of its batch.

    Raises
    ------
    ValueError
        When it is not such a file.
    """
    source = io.BytesIO(trades) if isinstance(trades, bytes) else trades
    try:
        return msgspec.json.decode(pl.read_parquet_metadata(source)[_METADATA], type=BatchMetadata)
    except (pl.exceptions.PolarsError, KeyError, msgspec.MsgspecError) as error:
        raise ValueError(str(error)) from None


def store_parts(folder: Path, number: int, trades: bytes, equity: bytes) -> None:
    """Write the parts of a batch under temporary names, through to the disk.

    Raises
    ------
    StorageError
        When the disk refuses.
    """
    for table, part in zip(TABLES, (trades, equity), strict=True):
        if part:
            _write(_temporary(folder, table, number), part)


def _write(path: Path, part: bytes) -> None:
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(part)
            file.flush()
            os.fsync(file.fileno())


def accept_parts(folder: Path, receipt: Receipt) -> None:
    """Give the parts of a batch their names.

    Raises
    ------
    StorageError
        When the disk refuses.
    """
    for table in TABLES:
        if getattr(receipt, table):
            path = part_path(folder, table, receipt.number)
            with storage_errors(path):
                _temporary(folder, table, receipt.number).replace(path)


def discard_parts(folder: Path, number: int) -> None:
    """Delete what a worker that was lost has written of a batch."""
    for table in TABLES:
        _temporary(folder, table, number).unlink(missing_ok=True)


def _temporary(folder: Path, table: Table, number: int) -> Path:
    path = part_path(folder, table, number)
    return path.with_name(f".{path.name}.tmp")
