"""The manifest of a cached symbol, and the hashes that tell changed data from unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from hashlib import sha256

import numpy as np
import polars as pl
from msgspec import Struct, field


class CachedFile(Struct, frozen=True, kw_only=True):
    """One Parquet file of the cache.

    Attributes
    ----------
    rows, bytes : int
    sha256 : str
        Checksum of the file.
    content : str
        Hash of the values alone, so that equal data has an equal fingerprint wherever it was pulled.
    """

    rows: int
    bytes: int
    sha256: str
    content: str


class Manifest(Struct, frozen=True, kw_only=True):
    """The cached files of one symbol.

    Attributes
    ----------
    label, version, revision : str
        Of the source it was pulled from.
    years : dict of int to CachedFile
        Whole calendar years of quotes; a covered year without quotes has 0 rows. Year 0 holds rows
        without a date.
    optional_tables : dict of str to CachedFile
        Dividends and volatility, where the source has them; ``extras`` in the file.
    """

    symbol: str
    label: str
    version: str
    revision: str = ""
    years: dict[int, CachedFile]
    closes: CachedFile
    splits: CachedFile
    optional_tables: dict[str, CachedFile] = field(default_factory=dict, name="extras")

    def files(self) -> Iterator[tuple[str, CachedFile]]:
        """Yield each file's path below the source's folder, with its entry."""
        for year, file in sorted(self.years.items()):
            yield chain_path(self.symbol, year), file
        yield from self.table_files()

    def table_files(self) -> Iterator[tuple[str, CachedFile]]:
        """Yield those of the files that do not hold quotes: ``<table>/<SYMBOL>.parquet``."""
        tables = [("closes", self.closes), ("splits", self.splits), *sorted(self.optional_tables.items())]
        return ((table_path(name, self.symbol), file) for name, file in tables)


class Rates(Struct, frozen=True, kw_only=True):
    """US treasury yields, which belong to no symbol."""

    version: str
    file: CachedFile

    def files(self) -> Iterator[tuple[str, CachedFile]]:
        """Yield the path below the source's folder, with its entry."""
        yield "rates.parquet", self.file


def chain_path(symbol: str, year: int) -> str:
    """Return where a year of quotes lies below the source's folder."""
    return f"chain/{symbol}/{year or 'undated'}.parquet"


def table_path(table: str, symbol: str) -> str:
    """Return where a symbol's table lies below the source's folder."""
    return f"{table}/{symbol}.parquet"


def rewritten(old: pl.DataFrame, new: pl.DataFrame) -> list[date]:
    """Return the dates whose quotes in the old frame are not the same in the new one, sorted."""
    counted = [
        frame.select("date", row=frame.hash_rows()).group_by("date").agg(pl.len(), pl.col("row").sum())
        for frame in (old, new.select(old.columns))
    ]
    return counted[0].join(counted[1], on=["date", "len", "row"], how="anti")["date"].drop_nulls().sort().to_list()


def content_hash(frame: pl.DataFrame) -> str:
    """Return a hash of a frame's values in their order, whatever library wrote them."""
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
