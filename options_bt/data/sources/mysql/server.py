"""A server that speaks MySQL's protocol: connections, queries as text, and errors that say what to do."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import polars as pl

from options_bt.data.sources.mysql.address import FORM, Address
from options_bt.data.sources.tables import Schema, typed
from options_bt.errors import SourceError

logger = logging.getLogger(__name__)

T = TypeVar("T")

_FETCHED_ROWS = 50_000
_WAITS = (0.5, 2.0, 8.0)

_NO_SERVER = {2001, 2002, 2003, 2004, 2005}
_LOST = {2006, 2013, 2055}
_NO_TLS = {2026, 2068}
_WRONG_USER = {1045, 1698, 2012}
_NO_DATABASE = {1044, 1049}


class Column(NamedTuple):
    """A column of a server's table: its type as the server writes it, and whether it may hold null."""

    type: str
    nullable: bool


class Server:
    """A MySQL server: a connection per database, made when first needed.

    Parameters
    ----------
    address : Address
    """

    def __init__(self, address: Address) -> None:
        self.place = address.place
        self._address = address
        self._connections: dict[str, Any] = {}
        self._columns: dict[tuple[str, str], dict[str, Column]] = {}
        self._warned = self._reached = False

    def columns(self, database: str, table: str) -> dict[str, Column]:
        """Return the columns of a table by their names in lower case; AbsentError says what there is instead."""
        if (database, table) not in self._columns:
            tables = [row[0] for row in self.query(database, "SHOW TABLES")]
            if table not in tables:
                user = self._address.user
                has = f"it has: {', '.join(sorted(tables))}" if tables else f"user {user!r} can read none"
                raise AbsentError(f"source: {self.place}: database {database!r} has no table {table!r}; {has}")
            rows = self.query(database, f"SHOW COLUMNS FROM `{table}`")
            self._columns[database, table] = {row[0].lower(): Column(row[1], row[2] != "NO") for row in rows}
        return self._columns[database, table]

    def is_dolt(self, database: str) -> bool:
        """Return whether this is Dolt and not another server that speaks MySQL's protocol."""
        try:
            return bool(self.query(database, "SELECT dolt_version()"))
        except RefusedError:
            raise
        except SourceError:
            return False

    def query(self, database: str, sql: str, *parameters: str) -> list[list[str]]:
        """Return the rows of a query as text, nulls as empty."""
        rows = self.retried(lambda: [row for rows in self._chunks(database, sql, *parameters) for row in rows])
        return [["" if value is None else bytes(value).decode() for value in row] for row in rows]

    def frames(self, database: str, table: str, schema: Schema, where: str, *parameters: str) -> Iterator[pl.DataFrame]:
        """Yield rows as they come, up to 50,000 a frame, as the types of the schema.

        Null is what is absent or not of its type. A connection that drops raises; `retried` reads anew.
        """
        columns = self.columns(database, table)
        texts = ", ".join(_text(name, columns.get(name)) for name in schema)
        sql = f"SELECT CONCAT_WS('\t', {texts}) FROM `{table}` WHERE {where}"
        for rows in self._chunks(database, sql, *parameters):
            frame = pl.read_csv(
                b"\n".join(row[0] for row in rows) + b"\n",
                separator="\t",
                has_header=False,
                quote_char=None,
                schema=dict.fromkeys(schema, pl.String),
                truncate_ragged_lines=True,
            )
            yield frame.select(typed(name, pl.String, wanted) for name, wanted in schema.items())

    def frame(self, database: str, table: str, schema: Schema, where: str, *parameters: str) -> pl.DataFrame:
        """Return all rows in one frame, read anew after a connection that dropped."""
        frames = self.retried(lambda: list(self.frames(database, table, schema, where, *parameters)))
        return pl.concat(frames) if frames else pl.DataFrame(schema=schema)

    def retried(self, read: Callable[[], T]) -> T:
        """Return what `read` gives; when the connection drops it is called again, after longer and longer waits."""
        for wait in _WAITS:
            try:
                return read()
            except _DroppedError as error:
                logger.warning("%s; trying again in %g s", error, wait)
                time.sleep(wait)
        return read()

    def _chunks(self, database: str, sql: str, *parameters: str) -> Iterator[Sequence[Any]]:
        """Yield the rows of a query in chunks, while the server still reads the next."""
        try:
            # Before mysql.connector, which drops it without a word where it cannot be loaded.
            import _mysql_connector  # noqa: F401

            missing = ""
        except ImportError as error:
            missing = str(error)
        from mysql.connector import Error

        try:
            connection = self._connected(database)
            name = type(connection).__name__
            if name != "CMySQLConnection" and not self._warned:
                self._warned = True
                logger.warning(
                    "%s: reading with the slow %s: %s; mysql-connector-python 9.5 has a C extension for older systems",
                    *(self.place, name, missing or "no C extension"),
                )
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

    def _connected(self, database: str) -> Any:
        from mysql.connector import connect

        if database not in self._connections or not self._connections[database].is_connected():
            connection = connect(
                **self._address.arguments(),
                database=database,
                autocommit=True,
                charset="utf8mb4",
                collation="utf8mb4_general_ci",  # MariaDB does not know the connector's default
                connection_timeout=10,
                allow_local_infile=False,
            )
            if self._address.ssl_mode == "required" and not _is_encrypted(connection):
                raise self._not_encrypted("the server offers none")
            self._reached = True
            self._connections[database] = connection
        return self._connections[database]

    def _explained(self, error: Any, database: str) -> SourceError:
        at, code, what = f"source: {self.place}", error.errno, str(error.msg)
        user, password = self._address.user, self._address.password
        if code in _NO_SERVER and self._reached:
            return _DroppedError(f"{at}: the server answers no more; look into its log, then run again")
        if code in _NO_SERVER:
            return RefusedError(
                f"{at}: no server answers; start one with `{self._address.command}` in the folder that "
                "holds the clones, or correct where it is"
            )
        if code in _NO_TLS or "certificate verify failed" in what:
            return self._not_encrypted(what)
        if code in _LOST:
            return _DroppedError(f"{at}: the server ended the connection; look into its log, then run again")
        if code in _WRONG_USER:
            given = "this password" if password else "no password (put one in the URL or in MYSQL_PWD)"
            return RefusedError(f"{at}: the server refuses user {user!r} with {given}")
        name, _, revision = database.partition("/")
        denied = code == 1105 and re.match("access denied .* to database", what, re.IGNORECASE)
        absent = code in _NO_DATABASE or denied
        if revision and (absent or "not found" in what):
            return AbsentError(
                f"{at}: database {name!r} has no commit, branch or tag {revision!r} that user {user!r} may read; "
                "only Dolt has them"
            )
        if absent:
            return AbsentError(
                f"{at}: there is no database {database!r} that user {user!r} may read; serve its clone too, or name "
                f"another as in {FORM}"
            )
        if password:
            what = what.replace(password, "***")
        return SourceError(f"{at}: database {database!r}: error {code}: {what}")

    def _not_encrypted(self, why: str) -> SourceError:
        mode = self._address.ssl_mode
        return RefusedError(f"source: {self.place}: no encrypted connection with ssl_mode={mode}: {why}")


class AbsentError(SourceError):
    """There is no such database or table, or the user may not see it."""


class RefusedError(SourceError):
    """The server does not talk to us, whatever the question."""


class _DroppedError(RefusedError):
    """The server talked to us and stopped; it may again."""


def _is_encrypted(connection: Any) -> bool:
    """Return whether a connection is; the connector's two classes know it in two places."""
    compiled = getattr(connection, "_cmysql", None)
    return bool(compiled.get_ssl_cipher() if compiled else connection.is_secure)


def _text(name: str, column: Column | None) -> str:
    """Return a column as text; what holds no null is left bare, since Dolt takes half as long for it."""
    if column is None:
        return "''"
    return f"IFNULL(`{name}`, '')" if column.nullable else f"`{name}`"
