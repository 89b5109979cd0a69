"""The `files:` source: a folder of Parquet or CSV tables in DoltHub's column names, or mapped to them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import cast

import polars as pl

from options_bt.data.source import CHAIN_COLUMNS, GREEKS, UNDATED
from options_bt.errors import SourceError, nearest

_CHAIN = {
    "date": pl.Date,
    "act_symbol": pl.String,
    "expiration": pl.Date,
    "strike": pl.Float64,
    "call_put": pl.String,
    "bid": pl.Float64,
    "ask": pl.Float64,
}
_GREEKS = {"vol": pl.Float64} | {name: pl.Float64 for name in GREEKS if name != "iv"}
_CLOSES = {"act_symbol": pl.String, "date": pl.Date, "close": pl.Float64}
_SPLITS = {"act_symbol": pl.String, "ex_date": pl.Date, "to_factor": pl.Float64, "for_factor": pl.Float64}
_KNOWN = tuple(dict.fromkeys((*_CHAIN, *_GREEKS, *_CLOSES, *_SPLITS)))
_RIGHTS = {"c": "call", "call": "call", "p": "put", "put": "put"}


class FilesSource:
    """Quotes, closes and splits from `option_chain`, `ohlcv` and `split` tables in a folder.

    Parameters
    ----------
    folder : str
        ``option_chain.parquet`` or ``.csv`` must be there; the other two may be.
    columns : mapping
        Our column name (DoltHub's) to the one in the files, where they differ.

    Raises
    ------
    SourceError
        When the folder, its chain table or a column of it is missing.
    """

    def __init__(self, folder: str, columns: Mapping[str, str]) -> None:
        self._folder = Path(folder).expanduser()
        self._columns = dict(columns)
        for column in columns:
            if column not in _KNOWN:
                raise SourceError(f"columns.{column}: unknown{nearest(column, _KNOWN)}; allowed: {', '.join(_KNOWN)}")
        if not self._folder.is_dir():
            raise SourceError(f"source: there is no folder {self._folder} (looked in {Path.cwd()})")
        self._chain = self._table("option_chain", _CHAIN, _GREEKS)
        self._closes = self._table("ohlcv", _CLOSES)
        self._splits = self._table("split", _SPLITS)
        place = sha256(repr((str(self._folder.resolve()), sorted(columns.items()))).encode()).hexdigest()[:8]
        self.name = f"files-{re.sub(r'[^A-Za-z0-9.-]+', '-', self._folder.resolve().name) or 'root'}-{place}"
        self.label = f"files in {self._folder}"
        stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in self._paths()]
        self.version = sha256(repr(stats).encode()).hexdigest()[:16]

    def symbols(self) -> list[str]:
        """Give the symbols in the chain table, sorted."""
        column = self._collected(self._required_chain().select(pl.col("act_symbol").unique().drop_nulls().sort()))
        return cast(list[str], column["act_symbol"].to_list())

    def extent(self) -> tuple[date, date] | None:
        """Give the first and last quote date in the chain table."""
        ends = pl.col("date").min().alias("first"), pl.col("date").max().alias("last")
        first, last = self._collected(self._required_chain().select(ends)).row(0)
        return None if first is None else (first, last)

    def chain(self, symbol: str, years: Sequence[int]) -> Iterator[tuple[int, pl.DataFrame]]:
        """Give the quotes of a symbol by year, in the order of the file."""
        year = pl.col("date").dt.year().cast(pl.Int64).fill_null(UNDATED)
        right = pl.col("call_put").str.strip_chars().str.to_lowercase().replace_strict(_RIGHTS, default=None)
        rows = self._collected(
            self._required_chain()
            .filter(pl.col("act_symbol") == symbol)
            .rename({"vol": "iv"})
            .with_columns(right.alias("right"), year.alias("year"))
            .filter(pl.col("year").is_in([*years, UNDATED]))
            .select("year", *CHAIN_COLUMNS)
        )
        for (number,), frame in rows.partition_by("year", as_dict=True, include_key=False).items():
            yield cast(int, number), frame

    def closes(self, symbol: str) -> pl.DataFrame:
        """Give the closes in the `ohlcv` table; none without the table."""
        return self._rows_of(self._closes, symbol, ["date", "close"], _CLOSES)

    def splits(self, symbol: str) -> pl.DataFrame:
        """Give the splits in the `split` table; none without the table."""
        return self._rows_of(self._splits, symbol, ["ex_date", "to_factor", "for_factor"], _SPLITS)

    def _rows_of(
        self, table: pl.LazyFrame | None, symbol: str, names: list[str], schema: Mapping[str, type[pl.DataType]]
    ) -> pl.DataFrame:
        if table is None:
            return pl.DataFrame(schema={name: schema[name] for name in names})
        return self._collected(table.filter(pl.col("act_symbol") == symbol).select(names))

    def _required_chain(self) -> pl.LazyFrame:
        if self._chain is None:
            raise SourceError(f"source: {self._folder} has no option_chain.parquet and no option_chain.csv")
        return self._chain

    def _paths(self) -> list[Path]:
        names = (f"{table}.{kind}" for table in ("option_chain", "ohlcv", "split") for kind in ("parquet", "csv"))
        return [path for name in names if (path := self._folder / name).is_file()]

    def _table(
        self,
        name: str,
        required: Mapping[str, type[pl.DataType]],
        optional: Mapping[str, type[pl.DataType]] | None = None,
    ) -> pl.LazyFrame | None:
        paths = [path for path in self._paths() if path.stem == name]
        if len(paths) > 1:
            raise SourceError(f"source: {self._folder} has both {paths[0].name} and {paths[1].name}; keep one")
        if not paths:
            return None
        scan = pl.scan_parquet if paths[0].suffix == ".parquet" else _scan_csv
        try:
            table = scan(paths[0])
            found = table.collect_schema()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise SourceError(f"source: {paths[0]} cannot be read: {str(error).splitlines()[0]}") from None
        for column in required:
            if self._theirs(column) not in found:
                hint = nearest(self._theirs(column), found)
                raise SourceError(
                    f"source: {paths[0]} has no column {self._theirs(column)!r}{hint}; it has: {', '.join(found)}. "
                    f"Name the right one in the job file, as in columns: {{{column}: NAME}}"
                )
        wanted = dict(required) | dict(optional or {})
        return table.select(
            _typed(self._theirs(column), found.get(self._theirs(column)), dtype).alias(column)
            for column, dtype in wanted.items()
        )

    def _theirs(self, column: str) -> str:
        return self._columns.get(column, column)

    def _collected(self, table: pl.LazyFrame) -> pl.DataFrame:
        try:
            return table.collect()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise SourceError(f"source: {self._folder} cannot be read: {str(error).splitlines()[0]}") from None


def _scan_csv(path: Path) -> pl.LazyFrame:
    return pl.scan_csv(path, infer_schema=False)


def _typed(column: str, found: pl.DataType | None, wanted: type[pl.DataType]) -> pl.Expr:
    """Give a column as the type we want; what cannot be read as it becomes null and is counted by cleaning."""
    if found is None:
        return pl.lit(None, dtype=wanted)
    if wanted == pl.Date and found == pl.String:
        return pl.col(column).str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    if wanted == pl.Float64:
        return pl.col(column).cast(pl.Float64, strict=False).fill_nan(None)
    return pl.col(column).cast(wanted, strict=False)
