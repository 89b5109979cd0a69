"""The `files:` source: a folder of Parquet or CSV tables in DoltHub's column names, or mapped to them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import cast

import polars as pl

from options_bt.data.sources import schemas
from options_bt.data.sources.schemas import Schema
from options_bt.data.sources.source import UNDATED, BasicSource
from options_bt.errors import SourceError, nearest

_TABLES = ("option_chain", "ohlcv", "split", "dividend", "volatility_history", "us_treasury")
_SAMPLED_ROWS = 10_000
"""Rows whose values decide whether a column can be read."""
_COLUMNS = tuple(
    dict.fromkeys(
        (*schemas.SYMBOL, *schemas.CHAIN, *schemas.CHAIN_GREEKS, *schemas.CLOSES, *schemas.SPLITS, *schemas.DIVIDENDS)
    )
)


class FilesSource(BasicSource):
    """Quotes from `option_chain` in a folder, and closes, splits and more from the other tables that it holds.

    Parameters
    ----------
    folder : str
        Must hold ``option_chain.parquet`` or ``.csv``, and may hold ``ohlcv``, ``split``, ``dividend``,
        ``volatility_history`` and ``us_treasury``.
    columns : mapping
        Our column name (DoltHub's) to the files', where they differ.

    Raises
    ------
    SourceError
        When the folder, its chain table or a column of it is missing.
    """

    def __init__(self, folder: str, columns: Mapping[str, str]) -> None:
        self._folder = Path(folder).expanduser()
        self._columns = dict(columns)
        for column in columns:
            if column not in _COLUMNS:
                raise SourceError(
                    f"columns.{column}: unknown{nearest(column, _COLUMNS)}; allowed: {', '.join(_COLUMNS)}"
                )
        if not self._folder.is_dir():
            raise SourceError(f"source: there is no folder {self._folder} (looked in {Path.cwd()})")
        self._scans = {path.stem: (path, _scanned(path)) for path in self._paths()}
        self._names = {name for _, scan in self._scans.values() for name in scan.collect_schema()}
        if "option_chain" not in self._scans:
            raise SourceError(f"source: {self._folder} has no option_chain.parquet and no option_chain.csv")
        self._chain = self._table("option_chain", schemas.CHAIN, schemas.CHAIN_GREEKS)
        self._closes = self._table("ohlcv", schemas.CLOSES) if "ohlcv" in self._scans else None
        self._splits = self._table("split", schemas.SPLITS) if "split" in self._scans else None
        optional: dict[str, tuple[str, Schema, Schema]] = {
            "dividends": ("dividend", schemas.DIVIDENDS, {}),
            "volatility": ("volatility_history", {"date": pl.Date}, schemas.VOLATILITY),
        }
        self._optional = {key: self._table(*table) for key, table in optional.items() if table[0] in self._scans}
        identity = sha256(repr((str(self._folder.resolve()), sorted(columns.items()))).encode()).hexdigest()[:8]
        self.name = f"files-{re.sub(r'[^A-Za-z0-9.-]+', '-', self._folder.resolve().name) or 'root'}-{identity}"
        self.label = f"files in {self._folder}"
        stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in self._paths()]
        self.version = sha256(repr(stats).encode()).hexdigest()[:16]

    def symbols(self) -> list[str]:
        """Return the symbols in the chain table, sorted."""
        column = self._collected(self._chain.select(pl.col("act_symbol").unique().drop_nulls().sort()))
        return cast(list[str], column["act_symbol"].to_list())

    def extent(self) -> tuple[date, date] | None:
        """Return the first and last quote date in the chain table."""
        ends = pl.col("date").min().alias("first"), pl.col("date").max().alias("last")
        first, last = self._collected(self._chain.select(ends)).row(0)
        return None if first is None else (first, last)

    def chain(self, symbol: str, years: Sequence[int]) -> Iterator[tuple[int, pl.DataFrame]]:
        """Yield the quotes of a symbol by year, in the order of the file."""
        year = pl.col("date").dt.year().cast(pl.Int64).fill_null(UNDATED)
        rows = self._collected(
            self._chain.filter(pl.col("act_symbol") == symbol)
            .with_columns(year.alias("year"))
            .filter(pl.col("year").is_in([*years, UNDATED]))
        )
        for (number,), frame in rows.partition_by("year", as_dict=True, include_key=False).items():
            yield cast(int, number), schemas.as_chain(frame)

    def closes(self, symbol: str) -> pl.DataFrame:
        """Return the closes in the `ohlcv` table; no rows without the table."""
        return self._rows_of(self._closes, symbol, schemas.CLOSES)

    def splits(self, symbol: str) -> pl.DataFrame:
        """Return the splits in the `split` table; no rows without the table."""
        return self._rows_of(self._splits, symbol, schemas.SPLITS)

    def optional_tables(self, symbol: str) -> dict[str, pl.DataFrame]:
        """Return the dividends and the volatility history, where their tables exist."""
        columns = {"dividends": schemas.DIVIDENDS, "volatility": schemas.VOLATILITY}
        return {key: self._rows_of(table, symbol, columns[key]) for key, table in self._optional.items()}

    def rates(self) -> pl.DataFrame | None:
        """Return the yields in the `us_treasury` table; None without the table."""
        if "us_treasury" not in self._scans:
            return None
        path, table = self._scans["us_treasury"]
        found = table.collect_schema()
        if "date" not in found:
            raise SourceError(f"source: {path} has no column 'date'; it has: {', '.join(found)}")
        return self._collected(
            table.select(self._read(name, found, dtype).alias(name) for name, dtype in schemas.RATES.items())
        )

    def problems(self) -> list[str]:
        """Return the missing tables and deltas; SourceError names columns whose first values cannot be read."""
        tables = {
            "option_chain": (self._chain, schemas.CHAIN),
            "ohlcv": (self._closes, schemas.CLOSES),
            "split": (self._splits, schemas.SPLITS),
        }
        faults = [
            self._unreadable(name, column, dtype)
            for name, (table, schema) in tables.items()
            if table is not None
            for column, dtype in schema.items()
        ]
        if any(faults):
            raise SourceError("source: " + "; ".join(filter(None, faults)))
        found = self._scans["option_chain"][1].collect_schema()
        known = self._theirs("delta", found) in found
        remarks = [] if known else [f"{self._folder}: option_chain has no column 'delta': {schemas.WITHOUT['delta']}"]
        missing = [name for name in ("ohlcv", "split") if name not in self._scans]
        return remarks + [
            f"{self._folder} has no {name}.parquet and no {name}.csv: {schemas.WITHOUT[name]}" for name in missing
        ]

    def _unreadable(self, name: str, column: str, dtype: type[pl.DataType]) -> str:
        """Return what is wrong with a column that holds values, but none of its type; else an empty text."""
        path, table = self._scans[name]
        schema = table.collect_schema()
        theirs = self._theirs(column, schema)
        raw = pl.col(theirs)
        numeric_date = dtype == pl.Date and schema[theirs].is_numeric()
        read = pl.lit(None) if numeric_date else schemas.typed(theirs, schema[theirs], dtype)
        rows = self._collected(table.head(_SAMPLED_ROWS).select(raw, read.alias("read")).filter(raw.is_not_null()))
        if rows.is_empty() or rows["read"].null_count() < rows.height:
            return ""
        form = "dates as YYYY-MM-DD" if dtype == pl.Date else "numbers"
        return f"{path}: column {theirs!r} starts with {rows[theirs][0]!r}; allowed: {form}"

    def _rows_of(self, table: pl.LazyFrame | None, symbol: str, schema: Schema) -> pl.DataFrame:
        if table is None:
            return pl.DataFrame(schema=schema)
        return self._collected(table.filter(pl.col("act_symbol") == symbol).select(*schema))

    def _paths(self) -> list[Path]:
        """Return the files of the tables that exist, one each."""
        found = []
        for table in _TABLES:
            paths = [path for kind in ("parquet", "csv") if (path := self._folder / f"{table}.{kind}").is_file()]
            if len(paths) > 1:
                raise SourceError(f"source: {self._folder} has both {paths[0].name} and {paths[1].name}; keep one")
            found += paths
        return found

    def _table(self, name: str, required: Schema, optional: Schema | None = None) -> pl.LazyFrame:
        path, table = self._scans[name]
        found = table.collect_schema()
        required = {**schemas.SYMBOL, **required}
        columns = {**required, **(optional or {})}
        missing = [
            column
            for column in columns
            if (column in required or column in self._columns) and self._theirs(column, found) not in found
        ]
        if missing:
            hints = [f"{name!r}{nearest(name, found)}" for name in (self._columns.get(c, c) for c in missing)]
            raise SourceError(
                f"source: {path} has no column {', '.join(hints)}; it has: {', '.join(found)}. "
                f"Name the right ones in the job file, as in columns: {{{missing[0]}: NAME}}"
            )
        return table.select(self._read(column, found, dtype).alias(column) for column, dtype in columns.items())

    def _read(self, column: str, found: pl.Schema, dtype: type[pl.DataType]) -> pl.Expr:
        theirs = self._theirs(column, found)
        return schemas.typed(theirs, found[theirs], dtype) if theirs in found else pl.lit(None, dtype=dtype)

    def _theirs(self, column: str, found: pl.Schema) -> str:
        """Return the name of our column in a table; one mapped to a name of another table keeps its own."""
        mapped = self._columns.get(column, column)
        return mapped if mapped in found or mapped not in self._names else column

    def _collected(self, table: pl.LazyFrame) -> pl.DataFrame:
        try:
            return table.collect()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise SourceError(f"source: {self._folder} cannot be read: {str(error).splitlines()[0]}") from None


def _scanned(path: Path) -> pl.LazyFrame:
    try:
        table = pl.scan_parquet(path) if path.suffix == ".parquet" else pl.scan_csv(path, infer_schema=False)
        table.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise SourceError(f"source: {path} cannot be read: {str(error).splitlines()[0]}") from None
    return table
