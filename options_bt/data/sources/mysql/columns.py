"""Whether a server's table has the columns that we need, in types that we can read."""

from __future__ import annotations

import re
from collections.abc import Iterable

import polars as pl

from options_bt.data.sources.mysql.server import Server
from options_bt.data.sources.schemas import Schema
from options_bt.errors import SourceError, nearest

_TEXTS = r"(var)?char|(tiny|medium|long)?text|enum"
_READABLE = {
    pl.Date: (rf"date|datetime|timestamp|{_TEXTS}", "date"),
    pl.Float64: (rf"(tiny|small|medium|big)?int|decimal|float|double|{_TEXTS}", "decimal or another number"),
    pl.String: (_TEXTS, "varchar"),
}
"""The server's types that can be read as each of ours, as a pattern and in words."""


def column_faults(server: Server, database: str, table: str, schema: Schema) -> list[str]:
    """Return a text for each column of a table that is missing or of a type that cannot be read."""
    at = f"database {database} at {server.place}: {table}"
    types = {name: column.type for name, column in server.columns(database, table).items()}
    needed: Schema = {"act_symbol": pl.String, **schema}
    missing = [f"{name!r}{nearest(name, types)}" for name in needed if name not in types]
    faults = [f"{at} has no column {', '.join(missing)}; it has: {', '.join(types)}"] if missing else []
    for name in (name for name in needed if name in types):
        pattern, allowed = _READABLE[needed[name]]
        if not re.match(rf"({pattern})\b", types[name], re.IGNORECASE):
            faults.append(f"{at}: column {name!r} has the type {types[name]}; allowed: {allowed}")
    return faults


def require_columns(server: Server, database: str, table: str, names: Iterable[str]) -> None:
    """Raise SourceError naming the first of these columns that a table does not have."""
    columns = server.columns(database, table)
    for name in names:
        if name not in columns:
            at = f"database {database.partition('/')[0]} at {server.place}: {table}"
            has = ", ".join(columns)
            raise SourceError(f"source: {at} has no column {name!r}{nearest(name, columns)}; it has: {has}")
