"""Whether a server's table has the columns that we need, of types that we can read."""

from __future__ import annotations

import re
from collections.abc import Iterable

import polars as pl

from options_bt.data.sources.mysql.server import Server
from options_bt.data.sources.tables import Schema
from options_bt.errors import SourceError, nearest

_TEXTS = r"(var)?char|(tiny|medium|long)?text|enum"
_TYPES = {
    pl.Date: rf"date|datetime|timestamp|{_TEXTS}",
    pl.Float64: rf"(tiny|small|medium|big)?int|decimal|float|double|{_TEXTS}",
    pl.String: _TEXTS,
}
"""The types of a server's columns that can be read as ours."""


def faults_of(server: Server, database: str, table: str, schema: Schema) -> list[str]:
    """Name the columns of a table that are missing or of a type that cannot be read."""
    at = f"database {database} at {server.place}: {table}"
    types = {name: column.type for name, column in server.columns(database, table).items()}
    wanted: Schema = {"act_symbol": pl.String, **schema}
    missing = [f"{name!r}{nearest(name, types)}" for name in wanted if name not in types]
    wrong = [
        f"{at}: column {name!r} has the type {types[name]}; allowed: {_form(dtype)}"
        for name, dtype in wanted.items()
        if name in types and not re.match(rf"({_TYPES[dtype]})\b", types[name], re.IGNORECASE)
    ]
    return [f"{at} has no column {', '.join(missing)}; it has: {', '.join(types)}", *wrong] if missing else wrong


def _form(dtype: type[pl.DataType]) -> str:
    return {pl.Date: "date", pl.Float64: "decimal or another number", pl.String: "varchar"}[dtype]


def require(server: Server, database: str, table: str, wanted: Iterable[str]) -> None:
    """Raise SourceError naming the first of these columns that a table has not."""
    columns = server.columns(database, table)
    for name in wanted:
        if name not in columns:
            at = f"database {database.partition('/')[0]} at {server.place}: {table}"
            has = ", ".join(columns)
            raise SourceError(f"source: {at} has no column {name!r}{nearest(name, columns)}; it has: {has}")
