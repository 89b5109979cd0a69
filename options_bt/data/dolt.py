"""The `mysql://` source: DoltHub's option chains, served by a Dolt SQL server or any MySQL server.

A symbol's year is read as one point look-up per calendar day: the primary key begins with the date, and a range of
dates together with a symbol would make Dolt read every symbol of the range. Rows come as one text column that polars
parses, since Decimal objects cost many times as much.
"""

from __future__ import annotations

import logging
import os
import re
from calendar import isleap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import polars as pl

from options_bt.data.source import CHAIN_COLUMNS, GREEKS
from options_bt.errors import SourceError, nearest

logger = logging.getLogger(__name__)

_FORM = "mysql://user[:password]@host[:port][?options=NAME&stocks=NAME]"
_SAMPLED_DATES = 40
_FETCHED_ROWS = 50_000
_RIGHTS = {"c": "call", "call": "call", "p": "put", "put": "put"}
_CHAIN = {
    "date": pl.Date,
    "expiration": pl.Date,
    "strike": pl.Float64,
    "call_put": pl.String,
    "bid": pl.Float64,
    "ask": pl.Float64,
}
_GREEKS = {"vol": pl.Float64} | {name: pl.Float64 for name in GREEKS if name != "iv"}
_CLOSES = {"date": pl.Date, "close": pl.Float64}
_SPLITS = {"ex_date": pl.Date, "to_factor": pl.Float64, "for_factor": pl.Float64}

_NO_SERVER = {2001, 2002, 2003, 2004, 2005}
_LOST = {2006, 2013, 2055}
_WRONG_USER = {1045, 1698, 2012}
_NO_DATABASE = {1044, 1049}

_Schema = Mapping[str, type[pl.DataType]]


class DoltSource:
    """Quotes from `option_chain` of one database, closes and splits from `ohlcv` and `split` of another.

    Nothing is connected to before the first question.

    Parameters
    ----------
    text : str
        ``mysql://user[:password]@host[:port][?options=NAME&stocks=NAME]``; user and password percent-encoded,
        the password from the environment variable MYSQL_PWD where it is not given, the port 3306, the
        databases ``options`` and ``stocks``.

    Raises
    ------
    SourceError
        When the text is not of that form. Every method raises it too, when there is no such server, user,
        database or table, or a column is missing.
    """

    def __init__(self, text: str) -> None:
        self._server, self._options, self._stocks = _parsed(text)
        place = f"{self._server.host.replace(':', '_')}-{self._server.port}"
        other = "" if self._stocks == "stocks" else f"+{self._stocks}"
        self.name = f"mysql-{place}-{self._options}{other}"
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
        _require(columns, ("act_symbol", *_CHAIN), f"{self.label}: option_chain")
        right = pl.col("call_put").str.strip_chars().str.to_lowercase().replace_strict(_RIGHTS, default=None)
        for year in years:
            where = f"{_days_of(year)} AND act_symbol = %s"
            frame = self._server.frame(self._options, "option_chain", _CHAIN | _GREEKS, where, symbol)
            if frame.height:
                yield year, frame.rename({"vol": "iv"}).with_columns(right.alias("right")).select(CHAIN_COLUMNS)

    def closes(self, symbol: str) -> pl.DataFrame:
        """Give the closes in the `ohlcv` table; none without the table."""
        extent = self._extent(self._stocks, "ohlcv") if self._has_stocks("ohlcv", _CLOSES) else None
        if extent is None:
            return pl.DataFrame(schema=_CLOSES)
        conditions = [f"{_days_of(year)} AND act_symbol = %s" for year in range(extent[0].year, extent[1].year + 1)]
        return pl.concat(self._server.frame(self._stocks, "ohlcv", _CLOSES, where, symbol) for where in conditions)

    def splits(self, symbol: str) -> pl.DataFrame:
        """Give the splits in the `split` table; none without the table."""
        if not self._has_stocks("split", _SPLITS):
            return pl.DataFrame(schema=_SPLITS)
        return self._server.frame(self._stocks, "split", _SPLITS, "act_symbol = %s", symbol)

    @cached_property
    def _symbols(self) -> list[str]:
        columns = self._server.columns(self._options, "option_chain")
        _require(columns, ("act_symbol", *_CHAIN), f"{self.label}: option_chain")
        extent = self.extent()
        if extent is None:
            return []
        try:
            small = "act_symbol" in self._server.columns(self._options, "volatility_history")
        except _AbsentError:
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

    def _has_stocks(self, table: str, schema: _Schema) -> bool:
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
        except _AbsentError as error:
            self._absent.add(table)
            logger.warning("%s: no %s", error, "closes" if table == "ohlcv" else "splits")
            return None


