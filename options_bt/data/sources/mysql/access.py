"""How rows of a server's tables are read: by look-ups for a few symbols, by one scan of the table for many.

A table's key begins with the date. A range of dates together with a symbol makes Dolt read every symbol of the range,
so that a symbol's rows are looked up day by day; when most symbols are wanted, all rows of a month are streamed into a
Parquet file instead, and read back by symbol. Measured in docs/data.md.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import polars as pl

from options_bt.data.sources.mysql.server import Server
from options_bt.data.sources.tables import Schema
from options_bt.storage import new_file

LOOKUP_ROWS = 25
"""How many rows of a scan take as long as the look-ups of a symbol on a quote day and the empty days around it."""

_SORTED_ROWS = 500_000
_GROUP_ROWS = 8_192
_SYMBOL: Schema = {"act_symbol": pl.String}


class Table(NamedTuple):
    """A table that is keyed by date and symbol, and the columns that are read of it."""

    database: str
    name: str
    schema: Schema


class Days(NamedTuple):
    """Calendar days, both ends included."""

    first: date
    last: date

    def of(self, year: int) -> Days:
        """Return the part of them that lies in a year; it may be empty."""
        return Days(max(self.first, date(year, 1, 1)), min(self.last, date(year, 12, 31)))

    def months(self) -> Iterator[Days]:
        """Yield them month by month."""
        day = self.first
        while day <= self.last:
            end = min(self.last, day.replace(day=monthrange(day.year, day.month)[1]))
            yield Days(day, end)
            day = end + timedelta(1)

    def each(self) -> Iterator[date]:
        """Return every day."""
        return (self.first + timedelta(number) for number in range((self.last - self.first).days + 1))


def looked_up(server: Server, table: Table, symbol: str, days: Iterable[date]) -> pl.DataFrame:
    """Return the rows of a symbol on these days, by a point look-up for each."""
    listed = on(days)
    if not listed:
        return pl.DataFrame(schema=table.schema)
    where = f"{listed} AND act_symbol = %s"
    return server.frame(table.database, table.name, table.schema, where, symbol)


def on(days: Iterable[date]) -> str:
    """Return the condition that Dolt and MySQL answer with one look-up per day; empty without days."""
    listed = ", ".join(f"'{day}'" for day in days)
    return f"date IN ({listed})" if listed else ""


def scan_is_quicker(symbols: int, rows_of_a_day: int, symbols_of_a_day: int) -> bool:
    """Return whether reading all rows of a day takes less than looking up so many symbols."""
    each = rows_of_a_day / max(symbols_of_a_day, 1)
    return symbols * (LOOKUP_ROWS + each) > rows_of_a_day


class Scan:
    """Months of a table with the rows of all symbols, in a folder of Parquet files.

    Parameters
    ----------
    server : Server
    table : Table
    folder : Path
        A file a month; one that is there is whole and is not read again.
    """

    def __init__(self, server: Server, table: Table, folder: Path) -> None:
        self._server, self._table, self._folder = server, table, folder
        self._schema = {**_SYMBOL, **table.schema}
        self._months: dict[int, list[Path]] = {}

    def gather(self, year: int, days: Days, read: Callable[[float, int], None]) -> None:
        """Stream the rows of a year into the folder, with no more than half a million of them in memory.

        Parameters
        ----------
        days : Days
            Those of the year that the table has.
        read : callable
            Told the share of the year and the number of rows after each frame that was read.

        Raises
        ------
        StorageError
            When the disk refuses.
        """
        months = list(days.months())
        paths = [self._folder / f"{month.first:%Y-%m}.parquet" for month in months]
        for month, path in zip(months, paths, strict=True):
            if not path.exists():
                # Read anew from its first row, since a stream that broke cannot be gone on with.
                self._server.retried(lambda month=month, path=path: self._write(path, month, read))  # type: ignore[misc]  # a lambda's default has no type
            read(1 / len(months), 0)
        self._months[year] = paths

    def _write(self, path: Path, month: Days, read: Callable[[float, int], None]) -> None:
        # Not above: it brings in ssl, and after that the connector's C extension may not load.
        import pyarrow.parquet as pq

        empty = pl.DataFrame(schema=self._schema)
        with new_file(path) as temporary, pq.ParquetWriter(temporary, empty.to_arrow().schema) as writer:
            frames = self._server.frames(self._table.database, self._table.name, self._schema, on(month.each()))
            for rows in _joined(frames):
                writer.write_table(rows.sort("act_symbol", maintain_order=True).to_arrow(), row_group_size=_GROUP_ROWS)
                read(0, rows.height)

    def holds(self, year: int) -> bool:
        """Return whether a year was gathered."""
        return year in self._months

    def rows(self, symbol: str, year: int) -> pl.DataFrame:
        """Return the rows of a symbol in a year that was gathered, in the order of the table."""
        if not self._months[year]:
            return pl.DataFrame(schema=self._table.schema)
        months = pl.scan_parquet(self._months[year], glob=False)
        return months.filter(pl.col("act_symbol") == symbol).select(*self._table.schema).collect()


def _joined(frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Yield the frames put together to half a million rows each, so that a symbol's rows lie in few places."""
    held: list[pl.DataFrame] = []
    for frame in frames:
        held.append(frame)
        if sum(part.height for part in held) >= _SORTED_ROWS:
            yield pl.concat(held)
            held = []
    if held:
        yield pl.concat(held)


def years_wanted(wanted: Iterable[Sequence[int]]) -> dict[int, int]:
    """Return by how many symbols each year is wanted."""
    counts: dict[int, int] = {}
    for years in wanted:
        for year in years:
            counts[year] = counts.get(year, 0) + 1
    return dict(sorted(counts.items()))
