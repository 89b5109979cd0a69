"""A server that speaks MySQL's protocol: connections, queries as text, and errors that say what to do."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator, Sequence
from configparser import ConfigParser
from configparser import Error as OptionFileError
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import polars as pl

from options_bt.data.tables import Schema, typed
from options_bt.errors import SourceError, nearest

logger = logging.getLogger(__name__)

_FORM = "mysql://user[:password]@host[:port][?options=NAME&stocks=NAME&as_of=REVISION&stocks_as_of=REVISION]"
_FETCHED_ROWS = 50_000
_WAITS = (0.5, 2.0, 8.0)

_NO_SERVER = {2001, 2002, 2003, 2004, 2005}
_LOST = {2006, 2013, 2055}
_WRONG_USER = {1045, 1698, 2012}
_NO_DATABASE = {1044, 1049}


class Server:
    """A MySQL server: a connection per database, made when first needed."""

    def __init__(self, host: str, port: int, user: str, password: str) -> None:
        self.host, self.port = host, port
        self.place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._user, self._password = user, password
        self._connections: dict[str, Any] = {}
        self._columns: dict[tuple[str, str], list[str]] = {}
        self._warned = self._reached = False

    def columns(self, database: str, table: str) -> list[str]:
        """Give the columns of a table; AbsentError says what there is instead."""
        if (database, table) not in self._columns:
            tables = [row[0] for row in self.query(database, "SHOW TABLES")]
            if table not in tables:
                has = f"it has: {', '.join(sorted(tables))}" if tables else f"user {self._user!r} can read none"
                raise AbsentError(f"source: {self.place}: database {database!r} has no table {table!r}; {has}")
            rows = self.query(database, f"SHOW COLUMNS FROM `{table}`")
            self._columns[database, table] = [row[0].lower() for row in rows]
        return self._columns[database, table]

    def types(self, database: str, table: str) -> dict[str, str]:
        """Give the type of each column of a table, as the server writes it."""
        self.columns(database, table)
        return {row[0].lower(): row[1] for row in self.query(database, f"SHOW COLUMNS FROM `{table}`")}

    def is_dolt(self, database: str) -> bool:
        """Say whether this is Dolt and not another server that speaks MySQL's protocol."""
        try:
            return bool(self.query(database, "SELECT dolt_version()"))
        except RefusedError:
            raise
        except SourceError:
            return False

    def frame(self, database: str, table: str, schema: Schema, where: str, symbol: str) -> pl.DataFrame:
        """Give rows as the types of the schema; null is what is absent or not of its type."""
        columns = self.columns(database, table)
        texts = ", ".join(f"COALESCE(`{name}`, '')" if name in columns else "''" for name in schema)
        sql = f"SELECT CONCAT_WS('\t', {texts}) FROM `{table}` WHERE {where}"
        chunks = [b"\n".join(row[0] for row in rows) for rows in self._chunks(database, sql, symbol)]
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
        return frame.select(typed(name, pl.String, wanted) for name, wanted in schema.items())

    def query(self, database: str, sql: str, *parameters: str) -> list[list[str]]:
        """Give the rows of a query as text, nulls as empty."""
        chunks = self._chunks(database, sql, *parameters)
        return [["" if value is None else bytes(value).decode() for value in row] for rows in chunks for row in rows]

    def _chunks(self, database: str, sql: str, *parameters: str) -> list[Sequence[Any]]:
        """Give the rows of a query in chunks; a connection that drops is made again, after longer and longer waits."""
        for wait in _WAITS:
            try:
                return list(self._fetched(database, sql, *parameters))
            except _DroppedError as error:
                logger.warning("%s; trying again in %g s", error, wait)
                time.sleep(wait)
        return list(self._fetched(database, sql, *parameters))

    def _fetched(self, database: str, sql: str, *parameters: str) -> Iterator[Sequence[Any]]:
        try:
            # Before mysql.connector, which drops it without a word where it cannot be loaded.
            import _mysql_connector  # noqa: F401

            missing = ""
        except ImportError as error:
            missing = str(error)
        from mysql.connector import Error, connect

        try:
            if database not in self._connections or not self._connections[database].is_connected():
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
            self._reached = True
            connection = self._connections[database]
            name = type(connection).__name__
            if name != "CMySQLConnection" and not self._warned:
                self._warned = True
                logger.warning("%s: reading with the slow %s: %s", self.place, name, missing or "no C extension")
            cursor = connection.cursor(raw=True)
            cursor.execute(sql, parameters)
            while rows := cursor.fetchmany(_FETCHED_ROWS):
                yield rows
            cursor.close()
        except BaseException as error:
            # With rows unread it can be asked nothing more.
            self._connections.pop(database, None)
            if not isinstance(error, Error):
                raise
            raise self._explained(error, database) from None

    def _explained(self, error: Any, database: str) -> SourceError:
        at, code, what = f"source: {self.place}", error.errno, str(error.msg)
        if code in _NO_SERVER and self._reached:
            return _DroppedError(f"{at}: the server answers no more; look into its log, then run again")
        if code in _NO_SERVER:
            return RefusedError(
                f"{at}: no server answers; start one with `dolt sql-server --port {self.port}` in the folder that "
                "holds the clones, or correct host and port"
            )
        if code in _LOST:
            return _DroppedError(f"{at}: the server ended the connection; look into its log, then run again")
        if code in _WRONG_USER:
            given = "this password" if self._password else "no password (put one in the URL or in MYSQL_PWD)"
            return RefusedError(f"{at}: the server refuses user {self._user!r} with {given}")
        name, _, revision = database.partition("/")
        denied = code == 1105 and re.match("access denied .* to database", what, re.IGNORECASE)
        absent = code in _NO_DATABASE or denied
        if revision and (absent or "not found" in what):
            return AbsentError(
                f"{at}: database {name!r} has no commit, branch or tag {revision!r} that user {self._user!r} may read; "
                "only Dolt has them"
            )
        if absent:
            return AbsentError(
                f"{at}: there is no database {database!r} that user {self._user!r} may read; serve its clone too, "
                f"or name another as in {_FORM}"
            )
        if self._password:
            what = what.replace(self._password, "***")
        return SourceError(f"{at}: database {database!r}: error {code}: {what}")


