"""What a manifest of the cache says of one symbol, and the hashes that tell changed data from unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from hashlib import sha256

import numpy as np
import polars as pl
from msgspec import Struct


class CachedFile(Struct, frozen=True, kw_only=True):
    """One Parquet file of the cache.

    Attributes
    ----------
    rows, bytes : int
    sha256 : str
        Of the file.
    content : str
        Of the values alone, so that equal data has an equal fingerprint wherever it was pulled.
    """

    rows: int
    bytes: int
    sha256: str
    content: str


class Manifest(Struct, frozen=True, kw_only=True):
    """What the cache holds of one symbol.

    Attributes
    ----------
    label, version, revision : str
        Of the source it was pulled from.
    years : dict of int to CachedFile
        Whole calendar years of quotes; a covered year without quotes has 0 rows. Year 0 holds rows
        without a date.
    extras : dict of str to CachedFile
        Dividends and volatility, where the source has them.
    """

    symbol: str
    label: str
    version: str
    revision: str = ""
    years: dict[int, CachedFile]
    closes: CachedFile
    splits: CachedFile
    extras: dict[str, CachedFile] = {}

    def files(self) -> Iterator[tuple[str, CachedFile]]:
        """Yield each file's path below the source's folder, with its entry."""
        for year, file in sorted(self.years.items()):
            yield chain_path(self.symbol, year), file
        yield f"closes/{self.symbol}.parquet", self.closes
        yield f"splits/{self.symbol}.parquet", self.splits
        for name, file in sorted(self.extras.items()):
            yield f"{name}/{self.symbol}.parquet", file


class Rates(Struct, frozen=True, kw_only=True):
    """The yields of the treasury, which belong to no symbol."""

    version: str
    file: CachedFile

    def files(self) -> Iterator[tuple[str, CachedFile]]:
        """Yield the path below the source's folder, with its entry."""
        yield "rates.parquet", self.file


def chain_path(symbol: str, year: int) -> str:
    """Return where a year of quotes lies below the source's folder."""
    return f"chain/{symbol}/{year or 'undated'}.parquet"


def rewritten(old: pl.DataFrame, new: pl.DataFrame) -> list[date]:
    """Return the dates that have quotes in the old frame, and not the same ones in the new."""
    counted = [
        frame.select("date", row=frame.hash_rows()).group_by("date").agg(pl.len(), pl.col("row").sum())
        for frame in (old, new.select(old.columns))
    ]
    return counted[0].join(counted[1], on=["date", "len", "row"], how="anti")["date"].drop_nulls().sort().to_list()


def content_hash(frame: pl.DataFrame) -> str:
    """Return a hash of a frame's values in their order, whatever library wrote or reads them."""
    digest = sha256()
    for column in frame.get_columns():
        if column.dtype == pl.String:
            column = column.replace_strict({"put": 0, "call": 1}, default=-1, return_dtype=pl.Int8)
        elif column.dtype == pl.Date:
            column = column.cast(pl.Int32).fill_null(-(2**31))
        else:
            column = column.fill_null(np.nan)
        digest.update(f"{column.name}:{column.len()}".encode())
        digest.update(np.ascontiguousarray(column.to_numpy()).tobytes())
    return digest.hexdigest()
