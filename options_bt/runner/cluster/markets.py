"""Markets away from home: how one is packed, and how a worker finds or keeps it in a cache of its own.

A market is named by its place in a cache, ``<source>/market/<SYMBOL>/<fingerprint>-<format>``: equal names mean equal
bits, on every host.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pyarrow as pa
from filelock import FileLock

from options_bt.data.cache.cache import cache_folder
from options_bt.data.market.market import damaged_files
from options_bt.errors import StorageError
from options_bt.runner.cluster.store import stored
from options_bt.storage import new_folder, storage_errors

_NAME_PARTS = 4


def market_name(folder: Path) -> str:
    """Return the name of the market in a folder of a cache.

    Examples
    --------
    >>> market_name(Path("/data/cache/demo/market/SPY/3f2a-2"))
    'demo/market/SPY/3f2a-2'
    """
    return "/".join(folder.parts[-_NAME_PARTS:])


def packed(folder: Path) -> bytes:
    """Return a market as bytes, compressed.

    Raises
    ------
    FileNotFoundError
        When there is none.
    """
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    whole = msgspec.msgpack.encode(files)
    return msgspec.msgpack.encode((len(whole), pa.compress(whole, codec="zstd", asbytes=True)))


def held(name: str) -> Path | None:
    """Return the folder of a market in this host's cache; None where it is not there, or damaged."""
    folder = cache_folder() / name
    return None if damaged_files(folder) else folder


def fetched(name: str) -> bool:
    """Bring a market from the store into this host's cache; return whether it was there.

    Raises
    ------
    StoreError
        When the store cannot be read.
    StorageError
        When the disk refuses, or the market in the store is damaged.
    """
    files = stored(name)
    if files is None:
        return False
    folder = cache_folder() / name
    with _locked(folder):
        if damaged_files(folder):
            _write(files, folder, "the market in the store is damaged")
    return True


def keep(name: str, market: bytes) -> None:
    """Put a packed market into this host's cache, once for all of its processes.

    Raises
    ------
    StorageError
        When the disk refuses, or what came is not what was sent.
    """
    folder = cache_folder() / name
    with _locked(folder):
        if damaged_files(folder):
            size, compressed = msgspec.msgpack.decode(market, type=tuple[int, bytes])
            whole = pa.decompress(compressed, decompressed_size=size, codec="zstd", asbytes=True)
            files = msgspec.msgpack.decode(whole, type=dict[str, bytes])
            _write(files, folder, "the market that came is not the one that was sent; run again")


def _write(files: dict[str, bytes], folder: Path, damage: str) -> None:
    with new_folder(folder) as temporary:
        for name, content in files.items():
            (temporary / Path(name).name).write_bytes(content)
        if damaged_files(temporary, to_the_bit=True):
            raise StorageError(f"{folder}: {damage}")


def _locked(folder: Path) -> FileLock:
    with storage_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(folder.with_name(f".{folder.name}.lock"))
