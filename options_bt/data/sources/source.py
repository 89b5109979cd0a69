"""The protocol of a source of option chains."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from options_bt.errors import SourceError, nearest

if TYPE_CHECKING:
    import polars as pl

UNDATED = 0
"""The year under which a source yields rows without a date, so that they are counted and not lost."""

GREEKS = ("iv", "delta", "gamma", "theta", "vega", "rho")
CHAIN_COLUMNS = ("date", "expiration", "strike", "right", "bid", "ask", *GREEKS)

ReadProgress = Callable[[float, int], None]
"""Called while a source reads, with the symbol-years (fractions too) and the rows read since the last call."""


class Increment(NamedTuple):
    """What changed for a symbol since a revision: the dates whose quotes differ, and all their current quotes."""

    dates: list[date]
    quotes: pl.DataFrame


class Source(Protocol):
    """A source of option chains; only the planning process reads one."""

    @property
    def name(self) -> str:
        """A plain file name, the folder in the cache; different data have different names."""
        ...

    @property
    def label(self) -> str:
        """A name for people, which says when the data is simulated; it never holds a password."""
        ...

    @property
    def version(self) -> str:
        """A text that changes whenever the data may have changed: data cached under another version is updated."""
        ...

    @property
    def revision(self) -> str:
        """The state of the quotes that is read, for `increment` later; empty where the source keeps no history."""
        ...

    def symbols(self) -> list[str]:
        """Return the symbols that have quotes."""
        ...

    def extent(self) -> tuple[date, date] | None:
        """Return the first and last quote date over all symbols; None without quotes."""
        ...

    def prefetch(self, years: Mapping[str, Sequence[int]], folder: Path, progress: ReadProgress) -> None:
        """Read the years of many symbols at once into `folder`, where that is faster than one symbol after the other.

        The methods below then answer from the folder, until it is deleted. An interrupted prefetch is resumed from
        the complete files in the same folder.
        """
        ...

    def increment(self, symbol: str, since: str) -> Increment | None:
        """Return what changed in a symbol's quotes since a revision; None where the source cannot tell."""
        ...

    def chain(self, symbol: str, years: Sequence[int]) -> Iterator[tuple[int, pl.DataFrame]]:
        """Yield the quotes of a symbol, a frame for each year that has any, in the order they were read.

        Columns are CHAIN_COLUMNS: dates as Date, right as ``call`` or ``put`` (null for anything else),
        numbers as Float64 with null for missing values. Nothing is cleaned. Rows without a date come
        under the year UNDATED.
        """
        ...

    def closes(self, symbol: str) -> pl.DataFrame:
        """Return every close of a symbol as traded: ``date``, ``close``."""
        ...

    def splits(self, symbol: str) -> pl.DataFrame:
        """Return the splits of a symbol: ``ex_date``, ``to_factor``, ``for_factor``."""
        ...

    def optional_tables(self, symbol: str) -> dict[str, pl.DataFrame]:
        """Return the tables of a symbol that not every source has, by name.

        ``dividends``: ``ex_date, amount`` (dollars per share). ``volatility``: ``date`` and DoltHub's historical
        and implied volatilities (per year), null where missing.
        """
        ...

    def rates(self) -> pl.DataFrame | None:
        """Return US treasury yields by ``date``, in percent; None where the source has none."""
        ...

    def problems(self) -> list[str]:
        """Return the tables and columns that are missing but not required, and what a run does without them.

        Raises
        ------
        SourceError
            Naming every required column that is missing or cannot be read as its type.
        """
        ...


class BasicSource:
    """Base of a source without history, prefetching and optional tables."""

    revision = ""

    def prefetch(self, years: Mapping[str, Sequence[int]], folder: Path, progress: ReadProgress) -> None:
        """Do nothing."""

    def increment(self, symbol: str, since: str) -> Increment | None:
        """Return None: the changes are not known."""
        return None

    def optional_tables(self, symbol: str) -> dict[str, pl.DataFrame]:
        """Return no tables."""
        return {}

    def rates(self) -> pl.DataFrame | None:
        """Return None."""
        return None


def require_symbols(source: Source, symbols: Sequence[str]) -> None:
    """Raise SourceError naming every symbol without quotes in the source, each with the nearest that has some."""
    known = source.symbols()
    unknown = sorted(set(symbols) - set(known))
    if unknown:
        lines = [f"  {symbol}: no quotes{nearest(symbol, known)}" for symbol in unknown]
        raise SourceError(
            f"{source.label} has {len(known)} symbols, but not all of the job file's:\n" + "\n".join(lines)
        )
