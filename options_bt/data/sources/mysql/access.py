"""How rows are read from a server's tables: by look-ups for a few symbols, by a scan of the table for many.

A table's key begins with the date. For a range of dates together with a symbol, Dolt reads every symbol of the range;
so a symbol's rows are looked up day by day. When most symbols are needed, all rows of a month are streamed into a
Parquet file instead, and read back by symbol. The measurements are in docs/data.md.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import polars as pl

from options_bt.data.sources.mysql.server import Server
from options_bt.data.sources.schemas import SYMBOL, Schema
from options_bt.data.sources.source import ReadProgress
from options_bt.storage import new_file

LOOKUP_ROWS = 25
"""How many rows of a scan take as long as the look-ups of a symbol on a quote day and the empty days around it."""

_SORTED_ROWS = 500_000
_GROUP_ROWS = 8_192


class Table(NamedTuple):
    """A table keyed by date and symbol, and the columns that are read from it."""

    database: str
    name: str
    schema: Schema


class DateRange(NamedTuple):
    """Calendar days, both ends included."""

    first: date
    last: date

    def within(self, year: int) -> DateRange:
        """Return the part that lies in a year; it may be empty."""
        return DateRange(max(self.first, date(year, 1, 1)), min(self.last, date(year, 12, 31)))

    def years(self) -> range:
        """Return the calendar years."""
        return range(self.first.year, self.last.year + 1)

    def months(self) -> Iterator[DateRange]:
        """Yield the range month by month."""
        day = self.first
        while day <= self.last:
            end = min(self.last, day.replace(day=monthrange(day.year, day.month)[1]))
            yield DateRange(day, end)
            day = end + timedelta(1)

    def dates(self) -> Iterator[date]:
        """Return an iterator over the days."""
        return (self.first + timedelta(number) for number in range((self.last - self.first).days + 1))


def rows_on(server: Server, table: Table, symbol: str, dates: Iterable[date]) -> pl.DataFrame:
    """Return the rows of a symbol on these dates, by a point look-up for each."""
    condition = date_condition(dates)
    if not condition:
        return pl.DataFrame(schema=table.schema)
    where = f"{condition} AND act_symbol = %s"
    return server.frame(table.database, table.name, table.schema, where, symbol)


def date_condition(dates: Iterable[date]) -> str:
    """Return the condition that Dolt and MySQL answer with one look-up per date; empty without dates."""
    listed = ", ".join(f"'{day}'" for day in dates)
    return f"date IN ({listed})" if listed else ""


def scan_is_faster(symbols: int, rows_of_a_day: int, symbols_of_a_day: int) -> bool:
    """Return whether reading all rows of a day takes less time than looking up this many symbols."""
    rows_of_a_symbol = rows_of_a_day / max(symbols_of_a_day, 1)
    return symbols * (LOOKUP_ROWS + rows_of_a_symbol) > rows_of_a_day


class Scan:
    """Months of a table with the rows of all symbols, in a folder of Parquet files.

    Parameters
    ----------
    server : Server
    table : Table
    folder : Path
        One file a month; a file that exists is complete and is not read again.
    """

    def __init__(self, server: Server, table: Table, folder: Path) -> None:
        self._server, self._table, self._folder = server, table, folder
        self._schema = {**SYMBOL, **table.schema}
        self._months: dict[int, list[Path]] = {}

    def read_year(self, year: int, days: DateRange, progress: ReadProgress) -> None:
        """Stream the rows of a year into the folder, with no more than half a million of them in memory.

        Parameters
        ----------
        year : int
        days : DateRange
            The days of the year that the table has.
        progress : callable
            Called with the share of the year and the number of rows that were read.

        Raises
        ------
        StorageError
            When the folder cannot be written.
        """
        months = list(days.months())
        paths = [self._folder / f"{month.first:%Y-%m}.parquet" for month in months]
        for month, path in zip(months, paths, strict=True):
            if not path.exists():
                # From its first row again after a lost connection: a stream cannot be resumed.
                self._server.retried(lambda month=month, path=path: self._write(path, month, progress))  # type: ignore[misc]  # a lambda's default has no type
            progress(1 / len(months), 0)
        self._months[year] = paths

    def _write(self, path: Path, month: DateRange, progress: ReadProgress) -> None:
        # Not at the top: it imports ssl, after which the connector's C extension may not load.
        import pyarrow.parquet as pq

        empty = pl.DataFrame(schema=self._schema)
        with new_file(path) as temporary, pq.ParquetWriter(temporary, empty.to_arrow().schema) as writer:
            condition = date_condition(month.dates())
            for rows in _merged(self._server.frames(self._table.database, self._table.name, self._schema, condition)):
                writer.write_table(rows.sort("act_symbol", maintain_order=True).to_arrow(), row_group_size=_GROUP_ROWS)
                progress(0, rows.height)

    def has(self, year: int) -> bool:
        """Return whether a year was read."""
        return year in self._months

    def rows(self, symbol: str, year: int) -> pl.DataFrame:
        """Return the rows of a symbol in a year that was read, in the order of the table."""
        if not self._months[year]:
            return pl.DataFrame(schema=self._table.schema)
        months = pl.scan_parquet(self._months[year], glob=False)
        return months.filter(pl.col("act_symbol") == symbol).select(*self._table.schema).collect()


def _merged(frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Yield the frames merged to half a million rows each, so that a symbol's rows lie in few places."""
    parts: list[pl.DataFrame] = []
    for frame in frames:
        parts.append(frame)
        if sum(part.height for part in parts) >= _SORTED_ROWS:
            yield pl.concat(parts)
            parts = []
    if parts:
        yield pl.concat(parts)
