"""The `mysql://` source: DoltHub's option chains, served by a Dolt SQL server or any MySQL server.

Rows come as one text column that polars parses, since Decimal objects cost many times as much; `access` says how they
are found.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from shutil import rmtree

import polars as pl

from options_bt.data.sources.mysql.access import Days, Scan, Table, looked_up, scan_is_quicker, years_wanted
from options_bt.data.sources.mysql.address import parsed
from options_bt.data.sources.mysql.columns import faults_of, require
from options_bt.data.sources.mysql.revisions import Revisions
from options_bt.data.sources.mysql.sampling import days_of, rows_and_symbols, symbols_on
from options_bt.data.sources.mysql.server import AbsentError, Server
from options_bt.data.sources.source import Increment, Read
from options_bt.data.sources.tables import (
    CHAIN,
    CHAIN_GREEKS,
    CLOSES,
    DIVIDENDS,
    RATES,
    SPLITS,
    VOLATILITY,
    WITHOUT,
    Schema,
    as_chain,
)
from options_bt.errors import SourceError

logger = logging.getLogger(__name__)

_SAMPLED_DATES = 40


class DoltSource:
    """Quotes from `option_chain` of one database, closes, splits and dividends from another, rates from a third.

    Nothing is connected to before the first question.

    Parameters
    ----------
    text : str
        ``mysql://user[:password]@host[:port][?options=NAME&stocks=NAME&rates=NAME]``; user and password
        percent-encoded, the password from the environment variable MYSQL_PWD or from ~/.my.cnf where it is not
        given, the port 3306, the databases ``options``, ``stocks`` and ``rates``. ``as_of=REVISION`` and
        ``stocks_as_of=REVISION`` read a commit, branch or tag of a Dolt database; ``unix_socket=PATH`` reads through
        a socket; ``ssl_mode`` and ``ssl_ca`` are those of MySQL's clients.

    Raises
    ------
    SourceError
        When the text is not of that form. Every method raises it too, when there is no such server, user,
        database or table, or a column is missing.
    """

    def __init__(self, text: str) -> None:
        address = parsed(text)
        self._server = Server(address)
        self._options, self._stocks, self._rates = address.options, address.stocks, address.rates
        self._revisions = Revisions(self._server, self._options)
        self.name = address.name
        self.label = f"database {self._options} at {self._server.place}"
        self._absent: set[str] = set()
        self._scans: dict[str, Scan] = {}
        self._extents: dict[str, Days | None] = {}

    @cached_property
    def version(self) -> str:
        """The hashes of the tables on a Dolt server; elsewhere ``unversioned-`` and the last quote date.

        A server that is not Dolt shows new dates, but not that old rows were changed.
        """
        if not self._is_dolt:
            extent = self.extent()
            return f"unversioned-{extent[1] if extent else 'empty'}"
        optional = ["volatility_history"] if self._columns(self._options, "volatility_history") else []
        stocks = [table for table in ("ohlcv", "split", "dividend") if self._columns(self._stocks, table)]
        hashes = (
            self._revisions.hashes(["option_chain", *optional]),
            Revisions(self._server, self._stocks).hashes(stocks),
        )
        return " ".join(filter(None, hashes))

    @cached_property
    def revision(self) -> str:
        """The Dolt commit that the quotes are read at; empty elsewhere, and with uncommitted changes to them."""
        return self._revisions.commit() if self._is_dolt else ""

    def symbols(self) -> list[str]:
        """Return the symbols of the last quote date and of 40 dates spread evenly over all of them, sorted.

        Every date would take minutes. A symbol with quotes only between two of these dates, about two months
        apart in DoltHub's data, is not among them. Of the 40 dates `volatility_history` is asked where there is
        one, since it has a row where `option_chain` has a hundred.
        """
        return self._symbols

    def extent(self) -> tuple[date, date] | None:
        """Return the first and last quote date, from the two ends of the primary key."""
        return days_of(self._server, self._options, "option_chain")

    def gather(self, wanted: Mapping[str, Sequence[int]], folder: Path, read: Read) -> None:
        """Scan the tables that are keyed by date, those of them that a scan reads quicker than look-ups do."""
        state = sha256(f"{self.version} {self._options} {self._stocks}".encode()).hexdigest()[:16]
        for old in set(folder.glob("*")) - {folder / state}:
            rmtree(old)
        for table, symbols_by_year in self._wanted_by_date(wanted):
            days = self._days(table)
            if not (days and symbols_by_year):
                continue
            rows, there = rows_and_symbols(self._server, table.database, table.name, days.last)
            if scan_is_quicker(max(symbols_by_year.values()), rows, there):
                self._scans[table.name] = scan = Scan(self._server, table, folder / state / table.name)
                for year, symbols in symbols_by_year.items():
                    told = _times(symbols, read) if table is self._chain_table else _untold
                    scan.gather(year, days.of(year), told)

    def increment(self, symbol: str, since: str) -> Increment | None:
        """Return the quotes of the dates that `dolt_diff` names; None where the revision is not there any more."""
        if not (since and self.revision):
            return None
        dates = self._revisions.changed(symbol, since, self.revision)
        if dates is None:
            return None
        return Increment(dates, as_chain(looked_up(self._server, self._chain_table, symbol, dates)))

    def chain(self, symbol: str, years: Sequence[int]) -> Iterator[tuple[int, pl.DataFrame]]:
        """Yield the quotes of a symbol by year; none without a date, which is part of the primary key."""
        for year in years:
            frame = self._rows(self._chain_table, symbol, year)
            if frame.height:
                yield year, as_chain(frame)

    def closes(self, symbol: str) -> pl.DataFrame:
        """Return the closes in the `ohlcv` table; none without the table."""
        if not self._has_stocks("ohlcv", CLOSES):
            return pl.DataFrame(schema=CLOSES)
        return self._all_rows(Table(self._stocks, "ohlcv", CLOSES), symbol)

    def splits(self, symbol: str) -> pl.DataFrame:
        """Return the splits in the `split` table; none without the table."""
        if not self._has_stocks("split", SPLITS):
            return pl.DataFrame(schema=SPLITS)
        return self._server.frame(self._stocks, "split", SPLITS, "act_symbol = %s", symbol)

    def extras(self, symbol: str) -> dict[str, pl.DataFrame]:
        """Return the dividends and the volatility history, of the two those that are there."""
        found = {}
        if self._columns(self._stocks, "dividend"):
            found["dividends"] = self._server.frame(self._stocks, "dividend", DIVIDENDS, "act_symbol = %s", symbol)
        if self._columns(self._options, "volatility_history"):
            found["volatility"] = self._all_rows(Table(self._options, "volatility_history", VOLATILITY), symbol)
        return found

    def rates(self) -> pl.DataFrame | None:
        """Return the yields in `us_treasury`; None without the table."""
        if not self._columns(self._rates, "us_treasury"):
            return None
        return self._server.frame(self._rates, "us_treasury", RATES, "TRUE").sort("date")

    def problems(self) -> list[str]:
        """Return what is not there or may not be read of the stocks database, and whether deltas are not there."""
        faults = faults_of(self._server, self._options, "option_chain", CHAIN)
        known = "delta" in self._server.columns(self._options, "option_chain")
        remarks = [] if known else [f"{self.label}: option_chain has no column 'delta': {WITHOUT['delta']}"]
        for table, schema in (("ohlcv", CLOSES), ("split", SPLITS)):
            try:
                faults += faults_of(self._server, self._stocks, table, schema)
            except AbsentError as error:
                self._absent.add(table)
                remarks.append(f"{str(error).removeprefix('source: ')}. Without {table} {WITHOUT[table]}")
        if faults:
            raise SourceError("source: " + "; ".join(faults))
        return remarks

    @cached_property
    def _symbols(self) -> list[str]:
        if self._days(self._chain_table) is None:
            return []
        small = "act_symbol" in self._columns(self._options, "volatility_history")
        many = symbols_on(
            self._server, self._options, "volatility_history" if small else "option_chain", _SAMPLED_DATES
        )
        return sorted(many | symbols_on(self._server, self._options, "option_chain", 1))

    @cached_property
    def _is_dolt(self) -> bool:
        self._server.columns(self._options, "option_chain")
        return self._server.is_dolt(self._options)

    @cached_property
    def _chain_table(self) -> Table:
        """The quotes, on Dolt of one commit, so that what changes while a pull goes on is not half in it."""
        require(self._server, self._options, "option_chain", ("act_symbol", *CHAIN))
        database = self._revisions.at(self.revision) if self.revision else self._options
        return Table(database, "option_chain", {**CHAIN, **CHAIN_GREEKS})

    def _wanted_by_date(self, wanted: Mapping[str, Sequence[int]]) -> Iterator[tuple[Table, dict[int, int]]]:
        """Yield each table that is keyed by date, with the years wanted of it and by how many symbols."""
        yield self._chain_table, years_wanted(wanted.values())
        side = [Table(self._stocks, "ohlcv", CLOSES)] if self._has_stocks("ohlcv", CLOSES) else []
        if self._columns(self._options, "volatility_history"):
            side.append(Table(self._options, "volatility_history", VOLATILITY))
        for table in side:
            days = self._days(table)
            yield table, dict.fromkeys(range(days.first.year, days.last.year + 1), len(wanted)) if days else {}

    def _days(self, table: Table) -> Days | None:
        if table.name not in self._extents:
            self._extents[table.name] = days_of(self._server, table.database, table.name)
        return self._extents[table.name]

    def _rows(self, table: Table, symbol: str, year: int) -> pl.DataFrame:
        scan = self._scans.get(table.name)
        if scan and scan.holds(year):
            return scan.rows(symbol, year)
        days = self._days(table)
        return looked_up(self._server, table, symbol, days.of(year).each() if days else ())

    def _all_rows(self, table: Table, symbol: str) -> pl.DataFrame:
        days = self._days(table)
        years = range(days.first.year, days.last.year + 1) if days else range(0)
        frames = [self._rows(table, symbol, year) for year in years]
        return pl.concat(frames) if frames else pl.DataFrame(schema=table.schema)

    def _has_stocks(self, table: str, schema: Schema) -> bool:
        columns = self._columns(self._stocks, table)
        if columns:
            require(self._server, self._stocks, table, ("act_symbol", *schema))
        return bool(columns)

    def _columns(self, database: str, table: str) -> Iterable[str]:
        """Return the columns of a table that a run can do without; none where it is absent or may not be read."""
        if table in self._absent:
            return ()
        try:
            return self._server.columns(database, table)
        except AbsentError as error:
            self._absent.add(table)
            if table in WITHOUT:
                logger.warning("%s: no %s", error, "closes" if table == "ohlcv" else "splits")
            return ()


def _times(count: int, read: Read) -> Read:
    """Return what tells `read` of shares of a year that so many symbols want."""
    return lambda share, rows: read(share * count, rows)


def _untold(share: float, rows: int) -> None:
    """Say nothing: only the reading of quotes is progress."""
