"""Small tables in the shape that sources give, and a source made of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any

import polars as pl

from options_bt.data.sources.source import CHAIN_COLUMNS, UNDATED, BasicSource

Row = dict[str, Any]
Closes = Sequence[tuple[date | None, float | None]]
Splits = Sequence[tuple[date | None, float | None, float | None]]

_TYPES: dict[str, type[pl.DataType]] = {"date": pl.Date, "expiration": pl.Date, "right": pl.String}
CHAIN_SCHEMA = {name: _TYPES.get(name, pl.Float64) for name in CHAIN_COLUMNS}


def quote(day: date | None, expiration: date | None, strike: float | None, right: str | None, **others: Any) -> Row:
    """A clean quote but for what is given otherwise."""
    delta = -0.3 if right == "put" else 0.3
    row = {"date": day, "expiration": expiration, "strike": strike, "right": right}
    return row | {"bid": 1.0, "ask": 1.2, "iv": 0.2, "delta": delta} | others


def chain_frame(rows: Iterable[Row]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=CHAIN_SCHEMA)


def closes_frame(rows: Closes) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema={"date": pl.Date, "close": pl.Float64}, orient="row")


def splits_frame(rows: Splits) -> pl.DataFrame:
    schema = {"ex_date": pl.Date, "to_factor": pl.Float64, "for_factor": pl.Float64}
    return pl.DataFrame(list(rows), schema=schema, orient="row")


class TableSource(BasicSource):
    """A source whose one symbol has these rows; counts the years it was asked for."""

    def __init__(
        self,
        rows: Iterable[Row],
        closes: Closes = (),
        splits: Splits = (),
        version: str = "1",
        symbol: str = "X",
        optional_tables: dict[str, pl.DataFrame] | None = None,
    ) -> None:
        self.name, self.label, self.version = "table", "a table", version
        self.symbol = symbol
        self.rows = chain_frame(rows)
        self.asked: list[int] = []
        self._closes, self._splits = closes_frame(closes), splits_frame(splits)
        self._optional_tables = optional_tables or {}

    def symbols(self) -> list[str]:
        return [self.symbol]

    def problems(self) -> list[str]:
        return []

    def extent(self) -> tuple[date, date] | None:
        days = self.rows["date"].drop_nulls().sort().to_list()
        return (days[0], days[-1]) if days else None

    def chain(self, symbol: str, years: Sequence[int]) -> Iterator[tuple[int, pl.DataFrame]]:
        self.asked += years
        for year in [*years, UNDATED]:
            frame = self.rows.filter(pl.col("date").dt.year().fill_null(UNDATED) == year)
            if frame.height:
                yield year, frame

    def closes(self, symbol: str) -> pl.DataFrame:
        return self._closes

    def splits(self, symbol: str) -> pl.DataFrame:
        return self._splits

    def optional_tables(self, symbol: str) -> dict[str, pl.DataFrame]:
        return self._optional_tables