class _Server:
    """A MySQL server: a connection per database, made when first needed."""

    def __init__(self, host: str, port: int, user: str, password: str) -> None:
        self.host, self.port = host, port
        self.place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._user, self._password = user, password
        self._connections: dict[str, Any] = {}
        self._columns: dict[tuple[str, str], list[str]] = {}
        self._warned = False

    def columns(self, database: str, table: str) -> list[str]:
        """Give the columns of a table; _AbsentError says what there is instead."""
        if (database, table) not in self._columns:
            tables = [row[0] for row in self.query(database, "SHOW TABLES")]
            if table not in tables:
                has = f"it has: {', '.join(sorted(tables))}" if tables else f"user {self._user!r} can read none"
                raise _AbsentError(f"source: {self.place}: database {database!r} has no table {table!r}; {has}")
            rows = self.query(database, f"SHOW COLUMNS FROM `{table}`")
            self._columns[database, table] = [row[0].lower() for row in rows]
        return self._columns[database, table]

    def is_dolt(self, database: str) -> bool:
        """Say whether this is Dolt and not another server that speaks MySQL's protocol."""
        try:
            return bool(self.query(database, "SELECT dolt_version()"))
        except _RefusedError:
            raise
        except SourceError:
            return False

    def frame(self, database: str, table: str, schema: _Schema, where: str, symbol: str) -> pl.DataFrame:
        """Give rows as the types of the schema; null is what is absent or not of its type."""
        columns = self.columns(database, table)
        texts = ", ".join(f"COALESCE(`{name}`, '')" if name in columns else "''" for name in schema)
        sql = f"SELECT CONCAT_WS('\t', {texts}) FROM `{table}` WHERE {where}"
        chunks = [b"\n".join(row[0] for row in rows) for rows in self._fetched(database, sql, symbol)]
        if not chunks:
            return pl.DataFrame(schema=schema)
        frame = pl.read_csv(
            b"\n".join(chunks) + b"\n",
            separator="\t",
            has_header=False,
            quote_char=None,
            schema=dict.fromkeys(schema, pl.String),
            truncate_ragged_lines=True,
        )
        return frame.select(_typed(name, wanted) for name, wanted in schema.items())

    def query(self, database: str, sql: str, *parameters: str) -> list[list[str]]:
        """Give the rows of a query as text, nulls as empty."""
        chunks = self._fetched(database, sql, *parameters)
        return [["" if value is None else bytes(value).decode() for value in row] for rows in chunks for row in rows]

    def _fetched(self, database: str, sql: str, *parameters: str) -> Iterator[Sequence[Any]]:
        try:
            # Before mysql.connector, which drops it without a word where it cannot be loaded.
            import _mysql_connector  # noqa: F401

            missing = ""
        except ImportError as error:
            missing = str(error)
        from mysql.connector import Error, connect

        try:
            if database not in self._connections:
                self._connections[database] = connect(
                    host=self.host,
                    port=self.port,
                    user=self._user,
                    password=self._password,
                    database=database,
                    autocommit=True,
                    charset="utf8mb4",
                    collation="utf8mb4_general_ci",  # MariaDB does not know the connector's default
                    connection_timeout=10,
                    allow_local_infile=False,
                )
            connection = self._connections[database]
            name = type(connection).__name__
            if name != "CMySQLConnection" and not self._warned:
                self._warned = True
                logger.warning("%s: reading with the slow %s: %s", self.place, name, missing or "no C extension")
            with connection.cursor(raw=True) as cursor:
                cursor.execute(sql, parameters)
                while rows := cursor.fetchmany(_FETCHED_ROWS):
                    yield rows
        except Error as error:
            raise self._explained(error, database) from None

    def _explained(self, error: Any, database: str) -> SourceError:
        at, code, what = f"source: {self.place}", error.errno, str(error.msg)
        if code in _NO_SERVER:
            return _RefusedError(
                f"{at}: no server answers; start one with `dolt sql-server --port {self.port}` in the folder that "
                "holds the clones, or correct host and port"
            )
        if code in _LOST:
            self._connections.clear()
            return _RefusedError(f"{at}: the server ended the connection; look into its log, then run again")
        if code in _WRONG_USER:
            given = "this password" if self._password else "no password (put one in the URL or in MYSQL_PWD)"
            return _RefusedError(f"{at}: the server refuses user {self._user!r} with {given}")
        if code in _NO_DATABASE or (code == 1105 and re.match("access denied .* to database", what, re.IGNORECASE)):
            return _AbsentError(
                f"{at}: there is no database {database!r} that user {self._user!r} may read; serve its clone too, "
                f"or name another as in {_FORM}"
            )
        if self._password:
            what = what.replace(self._password, "***")
        return SourceError(f"{at}: database {database!r}: error {code}: {what}")


