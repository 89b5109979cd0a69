"""What a source of option chains is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from options_bt.errors import SourceError, nearest

if TYPE_CHECKING:
    import polars as pl

UNDATED = 0
"""The year under which a source gives rows without a date, so that they are counted and not lost."""

GREEKS = ("iv", "delta", "gamma", "theta", "vega", "rho")
CHAIN_COLUMNS = ("date", "expiration", "strike", "right", "bid", "ask", *GREEKS)


Read = Callable[[float, int], None]
"""Told, while a source reads, how many symbol-years (a part of one as a fraction) and how many rows it has read."""


class Increment(NamedTuple):
    """What changed of a symbol since a revision: the dates whose quotes differ, and all quotes that they have now."""

    dates: list[date]
    quotes: pl.DataFrame


class Source(Protocol):
    """A place that option chains come from; only the planning process talks to one.

    Attributes
    ----------
    name : str
        A plain file name: the folder in the cache. Different data have different names.
    label : str
        For people; says so when the data is simulated. Never holds a password.
    version : str
        Changes whenever the data may have changed: what was cached under another version is brought up to date.
    revision : str
        Names the state of the quotes that is read, for `increment` later; empty where the source keeps no history.
    """

    @property
    def name(self) -> str:
        """The name."""
        ...

    @property
    def label(self) -> str:
        """The label."""
        ...

    @property
    def version(self) -> str:
        """The version."""
        ...

    @property
    def revision(self) -> str:
        """The revision."""
        ...

    def symbols(self) -> list[str]:
        """Return the symbols that have quotes."""
        ...

    def extent(self) -> tuple[date, date] | None:
        """Return the first and last quote date over all symbols; None when there are none."""
        ...

    def gather(self, wanted: Mapping[str, Sequence[int]], folder: Path, read: Read) -> None:
        """Read ahead for many symbols and their years where that is quicker than one after the other.

        What was read lies in `folder` until that is deleted, and the methods below then answer from it. A source
        that was stopped while it gathered goes on from what is whole in the same folder.
        """
        ...

    def increment(self, symbol: str, since: str) -> Increment | None:
        """Return what changed of a symbol's quotes since a revision; None where the source cannot say."""
        ...

    def chain(self, symbol: str, years: Sequence[int]) -> Iterator[tuple[int, pl.DataFrame]]:
        """Return the quotes of a symbol, a frame for each year that has any, in the order they were read.

        Columns are CHAIN_COLUMNS: dates as Date, right as ``call`` or ``put`` (null for anything else),
        numbers as Float64 with null for what is absent. Nothing is cleaned. Rows without a date come
        under the year UNDATED.
        """
        ...

    def closes(self, symbol: str) -> pl.DataFrame:
        """Return every close of a symbol as traded: ``date``, ``close``; no rows where there are none."""
        ...

    def splits(self, symbol: str) -> pl.DataFrame:
        """Return the splits of a symbol: ``ex_date``, ``to_factor``, ``for_factor``."""
        ...

    def extras(self, symbol: str) -> dict[str, pl.DataFrame]:
        """Return the tables that not every source has, of those that it has.

        ``dividends``: ``ex_date, amount`` (dollars per share). ``volatility``: ``date`` and DoltHub's historical
        and implied volatilities (per year), null where it has none.
        """
        ...

    def rates(self) -> pl.DataFrame | None:
        """Return the yields of the treasury by ``date``, in percent; None where the source has none."""
        ...

    def problems(self) -> list[str]:
        """Return what a run can do without, and what follows: tables and columns that are not there.

        Raises
        ------
        SourceError
            Naming all that no run can do without: columns that are missing, or cannot be read as their type.
        """
        ...


class Snapshot:
    """What a source answers that keeps no history, reads nothing ahead and has quotes, closes and splits alone."""

    revision = ""

    def gather(self, wanted: Mapping[str, Sequence[int]], folder: Path, read: Read) -> None:
        """Do nothing."""

    def increment(self, symbol: str, since: str) -> Increment | None:
        """Return None: what changed is not known."""
        return None

    def extras(self, symbol: str) -> dict[str, pl.DataFrame]:
        """Return no tables."""
        return {}

    def rates(self) -> pl.DataFrame | None:
        """Return None."""
        return None


def require_symbols(source: Source, symbols: Sequence[str]) -> None:
    """Raise SourceError naming every symbol that the source has no quotes of, with the nearest it has."""
    known = source.symbols()
    unknown = sorted(set(symbols) - set(known))
    if unknown:
        lines = [f"  {symbol}: no quotes{nearest(symbol, known)}" for symbol in unknown]
        raise SourceError(
            f"{source.label} has {len(known)} symbols, but not all that the job file names:\n" + "\n".join(lines)
        )
