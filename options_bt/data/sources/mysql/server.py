"""A server that speaks MySQL's protocol: its connections, its columns, and queries whose rows come as text."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import polars as pl

from options_bt.data.sources.mysql.address import Address
from options_bt.data.sources.mysql.connection import connect, connector, warn_if_slow
from options_bt.data.sources.mysql.explain import (
    LostConnectionError,
    MissingError,
    UnavailableError,
    explained,
    not_encrypted,
)
from options_bt.data.sources.schemas import Schema, typed
from options_bt.errors import SourceError

logger = logging.getLogger(__name__)

T = TypeVar("T")

FETCHED_ROWS = 50_000
RETRY_WAITS = (0.5, 2.0, 8.0)


class Column(NamedTuple):
    """A column of a server's table: its type as the server writes it, and whether it may hold null."""

    type: str
    nullable: bool


class Server:
    """A MySQL server with one connection per database, opened on first use.

    Parameters
    ----------
    address : Address
    """

    def __init__(self, address: Address) -> None:
        self.place = address.place
        self._address = address
        self._connections: dict[str, Any] = {}
        self._columns: dict[tuple[str, str], dict[str, Column]] = {}
        self._reached = False

    def columns(self, database: str, table: str) -> dict[str, Column]:
        """Return the columns of a table by their names in lower case; MissingError lists the tables there are."""
        if (database, table) not in self._columns:
            tables = [row[0] for row in self.query(database, "SHOW TABLES")]
            if table not in tables:
                user = self._address.user
                has = f"it has: {', '.join(sorted(tables))}" if tables else f"user {user!r} can read none"
                raise MissingError(f"source: {self.place}: database {database!r} has no table {table!r}; {has}")
            rows = self.query(database, f"SHOW COLUMNS FROM `{table}`")
            self._columns[database, table] = {row[0].lower(): Column(row[1], row[2] != "NO") for row in rows}
        return self._columns[database, table]

    def is_dolt(self, database: str) -> bool:
        """Return whether this is Dolt and not another server that speaks MySQL's protocol."""
        try:
            return bool(self.query(database, "SELECT dolt_version()"))
        except UnavailableError:
            raise
        except SourceError:
            return False

    def query(self, database: str, sql: str, *parameters: str) -> list[list[str]]:
        """Return the rows of a query as text, nulls as empty."""
        rows = self.retried(lambda: [row for rows in self._chunks(database, sql, *parameters) for row in rows])
        return [["" if value is None else bytes(value).decode() for value in row] for row in rows]

    def frames(self, database: str, table: str, schema: Schema, where: str, *parameters: str) -> Iterator[pl.DataFrame]:
        """Yield rows as they arrive, up to 50,000 a frame, in the types of the schema.

        Missing values and those that are not of their column's type are null. LostConnectionError is raised when
        the connection drops: call again through `retried`, which starts from the first row.
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
            yield frame.select(typed(name, pl.String, dtype) for name, dtype in schema.items())

    def frame(self, database: str, table: str, schema: Schema, where: str, *parameters: str) -> pl.DataFrame:
        """Return all rows in one frame, read again from the start after a lost connection."""
        frames = self.retried(lambda: list(self.frames(database, table, schema, where, *parameters)))
        return pl.concat(frames) if frames else pl.DataFrame(schema=schema)

    def retried(self, read: Callable[[], T]) -> T:
        """Return the result of `read`, which is called again after a lost connection, up to three times."""
        for wait in RETRY_WAITS:
            try:
                return read()
            except LostConnectionError as error:
                logger.warning("%s; trying again in %g s", error, wait)
                time.sleep(wait)
        return read()

    def _chunks(self, database: str, sql: str, *parameters: str) -> Iterator[Sequence[Any]]:
        """Yield the rows of a query in chunks, while the server still reads the next."""
        module, _ = connector()
        try:
            cursor = self._connection(database).cursor(raw=True)
            cursor.execute(sql, parameters)
            while rows := cursor.fetchmany(FETCHED_ROWS):
                yield rows
            cursor.close()
        except BaseException as error:
            # A connection with unread rows cannot be used again.
            self._connections.pop(database, None)
            if not isinstance(error, module.Error):
                raise
            raise explained(error, self._address, database, self._reached) from None

    def _connection(self, database: str) -> Any:
        """Return the connection to a database, opened where there is none or it was closed."""
        if database not in self._connections or not self._connections[database].is_connected():
            connection = connect(self._address, database)
            if connection is None:
                raise not_encrypted(self._address, "the server offers none")
            if not self._reached:
                warn_if_slow(connection, self.place)
            self._reached = True
            self._connections[database] = connection
        return self._connections[database]


def _text(name: str, column: Column | None) -> str:
    """Return a column as text; one without nulls is left bare, since Dolt takes half as long for it."""
    if column is None:
        return "''"
    return f"IFNULL(`{name}`, '')" if column.nullable else f"`{name}`"
