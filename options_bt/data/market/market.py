"""The market: per symbol, the arrays that the engine reads, memory-mapped and shared by every worker."""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from options_bt.storage import new_folder

MARKET_FORMAT = 5
"""Raised whenever the arrays change; markets of another format are built again."""


DAY = np.dtype(
    [
        ("date", np.int32),  # days since 1970-01-01
        ("close", np.float64),  # as traded or implied; NaN where there is none
        ("groups_from", np.int64),
        ("groups_to", np.int64),
        ("has_volatility", np.int8, (2,)),  # whether any put, any call implies one
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
        ("rising", np.int8, (2,)),  # whether the usable deltas of its puts, its calls never fall towards the money
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

IMPLIED = np.dtype([("volatility", np.float64), ("spread", np.float64)], align=True)
"""What the mid of a quote implies: volatility per year, and half the spread over vega; NaN where it implies none."""

ACTION = np.dtype(
    [
        ("date", np.int32),  # first day on new terms, or without the dividend
        ("ratio", np.float64),  # of a split: new shares per old one; 1 for a dividend
        ("dividend", np.float64),  # dollars per share; 0 for a split
        ("close", np.float64),  # the last one before a dividend, in the terms of its day; NaN where there is none
    ],
    align=True,
)
"""One corporate action."""

TRADED = np.dtype([("date", np.int32), ("close", np.float64)], align=True)
"""One close of the underlying, as traded."""

HISTORY = np.dtype([("date", np.int32), ("hv", np.float64), ("iv", np.float64)], align=True)
"""One row of a source's volatility history: historical and implied, per year; NaN where it has none."""

Records = Any
"""A numpy.recarray: numpy's own type says nothing of the fields."""


class Chain(NamedTuple):
    """The arrays of one symbol's market, as the kernel takes them; all are read-only.

    Attributes
    ----------
    days, groups, quotes, implied, actions : recarrays of DAY, GROUP, QUOTE, IMPLIED and ACTION
        In time order; within a day groups by expiration, within a group quotes by right and strike, on a day splits
        before dividends. `implied` has an element for each quote.
    """

    days: Records
    groups: Records
    quotes: Records
    implied: Records
    actions: Records


class Market(Struct, frozen=True, kw_only=True, dict=True):
    """One symbol's data, ready for the engine.

    Attributes
    ----------
    fingerprint : str
        Of the data that it was built from.
    traded : recarray of TRADED
        The closes from trades alone, for the price features.
    history : recarray of HISTORY
        The volatilities that the source itself has computed; empty where it has none.
    dropped : dict of str to int
        Quotes dropped by cleaning, by reason.
    implied_closes : int
        Quote days whose close is implied by put-call parity.
    """

    symbol: str
    fingerprint: str
    chain: Chain
    traded: Records
    history: Records
    dropped: dict[str, int]
    implied_closes: int

    @property
    def rows(self) -> int:
        """The number of clean quotes."""
        return len(self.chain.quotes)

    @cached_property
    def dates(self) -> NDArray[np.int32]:
        """The quote days, as days since 1970-01-01; read-only."""
        dates: NDArray[np.int32] = np.ascontiguousarray(self.chain.days["date"])
        dates.flags.writeable = False
        return dates

    @cached_property
    def arrays(self) -> Chain:
        """The chain as plain read-only arrays, which compiled code takes ten times as fast as recarrays."""
        arrays = [array.view(np.ndarray) for array in self.chain]
        for array in arrays:
            array.flags.writeable = False
        return Chain(*arrays)


_CHAINED = {"days": DAY, "groups": GROUP, "quotes": QUOTE, "implied": IMPLIED, "actions": ACTION}
_UNCHAINED = {"traded": TRADED, "history": HISTORY}


def save_market(market: Market, folder: Path) -> None:
    """Write a market as a folder of ``.npy`` files, as a whole or not at all.

    Raises
    ------
    StorageError
        When the disk refuses.
    """
    arrays = market.chain._asdict() | {name: getattr(market, name) for name in _UNCHAINED}
    with new_folder(folder) as temporary:
        files = {}
        for name, array in arrays.items():
            path = temporary / f"{name}.npy"
            np.save(path, array)
            files[path.name] = (path.stat().st_size, _checksum(path))
        about = {name: getattr(market, name) for name in _ABOUT} | {"files": files}
        (temporary / "market.json").write_bytes(msgspec.json.encode(about))


_ABOUT = ("symbol", "fingerprint", "dropped", "implied_closes")


def damaged_files(folder: Path, *, to_the_bit: bool = False) -> list[Path]:
    """Return the files of a market that are not as they were written: by their sizes, or to the last bit.

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
    """Return the CRC-32 of a file: it detects damage, which is all that threatens a market."""
    total = 0
    with path.open("rb") as file:
        for part in iter(partial(file.read, 1_000_000), b""):
            total = crc32(part, total)
    return f"{total:08x}"


def open_market(folder: Path) -> Market:
    """Return the market in a folder, memory-mapped, so that processes share it.

    Raises
    ------
    FileNotFoundError
        When there is none.
    """
    about = msgspec.json.decode((folder / "market.json").read_bytes())
    chain = Chain(*(_mapped(folder / f"{name}.npy", dtype) for name, dtype in _CHAINED.items()))
    unchained = {name: _mapped(folder / f"{name}.npy", dtype) for name, dtype in _UNCHAINED.items()}
    return Market(chain=chain, **unchained, **{name: about[name] for name in _ABOUT})


def _mapped(path: Path, dtype: np.dtype[np.void]) -> Records:
    # A file does not say that the records are aligned, which compiled code relies on.
    return np.asarray(np.load(path, mmap_mode="r")).view(dtype, np.recarray)