class _AbsentError(SourceError):
    """There is no such database or table, or the user may not see it."""


class _RefusedError(SourceError):
    """The server does not talk to us, whatever the question."""


def _parsed(text: str) -> tuple[_Server, str, str]:
    """Give the server and the names of the options and stocks databases; an error repeats nothing secret."""

    def refusal(what: str) -> SourceError:
        return SourceError(
            f"source: {what}; allowed: {_FORM}, with @ : / # ? % in a password as %40 %3A %2F %23 %3F %25"
        )

    try:
        url: SplitResult | None = urlsplit(text)
        port = (url.port if url else None) or 3306
    except ValueError:
        url = None
    # Outside of the handler: Python's own error names what may be a part of the password.
    if url is None or not re.fullmatch(r"[\w.:-]+", url.hostname or ""):
        raise refusal("host or port is missing or malformed")
    if not url.username:
        raise refusal("the user is missing")
    if url.path not in ("", "/") or url.fragment or "@" in url.query:
        raise refusal("only ? may follow the port")
    names = {"options": "options", "stocks": "stocks"}
    for key, name in parse_qsl(url.query, keep_blank_values=True):
        if key not in names:
            raise refusal(f"there is no option {key!r}{nearest(key, names)}")
        if not re.fullmatch(r"[\w-]+", name, re.ASCII):
            raise refusal(f"{key}: got {name!r}, not the name of a database")
        names[key] = name
    password = os.environ.get("MYSQL_PWD", "") if url.password is None else unquote(url.password)
    return _Server(url.hostname or "", port, unquote(url.username), password), names["options"], names["stocks"]


def _days_of(year: int) -> str:
    return _on(date(year, 1, 1) + timedelta(day) for day in range(366 if isleap(year) else 365))


def _on(days: Iterable[date]) -> str:
    """Give the condition that Dolt and MySQL answer with one look-up per day."""
    listed = ", ".join(f"'{day}'" for day in days)
    return f"date IN ({listed})"


def _date(text: str) -> date:
    return date.fromisoformat(text[:10])


def _require(columns: Sequence[str], wanted: Sequence[str], table: str) -> None:
    for name in wanted:
        if name not in columns:
            has = ", ".join(columns)
            raise SourceError(f"source: {table} has no column {name!r}{nearest(name, columns)}; it has: {has}")


def _typed(name: str, wanted: type[pl.DataType]) -> pl.Expr:
    if wanted == pl.Date:
        return pl.col(name).str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    if wanted == pl.Float64:
        return pl.col(name).cast(pl.Float64, strict=False).fill_nan(None)
    return pl.col(name)
