"""The `mysql://` source: DoltHub's option chains, served by a Dolt SQL server or any MySQL server.

A symbol's year is read as one point look-up per calendar day: the primary key begins with the date, and a range of
dates together with a symbol would make Dolt read every symbol of the range. Rows come as one text column that polars
parses, since Decimal objects cost many times as much.
"""

from __future__ import annotations

import logging
import re
from calendar import isleap
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from functools import cached_property

import polars as pl

from options_bt.data.mysql import AbsentError, parsed
from options_bt.data.tables import CHAIN, CHAIN_GREEKS, CLOSES, SPLITS, WITHOUT, Schema, as_chain
from options_bt.errors import SourceError, nearest

logger = logging.getLogger(__name__)

_SAMPLED_DATES = 40

_TEXTS = r"(var)?char|(tiny|medium|long)?text|enum"
_TYPES = {
    pl.Date: rf"date|datetime|timestamp|{_TEXTS}",
    pl.Float64: rf"(tiny|small|medium|big)?int|decimal|float|double|{_TEXTS}",
    pl.String: _TEXTS,
}
"""The types of a server's columns that can be read as ours."""


class DoltSource:
    """Quotes from `option_chain` of one database, closes and splits from `ohlcv` and `split` of another.

    Nothing is connected to before the first question.

    Parameters
    ----------
    text : str
        ``mysql://user[:password]@host[:port][?options=NAME&stocks=NAME]``; user and password percent-encoded,
        the password from the environment variable MYSQL_PWD or from ~/.my.cnf where it is not given, the port
        3306, the databases ``options`` and ``stocks``. ``as_of=REVISION`` and ``stocks_as_of=REVISION`` read a
        commit, branch or tag of a Dolt database.

    Raises
    ------
    SourceError
        When the text is not of that form. Every method raises it too, when there is no such server, user,
        database or table, or a column is missing.
    """

    def __init__(self, text: str) -> None:
        self._server, self._options, self._stocks = parsed(text)
        place = f"{self._server.host.replace(':', '_')}-{self._server.port}"
        other = "" if self._stocks == "stocks" else f"+{self._stocks}"
        # A revision of a database has a folder of its own in the cache.
        self.name = f"mysql-{place}-{self._options}{other}".replace("/", "@")
        self.label = f"database {self._options} at {self._server.place}"
        self._absent: set[str] = set()

    @cached_property
    def version(self) -> str:
        """The hashes of the tables on a Dolt server; elsewhere ``unversioned-`` and the last quote date.

        A server that is not Dolt shows new dates, but not that old rows were changed.
        """
        self._server.columns(self._options, "option_chain")
        if not self._server.is_dolt(self._options):
            extent = self.extent()
            return f"unversioned-{extent[1] if extent else 'empty'}"
        tables = [(self._options, "option_chain")]
        tables += [(self._stocks, table) for table in ("ohlcv", "split") if self._stocks_columns(table) is not None]
        return "-".join(
            self._server.query(place, "SELECT dolt_hashof_table(%s)", table)[0][0] for place, table in tables
        )

    def symbols(self) -> list[str]:
        """Give the symbols of the last quote date and of 40 dates spread evenly over all of them, sorted.

        Every date would take minutes. A symbol with quotes only between two of these dates, about two months
        apart in DoltHub's data, is not among them. Of the 40 dates `volatility_history` is asked where there is
        one, since it has a row where `option_chain` has a hundred.
        """
        return self._symbols

    def extent(self) -> tuple[date, date] | None:
        """Give the first and last quote date, from the two ends of the primary key."""
        return self._extent(self._options, "option_chain")

    def chain(self, symbol: str, years: Sequence[int]) -> Iterator[tuple[int, pl.DataFrame]]:
        """Give the quotes of a symbol by year; none without a date, which is part of the primary key."""
        columns = self._server.columns(self._options, "option_chain")
        _require(columns, ("act_symbol", *CHAIN), f"{self.label}: option_chain")
        for year in years:
            where = f"{_days_of(year)} AND act_symbol = %s"
            frame = self._server.frame(self._options, "option_chain", {**CHAIN, **CHAIN_GREEKS}, where, symbol)
            if frame.height:
                yield year, as_chain(frame)

    def closes(self, symbol: str) -> pl.DataFrame:
        """Give the closes in the `ohlcv` table; none without the table."""
        extent = self._extent(self._stocks, "ohlcv") if self._has_stocks("ohlcv", CLOSES) else None
        if extent is None:
            return pl.DataFrame(schema=CLOSES)
        conditions = [f"{_days_of(year)} AND act_symbol = %s" for year in range(extent[0].year, extent[1].year + 1)]
        return pl.concat(self._server.frame(self._stocks, "ohlcv", CLOSES, where, symbol) for where in conditions)

    def splits(self, symbol: str) -> pl.DataFrame:
        """Give the splits in the `split` table; none without the table."""
        if not self._has_stocks("split", SPLITS):
            return pl.DataFrame(schema=SPLITS)
        return self._server.frame(self._stocks, "split", SPLITS, "act_symbol = %s", symbol)

    def problems(self) -> list[str]:
        """Give what is not there or may not be read of the stocks database, and whether deltas are not there."""
        faults = self._faults(self._options, "option_chain", CHAIN)
        known = "delta" in self._server.columns(self._options, "option_chain")
        remarks = [] if known else [f"{self.label}: option_chain has no column 'delta': {WITHOUT['delta']}"]
        for table, schema in (("ohlcv", CLOSES), ("split", SPLITS)):
            try:
                faults += self._faults(self._stocks, table, schema)
            except AbsentError as error:
                self._absent.add(table)
                remarks.append(f"{str(error).removeprefix('source: ')}. Without {table} {WITHOUT[table]}")
        if faults:
            raise SourceError("source: " + "; ".join(faults))
        return remarks

    def _faults(self, database: str, table: str, schema: Schema) -> list[str]:
        """Name the columns of a table that are missing or of a type that cannot be read."""
        at = f"database {database} at {self._server.place}: {table}"
        types = self._server.types(database, table)
        wanted: Schema = {"act_symbol": pl.String, **schema}
        missing = [f"{name!r}{nearest(name, types)}" for name in wanted if name not in types]
        wrong = [
            f"{at}: column {name!r} has the type {types[name]}; allowed: {_form(dtype)}"
            for name, dtype in wanted.items()
            if name in types and not re.match(rf"({_TYPES[dtype]})\b", types[name], re.IGNORECASE)
        ]
        return [f"{at} has no column {', '.join(missing)}; it has: {', '.join(types)}", *wrong] if missing else wrong

    @cached_property
    def _symbols(self) -> list[str]:
        columns = self._server.columns(self._options, "option_chain")
        _require(columns, ("act_symbol", *CHAIN), f"{self.label}: option_chain")
        extent = self.extent()
        if extent is None:
            return []
        try:
            small = "act_symbol" in self._server.columns(self._options, "volatility_history")
        except AbsentError:
            small = False
        sampled = self._symbols_of("volatility_history" if small else "option_chain", _SAMPLED_DATES)
        return sorted(sampled | self._symbols_of("option_chain", 1))

    def _symbols_of(self, table: str, count: int) -> set[str]:
        """Give the symbols that a table has on its last date and on up to `count` - 1 dates before."""
        extent = self._extent(self._options, table)
        if extent is None:
            return set()
        first, last = extent
        steps = {last - (last - first) * step / max(count - 1, 1) for step in range(count)}
        seek = f"SELECT date FROM `{table}` WHERE date >= %s ORDER BY date LIMIT 1"
        dates = {_date(self._server.query(self._options, seek, str(step))[0][0]) for step in steps}
        rows = self._server.query(
            self._options, f"SELECT DISTINCT act_symbol FROM `{table}` WHERE {_on(sorted(dates))}"
        )
        return {row[0] for row in rows}

    def _extent(self, database: str, table: str) -> tuple[date, date] | None:
        _require(
            self._server.columns(database, table), ("date",), f"database {database} at {self._server.place}: {table}"
        )
        ends = [
            self._server.query(database, f"SELECT date FROM `{table}` ORDER BY date {order} LIMIT 1")
            for order in ("ASC", "DESC")
        ]
        if not all(ends):
            return None
        return _date(ends[0][0][0]), _date(ends[1][0][0])

    def _has_stocks(self, table: str, schema: Schema) -> bool:
        columns = self._stocks_columns(table)
        if columns is not None:
            _require(columns, ("act_symbol", *schema), f"database {self._stocks} at {self._server.place}: {table}")
        return columns is not None

    def _stocks_columns(self, table: str) -> list[str] | None:
        """Give the columns of a stocks table; None, with one warning, where it is absent or may not be read."""
        if table in self._absent:
            return None
        try:
            return self._server.columns(self._stocks, table)
        except AbsentError as error:
            self._absent.add(table)
            logger.warning("%s: no %s", error, "closes" if table == "ohlcv" else "splits")
            return None


def _days_of(year: int) -> str:
    return _on(date(year, 1, 1) + timedelta(day) for day in range(366 if isleap(year) else 365))


def _on(days: Iterable[date]) -> str:
    """Give the condition that Dolt and MySQL answer with one look-up per day."""
    listed = ", ".join(f"'{day}'" for day in days)
    return f"date IN ({listed})"


def _form(dtype: type[pl.DataType]) -> str:
    return {pl.Date: "date", pl.Float64: "decimal or another number", pl.String: "varchar"}[dtype]


def _date(text: str) -> date:
    return date.fromisoformat(text[:10])


def _require(columns: Sequence[str], wanted: Sequence[str], table: str) -> None:
    for name in wanted:
        if name not in columns:
            has = ", ".join(columns)
            raise SourceError(f"source: {table} has no column {name!r}{nearest(name, columns)}; it has: {has}")