class AbsentError(SourceError):
    """There is no such database or table, or the user may not see it."""


class RefusedError(SourceError):
    """The server does not talk to us, whatever the question."""


class _DroppedError(RefusedError):
    """The server talked to us and stopped; it may again."""


def parsed(text: str) -> tuple[Server, str, str]:
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
    names = {"options": "options", "stocks": "stocks", "as_of": "", "stocks_as_of": ""}
    for key, name in parse_qsl(url.query, keep_blank_values=True):
        if key not in names:
            raise refusal(f"there is no option {key!r}{nearest(key, names)}")
        form, what = (r"[\w./-]+", "commit, branch or tag") if key.endswith("as_of") else (r"[\w-]+", "database")
        if not re.fullmatch(form, name, re.ASCII):
            raise refusal(f"{key}: got {name!r}, not the name of a {what}")
        names[key] = name
    # To Dolt a revision of a database is a database of its own: options/v1.
    options = "/".join(filter(None, (names["options"], names["as_of"])))
    stocks = "/".join(filter(None, (names["stocks"], names["stocks_as_of"])))
    password = _password_from_outside() if url.password is None else unquote(url.password)
    return Server(url.hostname or "", port, unquote(url.username), password), options, stocks


def _password_from_outside() -> str:
    """Give the password of MYSQL_PWD, or of the section client of ~/.my.cnf; empty without either."""
    if "MYSQL_PWD" in os.environ:
        return os.environ["MYSQL_PWD"]
    path = Path("~/.my.cnf").expanduser()
    options = ConfigParser(allow_no_value=True, strict=False, interpolation=None, comment_prefixes=("#", ";", "!"))
    try:
        options.read(path, encoding="utf-8")
    except (OptionFileError, OSError, UnicodeDecodeError):
        # Not the error itself: it repeats the line, and that may be the password.
        raise SourceError(f"source: {path} is not an option file of MySQL; mend it, or set MYSQL_PWD") from None
    return (options.get("client", "password", fallback=None) or "").strip("'\"")
