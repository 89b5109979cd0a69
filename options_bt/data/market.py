"""The market: per symbol, the arrays that the engine reads, memory-mapped and shared by every worker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
from msgspec import Struct
from numpy.typing import NDArray

from options_bt.data.cleaning import cleaned
from options_bt.data.closes import Closes, Days, Floats, Splits, day_numbers, read_splits
from options_bt.data.links import next_rows
from options_bt.storage import new_folder

MARKET_FORMAT = 1
"""Raised whenever the arrays change; markets of another format are built again."""


class Chain(NamedTuple):
    """The arrays of one symbol's market, as the kernel takes them; all are read-only.

    A *group* is one expiration on one quote day. Its puts are the rows from ``group_row[2 * g]`` and its
    calls those from ``group_row[2 * g + 1]``, each up to the next offset, by rising strike.

    Attributes
    ----------
    day : array of int32, one a quote day
        Days since 1970-01-01, rising.
    close : array of float64, one a quote day
        Close as traded or implied; NaN where there is none.
    day_group : array of int32, one more than quote days
        First group of each day.
    expiration : array of int32, one a group
        Days since 1970-01-01.
    settlement : array of float64, one a group
        Close that settles the expiration, in the terms of its day.
    group_row : array of int64, two a group and one more
    strike, bid, ask : array of float64, one a row
        Dollars per share.
    delta : array of float64, one a row
        Signed; NaN where it cannot choose a leg.
    iv : array of float64, one a row
        Implied volatility per year; NaN where unknown.
    row_day : array of int32, one a row
        Index of the row's quote day.
    next_row : array of int64, one a row
        Row of the same contract on its next quote day, also across splits; -1 at the end.
    split_day : array of int32, one a split
    split_ratio : array of float64, one a split
        New shares per old one.
    """

    day: Days
    close: Floats
    day_group: NDArray[np.int32]
    expiration: Days
    settlement: Floats
    group_row: NDArray[np.int64]
    strike: Floats
    bid: Floats
    ask: Floats
    delta: Floats
    iv: Floats
    row_day: NDArray[np.int32]
    next_row: NDArray[np.int64]
    split_day: Days
    split_ratio: Floats


class Market(Struct, frozen=True, kw_only=True):
    """One symbol's data, ready for the engine.

    Attributes
    ----------
    fingerprint : str
        Of the data that it was built from.
    traded_day, traded : array
        The closes from trades alone, for the price features.
    dropped : dict of str to int
        Quotes dropped by cleaning, by reason.
    implied_closes : int
        Quote days whose close is implied by put-call parity.
    """

    symbol: str
    fingerprint: str
    chain: Chain
    traded_day: Any
    traded: Any
    dropped: dict[str, int]
    implied_closes: int

    @property
    def rows(self) -> int:
        """The number of clean quotes."""
        return len(self.chain.strike)


def build_market(
    symbol: str, fingerprint: str, chain: pl.DataFrame, closes: pl.DataFrame, splits: pl.DataFrame
) -> Market:
    """Give the market of a symbol.

    Parameters
    ----------
    symbol, fingerprint : str
    chain : polars.DataFrame
        Quotes with the columns of `data.source.CHAIN_COLUMNS`, uncleaned, in the order they were read.
    closes, splits : polars.DataFrame
        As a source gives them.

    Returns
    -------
    Market
        Without quotes its arrays are empty.
    """
    quotes, dropped = cleaned(chain)
    read = read_splits(splits)
    prices = Closes(closes, read, quotes)
    return Market(
        symbol=symbol,
        fingerprint=fingerprint,
        chain=_frozen(_arrays(quotes, prices, read)),
        traded_day=prices.traded_day,
        traded=prices.traded,
        dropped=dropped,
        implied_closes=int((prices.implied & ~np.isnan(prices.on_quote_days)).sum()),
    )


def _arrays(quotes: pl.DataFrame, prices: Closes, splits: Splits) -> Chain:
    date, expiration = day_numbers(quotes["date"]), day_numbers(quotes["expiration"])
    right, cents = quotes["right"].to_numpy(), quotes["cents"].to_numpy()
    first_of_group = _starts(date, expiration)
    group_expiration, group_date = expiration[first_of_group], date[first_of_group]
    group_end = np.append(first_of_group[1:], len(date))
    # Puts sort before calls, so the calls of a group start after as many rows as it has puts.
    puts = np.add.reduceat(right == 0, first_of_group) if len(date) else np.empty(0, np.int64)
    group_row = np.empty(2 * len(first_of_group) + 1, np.int64)
    group_row[0:-1:2], group_row[1::2], group_row[-1] = first_of_group, first_of_group + puts, len(date)
    assert (group_row[2::2] == group_end).all()
    expirations, where = np.unique(group_expiration, return_inverse=True)
    return Chain(
        day=prices.quote_day,
        close=prices.on_quote_days,
        day_group=np.searchsorted(group_date, np.append(prices.quote_day, np.iinfo(np.int32).max)).astype(np.int32),
        expiration=group_expiration,
        settlement=prices.at_expiration(expirations)[where],
        group_row=group_row,
        strike=cents / 100,
        bid=quotes["bid"].to_numpy(),
        ask=quotes["ask"].to_numpy(),
        delta=quotes["delta"].fill_null(np.nan).to_numpy(),
        iv=quotes["iv"].fill_null(np.nan).to_numpy(),
        row_day=np.searchsorted(prices.quote_day, date).astype(np.int32),
        next_row=next_rows(date, expiration, right, cents, splits),
        split_day=splits.day,
        split_ratio=splits.ratio,
    )


def _starts(*keys: NDArray[Any]) -> NDArray[np.int64]:
    """Give the index of each row that differs in any key from the row before it."""
    if not len(keys[0]):
        return np.empty(0, np.int64)
    changed = np.zeros(len(keys[0]), bool)
    changed[0] = True
    for key in keys:
        changed[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(changed)


def _frozen(chain: Chain) -> Chain:
    # The kernel is compiled once, for read-only arrays: that is what a memory map gives.
    arrays: dict[str, Any] = {name: np.ascontiguousarray(array) for name, array in chain._asdict().items()}
    for array in arrays.values():
        array.flags.writeable = False
    return Chain(**arrays)


_TABLES: Mapping[str, tuple[str, ...]] = {
    "days": ("day", "close"),
    "day_groups": ("day_group",),
    "groups": ("expiration", "settlement"),
    "group_rows": ("group_row",),
    "quotes": ("strike", "bid", "ask", "delta", "iv", "row_day", "next_row"),
    "splits": ("split_day", "split_ratio"),
}
_TRADED = "traded"


def save_market(market: Market, folder: Path) -> None:
    """Write a market as uncompressed Arrow IPC files, as a whole or not at all.

    Raises
    ------
    StorageError
        When the disk refuses.
    """
    with new_folder(folder) as temporary:
        for table, names in _TABLES.items():
            _write_arrow(temporary / f"{table}.arrow", {name: getattr(market.chain, name) for name in names})
        _write_arrow(temporary / f"{_TRADED}.arrow", {"day": market.traded_day, "close": market.traded})
        about = {name: getattr(market, name) for name in ("symbol", "fingerprint", "dropped", "implied_closes")}
        (temporary / "market.json").write_bytes(msgspec.json.encode(about))


def open_market(folder: Path) -> Market:
    """Give the market in a folder, memory-mapped.

    Raises
    ------
    FileNotFoundError
        When there is none.
    """
    about = msgspec.json.decode((folder / "market.json").read_bytes())
    arrays: dict[str, Any] = {}
    for table in _TABLES:
        arrays |= _map_arrow(folder / f"{table}.arrow")
    traded = _map_arrow(folder / f"{_TRADED}.arrow")
    return Market(chain=Chain(**arrays), traded_day=traded["day"], traded=traded["close"], **about)


def _write_arrow(path: Path, columns: Mapping[str, NDArray[Any]]) -> None:
    table = pa.table(columns)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)  # one batch, so that each column is one array


def _map_arrow(path: Path) -> dict[str, NDArray[Any]]:
    table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    empty = [table.schema.field(name).type.to_pandas_dtype() for name in table.column_names]
    return {
        name: column.chunk(0).to_numpy(zero_copy_only=True) if column.num_chunks else _no_rows(dtype)
        for name, column, dtype in zip(table.column_names, table.columns, empty, strict=True)
    }


def _no_rows(dtype: Any) -> NDArray[Any]:
    array = np.empty(0, dtype)
    array.flags.writeable = False
    return array
