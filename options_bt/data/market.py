"""The market: per symbol, the arrays that the engine reads, memory-mapped and shared by every worker."""

from __future__ import annotations

from hashlib import file_digest
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import polars as pl
from msgspec import Struct
from numpy.typing import NDArray

from options_bt.data.cleaning import cleaned
from options_bt.data.closes import Closes, Splits, day_numbers, read_splits
from options_bt.data.links import next_rows
from options_bt.storage import new_folder

MARKET_FORMAT = 1
"""Raised whenever the arrays change; markets of another format are built again."""


DAY = np.dtype(
    [
        ("date", np.int32),  # days since 1970-01-01
        ("close", np.float64),  # as traded or implied; NaN where there is none
        ("groups_from", np.int64),
        ("groups_to", np.int64),
    ],
    align=True,
)
"""One quote day."""

GROUP = np.dtype(
    [
        ("expiration", np.int32),  # days since 1970-01-01
        ("settlement", np.float64),  # close that settles it, in the terms of its day
        ("puts_from", np.int64),
        ("calls_from", np.int64),  # where the puts end
        ("calls_to", np.int64),
    ],
    align=True,
)
"""One expiration on one quote day; its puts and its calls are runs of quotes by rising strike."""

QUOTE = np.dtype(
    [
        ("strike", np.float64),  # dollars per share, like bid and ask
        ("bid", np.float64),
        ("ask", np.float64),
        ("delta", np.float64),  # signed; NaN where it cannot choose a leg
        ("iv", np.float64),  # per year; NaN where unknown
        ("day", np.int32),  # number of its quote day
        ("next", np.int32),  # same contract on its next quote day, also across splits; -1 at the end
    ],
    align=True,
)
"""One quote. Records, not columns: a held position needs all of a few quotes, which then lie in one cache line."""

SPLIT = np.dtype([("date", np.int32), ("ratio", np.float64)], align=True)
"""One split: its first day on new terms, and new shares per old one."""

Records = Any
"""A numpy.recarray: numpy's own type says nothing of the fields."""


class Chain(NamedTuple):
    """The arrays of one symbol's market, as the kernel takes them; all are read-only.

    Attributes
    ----------
    days, groups, quotes, splits : recarrays of DAY, GROUP, QUOTE and SPLIT
        In time order; within a day groups by expiration, within a group quotes by right and strike.
    """

    days: Records
    groups: Records
    quotes: Records
    splits: Records


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
        return len(self.chain.quotes)


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
    for array in (prices.traded_day, prices.traded):
        array.flags.writeable = False
    return Market(
        symbol=symbol,
        fingerprint=fingerprint,
        chain=_arrays(quotes, prices, read),
        traded_day=prices.traded_day,
        traded=prices.traded,
        dropped=dropped,
        implied_closes=int((prices.implied & ~np.isnan(prices.on_quote_days)).sum()),
    )


def _arrays(quotes: pl.DataFrame, prices: Closes, splits: Splits) -> Chain:
    date, expiration = day_numbers(quotes["date"]), day_numbers(quotes["expiration"])
    right, cents = quotes["right"].to_numpy(), quotes["cents"].to_numpy()
    start = _starts(date, expiration)
    first_group = np.searchsorted(date[start], prices.quote_day)
    puts = np.add.reduceat(right == 0, start) if len(start) else np.empty(0, np.int64)
    expirations, number = np.unique(expiration[start], return_inverse=True)
    return Chain(
        days=_records(
            DAY,
            date=prices.quote_day,
            close=prices.on_quote_days,
            groups_from=first_group,
            groups_to=np.append(first_group[1:], len(start)),
        ),
        groups=_records(
            GROUP,
            expiration=expiration[start],
            settlement=prices.at_expiration(expirations)[number],
            puts_from=start,
            calls_from=start + puts,
            calls_to=np.append(start[1:], len(date)),
        ),
        quotes=_records(
            QUOTE,
            strike=cents / 100,
            bid=quotes["bid"],
            ask=quotes["ask"],
            delta=quotes["delta"].fill_null(np.nan),
            iv=quotes["iv"].fill_null(np.nan),
            day=np.searchsorted(prices.quote_day, date),
            next=next_rows(date, expiration, right, cents, splits),
        ),
        splits=_records(SPLIT, date=splits.day, ratio=splits.ratio),
    )


def _starts(*keys: NDArray[Any]) -> NDArray[np.int64]:
    """Give the index of each row that differs in any key from the row before it."""
    changed = np.ones(len(keys[0]), bool)
    changed[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    return np.flatnonzero(changed)


def _records(dtype: np.dtype[Any], **columns: Any) -> Records:
    # Zeros, so that the padding between fields is the same in every file.
    records = np.zeros(len(next(iter(columns.values()))), dtype).view(np.recarray)
    for name, column in columns.items():
        records[name] = column
    records.flags.writeable = False  # the kernel is compiled once, for what a memory map gives
    return records


_TRADED = "traded"


def save_market(market: Market, folder: Path) -> None:
    """Write a market as a folder of ``.npy`` files, as a whole or not at all.

    Raises
    ------
    StorageError
        When the disk refuses.
    """
    with new_folder(folder) as temporary:
        for name, records in market.chain._asdict().items():
            np.save(temporary / f"{name}.npy", np.asarray(records))
        np.save(temporary / f"{_TRADED}.npy", np.rec.fromarrays([market.traded_day, market.traded]))
        about = {name: getattr(market, name) for name in _ABOUT}
        about["files"] = {path.name: (path.stat().st_size, _checksum(path)) for path in temporary.glob("*.npy")}
        (temporary / "market.json").write_bytes(msgspec.json.encode(about))


_ABOUT = ("symbol", "fingerprint", "dropped", "implied_closes")


def damaged_files(folder: Path, *, to_the_bit: bool = False) -> list[Path]:
    """Give the files of a market that are not as they were written: by their sizes, or to the last bit.

    Returns
    -------
    list of Path
        Empty for a whole market; `market.json` where there is none.
    """
    about = folder / "market.json"
    try:
        files: dict[str, tuple[int, str]] = msgspec.json.decode(about.read_bytes())["files"]
    except (OSError, msgspec.DecodeError, KeyError):
        return [about]
    return [
        path
        for path, (size, checksum) in ((folder / name, as_written) for name, as_written in files.items())
        if not path.is_file() or path.stat().st_size != size or (to_the_bit and _checksum(path) != checksum)
    ]


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def open_market(folder: Path) -> Market:
    """Give the market in a folder, memory-mapped, so that processes share it.

    Raises
    ------
    FileNotFoundError
        When there is none.
    """
    about = msgspec.json.decode((folder / "market.json").read_bytes())
    chain = Chain(*(_mapped(folder / f"{name}.npy") for name in Chain._fields))
    traded = _mapped(folder / f"{_TRADED}.npy")
    return Market(chain=chain, traded_day=traded["f0"], traded=traded["f1"], **{name: about[name] for name in _ABOUT})


def _mapped(path: Path) -> Records:
    # An empty array cannot be mapped.
    return np.asarray(np.load(path, mmap_mode="r")).view(np.recarray)
