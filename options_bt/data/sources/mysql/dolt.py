"""The `mysql://` source: DoltHub's option chains, served by a Dolt SQL server or any MySQL server.

Rows come as one text column that polars parses, since Decimal objects cost many times as much; `access` says how they
are found.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from shutil import rmtree

import polars as pl

from options_bt.data.sources import schemas
from options_bt.data.sources.mysql.access import DateRange, Scan, Table, rows_on, scan_is_faster
from options_bt.data.sources.mysql.address import parse_address
from options_bt.data.sources.mysql.columns import column_faults, require_columns
from options_bt.data.sources.mysql.explain import MissingError
from options_bt.data.sources.mysql.revisions import Revisions
from options_bt.data.sources.mysql.sampling import date_range, rows_and_symbols, sampled_symbols
from options_bt.data.sources.mysql.server import Server
from options_bt.data.sources.source import Increment, ReadProgress
from options_bt.errors import SourceError

logger = logging.getLogger(__name__)

_SAMPLED_DATES = 40


class DoltSource:
    """Quotes from `option_chain` of one database, closes, splits and dividends from another, rates from a third.

    No connection is made before the first query.

    Parameters
    ----------
    text : str
        ``mysql://user[:password]@host[:port][?options=NAME&stocks=NAME&rates=NAME]``; user and password
        percent-encoded, the password by default from the environment variable MYSQL_PWD or ~/.my.cnf, the port
        3306 and the databases ``options``, ``stocks`` and ``rates`` by default. ``as_of=REVISION`` and
        ``stocks_as_of=REVISION`` read a commit, branch or tag of a Dolt database; ``unix_socket=PATH`` reads through
        a socket; ``ssl_mode`` and ``ssl_ca`` are those of MySQL's clients.

    Raises
    ------
    SourceError
        When the text is malformed. Every method raises it too, when there is no such server, user, database or
        table, or a column is missing.
    """

    def __init__(self, text: str) -> None:
        address = parse_address(text)
        self._server = Server(address)
        self._options, self._stocks, self._rates = address.options, address.stocks, address.rates
        self._revisions = Revisions(self._server, self._options)
        self.name = address.name
        self.label = f"database {self._options} at {self._server.place}"
        self._missing: set[str] = set()
        self._scans: dict[str, Scan] = {}
        self._date_ranges: dict[str, DateRange | None] = {}

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
        hashes = self._revisions.hashes(["option_chain", *optional])
        return f"{hashes} {Revisions(self._server, self._stocks).hashes(stocks)}".rstrip()

    @cached_property
    def revision(self) -> str:
        """The Dolt commit that the quotes are read at; empty elsewhere, and when they hold uncommitted changes."""
        return self._revisions.commit() if self._is_dolt else ""

    def symbols(self) -> list[str]:
        """Return the symbols of the last quote date and of 40 dates spread evenly over all of them, sorted.

        Reading every date would take minutes. A symbol that has quotes only between two of these dates, about two
        months apart in DoltHub's data, is left out. The 40 dates are looked up in `volatility_history` where there
        is one, since it has one row where `option_chain` has a hundred.
        """
        return self._symbols

    def extent(self) -> tuple[date, date] | None:
        """Return the first and last quote date, from the two ends of the primary key."""
        return date_range(self._server, self._options, "option_chain")

    def prefetch(self, years: Mapping[str, Sequence[int]], folder: Path, progress: ReadProgress) -> None:
        """Scan the tables that are keyed by date, where a scan is faster than look-ups."""
        state = sha256(f"{self.version} {self._options} {self._stocks}".encode()).hexdigest()[:16]
        for old in set(folder.glob("*")) - {folder / state}:
            rmtree(old)
        for table in self._tables_by_date():
            dates, is_chain = self._dates(table), table == self._chain_table
            if dates is None:
                continue
            each = Counter(year for listed in years.values() for year in listed)
            symbols = each if is_chain else dict.fromkeys(dates.years(), len(years))
            if not symbols:
                continue
            rows, listed = rows_and_symbols(self._server, table.database, table.name, dates.last)
            if scan_is_faster(max(symbols.values()), rows, listed):
                self._scans[table.name] = scan = Scan(self._server, table, folder / state / table.name)
                for year, count in sorted(symbols.items()):
                    scan.read_year(year, dates.within(year), _scaled(progress, count) if is_chain else _ignored)

    def increment(self, symbol: str, since: str) -> Increment | None:
        """Return the quotes of the dates that `dolt_diff` names; None where the revision no longer exists."""
        if not (since and self.revision):
            return None
        dates = self._revisions.changed(symbol, since, self.revision)
        if dates is None:
            return None
        return Increment(dates, schemas.as_chain(rows_on(self._server, self._chain_table, symbol, dates)))

    def chain(self, symbol: str, years: Sequence[int]) -> Iterator[tuple[int, pl.DataFrame]]:
        """Yield the quotes of a symbol by year; none without a date, which is part of the primary key."""
        for year in years:
            frame = self._rows(self._chain_table, symbol, year)
            if frame.height:
                yield year, schemas.as_chain(frame)

    def closes(self, symbol: str) -> pl.DataFrame:
        """Return the closes in the `ohlcv` table; no rows without the table."""
        if not self._has_stocks("ohlcv", schemas.CLOSES):
            return pl.DataFrame(schema=schemas.CLOSES)
        return self._all_rows(Table(self._stocks, "ohlcv", schemas.CLOSES), symbol)

    def splits(self, symbol: str) -> pl.DataFrame:
        """Return the splits in the `split` table; no rows without the table."""
        if not self._has_stocks("split", schemas.SPLITS):
            return pl.DataFrame(schema=schemas.SPLITS)
        return self._server.frame(self._stocks, "split", schemas.SPLITS, "act_symbol = %s", symbol)

    def optional_tables(self, symbol: str) -> dict[str, pl.DataFrame]:
        """Return the dividends and the volatility history, where their tables exist."""
        found = {}
        if self._columns(self._stocks, "dividend"):
            columns = schemas.DIVIDENDS
            found["dividends"] = self._server.frame(self._stocks, "dividend", columns, "act_symbol = %s", symbol)
        if self._columns(self._options, "volatility_history"):
            found["volatility"] = self._all_rows(self._volatility_table, symbol)
        return found

    def rates(self) -> pl.DataFrame | None:
        """Return the yields in `us_treasury`; None without the table."""
        if not self._columns(self._rates, "us_treasury"):
            return None
        return self._server.frame(self._rates, "us_treasury", schemas.RATES, "TRUE").sort("date")

    def problems(self) -> list[str]:
        """Return what is missing or unreadable in the stocks database, and whether deltas are missing."""
        faults = column_faults(self._server, self._options, "option_chain", schemas.CHAIN)
        known = "delta" in self._server.columns(self._options, "option_chain")
        remarks = [] if known else [f"{self.label}: option_chain has no column 'delta': {schemas.WITHOUT['delta']}"]
        for table, schema in (("ohlcv", schemas.CLOSES), ("split", schemas.SPLITS)):
            try:
                faults += column_faults(self._server, self._stocks, table, schema)
            except MissingError as error:
                self._missing.add(table)
                remarks.append(f"{str(error).removeprefix('source: ')}. Without {table} {schemas.WITHOUT[table]}")
        if faults:
            raise SourceError("source: " + "; ".join(faults))
        return remarks

    @cached_property
    def _symbols(self) -> list[str]:
        if self._dates(self._chain_table) is None:
            return []
        small = "act_symbol" in self._columns(self._options, "volatility_history")
        table = "volatility_history" if small else "option_chain"
        sample = sampled_symbols(self._server, self._options, table, _SAMPLED_DATES)
        return sorted(sample | sampled_symbols(self._server, self._options, "option_chain", 1))

    @cached_property
    def _is_dolt(self) -> bool:
        self._server.columns(self._options, "option_chain")
        return self._server.is_dolt(self._options)

    @cached_property
    def _chain_table(self) -> Table:
        """The quotes, on Dolt of one commit, so that a change during a pull is not half in it."""
        require_columns(self._server, self._options, "option_chain", ("act_symbol", *schemas.CHAIN))
        database = self._revisions.at(self.revision) if self.revision else self._options
        return Table(database, "option_chain", {**schemas.CHAIN, **schemas.CHAIN_GREEKS})

    @property
    def _volatility_table(self) -> Table:
        return Table(self._options, "volatility_history", schemas.VOLATILITY)

    def _tables_by_date(self) -> Iterator[Table]:
        """Yield each table that is keyed by date and exists."""
        yield self._chain_table
        if self._has_stocks("ohlcv", schemas.CLOSES):
            yield Table(self._stocks, "ohlcv", schemas.CLOSES)
        if self._columns(self._options, "volatility_history"):
            yield self._volatility_table

    def _dates(self, table: Table) -> DateRange | None:
        if table.name not in self._date_ranges:
            self._date_ranges[table.name] = date_range(self._server, table.database, table.name)
        return self._date_ranges[table.name]

    def _rows(self, table: Table, symbol: str, year: int) -> pl.DataFrame:
        scan = self._scans.get(table.name)
        if scan and scan.has(year):
            return scan.rows(symbol, year)
        dates = self._dates(table)
        return rows_on(self._server, table, symbol, dates.within(year).dates() if dates else ())

    def _all_rows(self, table: Table, symbol: str) -> pl.DataFrame:
        dates = self._dates(table)
        frames = [self._rows(table, symbol, year) for year in dates.years()] if dates else []
        return pl.concat(frames) if frames else pl.DataFrame(schema=table.schema)

    def _has_stocks(self, table: str, schema: schemas.Schema) -> bool:
        columns = self._columns(self._stocks, table)
        if columns:
            require_columns(self._server, self._stocks, table, ("act_symbol", *schema))
        return bool(columns)

    def _columns(self, database: str, table: str) -> Iterable[str]:
        """Return the columns of an optional table; none where it is missing or may not be read."""
        if table in self._missing:
            return ()
        try:
            return self._server.columns(database, table)
        except MissingError as error:
            self._missing.add(table)
            if table in schemas.WITHOUT:
                logger.warning("%s: no %s", error, "closes" if table == "ohlcv" else "splits")
            return ()


def _scaled(progress: ReadProgress, count: int) -> ReadProgress:
    """Return a callback that counts each share of a year once for each of `count` symbols."""
    return lambda share, rows: progress(share * count, rows)


def _ignored(share: float, rows: int) -> None:
    """Do nothing: only the reading of quotes counts as progress."""
