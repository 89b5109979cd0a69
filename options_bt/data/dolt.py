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
from urllib.parse import parse_qsl, unquote, urlsplit

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

# https://dev.mysql.com/doc/mysql-errors: what the server (1xxx) and the connector (2xxx) call them.
_NO_SERVER = {2001, 2002, 2003, 2004, 2005}
_LOST = {2006, 2013, 2055}
_WRONG_USER = {1045, 1698}
_NO_DATABASE = {1044, 1049}
_NO_TABLE = {1142, 1146}

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
        When the text is not of that form. Every method raises it too, when there is no such server, user, database
        or table, or a column is missing.
    """

    def __init__(self, text: str) -> None:
        self._host, self._port, self._user, password, databases = _parsed(text)
        self._password = os.environ.get("MYSQL_PWD", "") if password is None else password
        self._options = databases.get("options", "options")
        self._stocks = databases.get("stocks", "stocks")
        self._connections: dict[str, Any] = {}
        self._tables: dict[str, list[str]] = {}
        self._warned: set[str] = set()
        self._place = f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"
        other = "" if self._stocks == "stocks" else f"+{self._stocks}"
        self.name = f"mysql-{self._host.replace(':', '_')}-{self._port}-{self._options}{other}"
        self.label = f"database {self._options} at {self._place}"

    @cached_property
    def version(self) -> str:
        """The hashes of the tables on a Dolt server; elsewhere ``unversioned-`` and the last quote date.

        A server that is not Dolt shows new dates, but not that old rows were changed.
        """
        self._columns(self._options, "option_chain")
        if not self._is_dolt:
            extent = self.extent()
            return f"unversioned-{extent[1] if extent else 'empty'}"
        tables = [(self._options, "option_chain"), (self._stocks, "ohlcv"), (self._stocks, "split")]
        hashes = (
            self._query(database, "SELECT dolt_hashof_table(%s)", table)[0][0]
            for database, table in tables
            if database == self._options or self._stocks_columns(table) is not None
        )
        return "-".join(hashes)

    def symbols(self) -> list[str]:
        """Give the symbols with quotes on any of 40 dates spread evenly over the extent, sorted.

        Every date would take minutes. A symbol that had quotes only between two of these dates, about two months
        apart on all of DoltHub's data, is not among them.
        """
        return self._symbols

    @cached_property
    def _symbols(self) -> list[str]:
        extent = self.extent()
        if extent is None:
            return []
        first, last = extent
        steps = {first + (last - first) * step / (_SAMPLED_DATES - 1) for step in range(_SAMPLED_DATES)}
        seek = "SELECT date FROM option_chain WHERE date >= %s ORDER BY date LIMIT 1"
        dates = {self._query(self._options, seek, str(step))[0][0][:10] for step in sorted(steps)}
        found: set[str] = set()
        for day in sorted(dates):
            rows = self._query(self._options, "SELECT DISTINCT act_symbol FROM option_chain WHERE date = %s", day)
            found.update(row[0] for row in rows)
        return sorted(found)

    def extent(self) -> tuple[date, date] | None:
        """Give the first and last quote date, from the two ends of the primary key."""
        self._columns(self._options, "option_chain")
        ends = [
            row[0]
            for order in ("ASC", "DESC")
            for row in self._query(self._options, f"SELECT date FROM option_chain ORDER BY date {order} LIMIT 1")
        ]
        return (date.fromisoformat(ends[0][:10]), date.fromisoformat(ends[1][:10])) if ends else None

    def chain(self, symbol: str, years: Sequence[int]) -> Iterator[tuple[int, pl.DataFrame]]:
        """Give the quotes of a symbol by year.

        There are none without a date, which is part of the table's primary key.
        """
        columns = self._columns(self._options, "option_chain")
        _require(columns, ("act_symbol", *_CHAIN), f"{self.label}: option_chain")
        right = pl.col("call_put").str.strip_chars().str.to_lowercase().replace_strict(_RIGHTS, default=None)
        for year in years:
            days = ", ".join(f"'{date(year, 1, 1) + timedelta(day)}'" for day in range(366 if isleap(year) else 365))
            where = f"date IN ({days}) AND act_symbol = %s"
            frame = self._frame(self._options, "option_chain", _CHAIN | _GREEKS, columns, where, symbol)
            if frame.height:
                yield year, frame.rename({"vol": "iv"}).with_columns(right.alias("right")).select(CHAIN_COLUMNS)

    def closes(self, symbol: str) -> pl.DataFrame:
        """Give the closes in the `ohlcv` table; none without the table."""
        return self._stocks_rows("ohlcv", symbol, _CLOSES)

    def splits(self, symbol: str) -> pl.DataFrame:
        """Give the splits in the `split` table; none without the table."""
        return self._stocks_rows("split", symbol, _SPLITS)

    def _stocks_rows(self, table: str, symbol: str, schema: _Schema) -> pl.DataFrame:
        columns = self._stocks_columns(table)
        if columns is None:
            return pl.DataFrame(schema=schema)
        _require(columns, ("act_symbol", *schema), f"database {self._stocks} at {self._place}: {table}")
        return self._frame(self._stocks, table, schema, columns, "act_symbol = %s", symbol)

    def _stocks_columns(self, table: str) -> list[str] | None:
        """Give the columns of a stocks table; None, with one warning, where it is absent or may not be read."""
        try:
            return self._columns(self._stocks, table)
        except _AbsentError as error:
            if table not in self._warned:
                self._warned.add(table)
                what = "closes are implied from the quotes" if table == "ohlcv" else "splits are not known"
                logger.warning("%s: %s", error, what)
            return None

    def _columns(self, database: str, table: str) -> list[str]:
        key = f"{database}.{table}"
        if key not in self._tables:
            self._tables[key] = [row[0].lower() for row in self._query(database, f"SHOW COLUMNS FROM `{table}`")]
        return self._tables[key]

    @cached_property
    def _is_dolt(self) -> bool:
        try:
            return bool(self._query(self._options, "SELECT dolt_version()"))
        except _LostError:
            raise
        except SourceError:
            return False

    def _frame(
        self, database: str, table: str, schema: _Schema, columns: Sequence[str], where: str, symbol: str
    ) -> pl.DataFrame:
        """Give the rows of a table as the types of the schema; what cannot be read as them is null."""
        texts = ", ".join(f"COALESCE(`{name}`, '')" if name in columns else "''" for name in schema)
        sql = f"SELECT CONCAT_WS('\t', {texts}) FROM `{table}` WHERE {where}"
        chunks = [b"\n".join(row[0] for row in rows) for rows in self._fetched(database, sql, symbol)]
        if not chunks:
            return pl.DataFrame(schema=schema)
        text = pl.read_csv(
            b"\n".join(chunks) + b"\n",
            separator="\t",
            has_header=False,
            quote_char=None,
            schema=dict.fromkeys(schema, pl.String),
            truncate_ragged_lines=True,
        )
        return text.select(_typed(name, dtype) for name, dtype in schema.items())

    def _query(self, database: str, sql: str, *parameters: str) -> list[list[str]]:
        rows = (row for rows in self._fetched(database, sql, *parameters) for row in rows)
        return [["" if value is None else bytes(value).decode() for value in row] for row in rows]

    def _fetched(self, database: str, sql: str, *parameters: str) -> Iterator[Sequence[Any]]:
        """Run a query and give its rows in chunks, each value as bytes."""
        from mysql.connector import Error

        try:
            if database not in self._connections:
                self._connections[database] = self._connected(database)
            with self._connections[database].cursor(raw=True) as cursor:
                cursor.execute(sql, parameters)
                while rows := cursor.fetchmany(_FETCHED_ROWS):
                    yield rows
        except Error as error:
            raise self._explained(error, database) from None

    def _connected(self, database: str) -> Any:
        reason = ""
        try:
            # Before mysql.connector, which drops it without a word where it cannot be loaded.
            import _mysql_connector  # noqa: F401
        except ImportError as error:
            reason = f" ({error})"
        from mysql.connector import connect

        connection = connect(
            host=self._host,
            port=self._port,
            user=self._user,
            password=self._password,
            database=database,
            autocommit=True,
            charset="utf8mb4",
            collation="utf8mb4_general_ci",  # MariaDB does not know the connector's default
            connection_timeout=10,
            allow_local_infile=False,
        )
        if type(connection).__name__ != "CMySQLConnection" and "class" not in self._warned:
            self._warned.add("class")
            logger.warning("%s: reading with the slow %s%s", self.label, type(connection).__name__, reason)
        return connection

    def _explained(self, error: Any, database: str) -> SourceError:
        """Give what to do about an error of the connector."""
        at = f"source: {self._place}"
        if error.errno in _NO_SERVER:
            return _LostError(
                f"{at}: no server answers there; start it with `dolt sql-server --port {self._port}` "
                "in the folder that holds the clones, or correct host and port"
            )
        if error.errno in _LOST:
            self._connections.clear()
            return _LostError(f"{at}: the server ended the connection; see its log, then run again")
        if error.errno in _WRONG_USER:
            given = "this password" if self._password else "no password (put it in the URL or in MYSQL_PWD)"
            return _LostError(f"{at}: the server refuses user {self._user!r} with {given}")
        what = str(error.msg).replace(self._password, "***") if self._password else str(error.msg)
        if error.errno in _NO_DATABASE:
            key = "stocks" if database == self._stocks else "options"
            return _AbsentError(
                f"{at}: there is no database {database!r} that user {self._user!r} may read; "
                f"clone it beside the others, or name it in the URL: ?{key}=NAME"
            )
        if error.errno in _NO_TABLE:
            return _AbsentError(f"{at}: database {database!r}: {what}")
        return SourceError(f"{at}: database {database!r}: error {error.errno}: {what}")


class _AbsentError(SourceError):
    """There is no such database or table, or the user may not see it."""


class _LostError(SourceError):
    """The server cannot be talked to, whatever the question."""


def _parsed(text: str) -> tuple[str, int, str, str | None, dict[str, str]]:
    """Give host, port, user, password and databases; of a malformed text say what is wrong, but repeat none of it."""

    def refusal(what: str) -> SourceError:
        return SourceError(f"source: {what}; allowed: {_FORM}")

    try:
        url = urlsplit(text)
        port = url.port or 3306
    except ValueError:
        raise refusal(
            "the host or port is malformed (in a password, write @ : / # ? % as %40 %3A %2F %23 %3F %25)"
        ) from None
    if not url.hostname or not re.fullmatch(r"[\w.:-]+", url.hostname):
        raise refusal("the host is missing or malformed")
    if not url.username:
        raise refusal("the user is missing")
    if url.path not in ("", "/") or url.fragment:
        raise refusal("nothing may come between the port and the ? (in a password, write / # ? as %2F %23 %3F)")
    databases = dict(parse_qsl(url.query, keep_blank_values=True))
    for key, name in databases.items():
        if key not in ("options", "stocks"):
            raise refusal(f"there is no option {key!r}{nearest(key, ('options', 'stocks'))}")
        if not re.fullmatch(r"[\w-]+", name, re.ASCII):
            raise refusal(f"{key} must be the name of a database, of letters, digits, - and _; got {name!r}")
    return url.hostname, port, unquote(url.username), None if url.password is None else unquote(url.password), databases


def _require(columns: Sequence[str], wanted: Iterable[str], table: str) -> None:
    for name in wanted:
        if name not in columns:
            raise SourceError(
                f"source: {table} has no column {name!r}{nearest(name, columns)}; it has: {', '.join(columns)}"
            )


def _typed(name: str, wanted: type[pl.DataType]) -> pl.Expr:
    if wanted == pl.Date:
        return pl.col(name).str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    if wanted == pl.Float64:
        return pl.col(name).cast(pl.Float64, strict=False).fill_nan(None)
    return pl.col(name)
