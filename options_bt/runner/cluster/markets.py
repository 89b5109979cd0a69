"""Markets away from home: how one is packed, and how a worker finds or keeps it in a cache of its own.

A market is named by its place in a cache, ``<source>/market/<SYMBOL>/<fingerprint>-<format>``: equal names mean equal
bits, on every host.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pyarrow as pa
from filelock import FileLock

from options_bt.data.cache import cache_folder
from options_bt.data.market import damaged_files
from options_bt.errors import StorageError
from options_bt.storage import new_folder, storage_errors

STORE = "OPTIONS_BT_STORE"
"""The variable that names a cache which workers can read from wherever they are, as a URL for fsspec."""
_NAME_PARTS = 4


def market_name(folder: Path) -> str:
    """Give the name of the market in a folder of a cache.

    Examples
    --------
    >>> market_name(Path("/data/cache/demo/market/SPY/3f2a-2"))
    'demo/market/SPY/3f2a-2'
    """
    return "/".join(folder.parts[-_NAME_PARTS:])


def packed(folder: Path) -> bytes:
    """Give a market as bytes, compressed.

    Raises
    ------
    FileNotFoundError
        When there is none.
    """
    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    whole = msgspec.msgpack.encode(files)
    return msgspec.msgpack.encode((len(whole), pa.compress(whole, codec="zstd", asbytes=True)))


def held(name: str) -> Path | None:
    """Give the folder of a market in this host's cache, brought from the shared store where there is one; else None."""
    folder = cache_folder() / name
    if not damaged_files(folder):
        return folder
    store = os.environ.get(STORE)
    if store:
        with _locked(folder):
            if damaged_files(folder):
                _fetch(f"{store.rstrip('/')}/{name}", folder)
    return None if damaged_files(folder) else folder


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
            _write(msgspec.msgpack.decode(whole, type=dict[str, bytes]), folder)


def _fetch(url: str, folder: Path) -> None:
    """Bring a market from a store; nothing where the store does not have it."""
    import fsspec

    filesystem, path = fsspec.core.url_to_fs(url)
    try:
        files = {Path(file).name: filesystem.cat_file(file) for file in filesystem.ls(path, detail=False)}
    except FileNotFoundError:
        return
    _write(files, folder)


def _write(files: dict[str, bytes], folder: Path) -> None:
    with new_folder(folder) as temporary:
        for name, content in files.items():
            (temporary / Path(name).name).write_bytes(content)
        if damaged_files(temporary, to_the_bit=True):
            raise StorageError(f"{folder}: the market that came is not the one that was sent; run again")


def _locked(folder: Path) -> FileLock:
    with storage_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(folder.with_name(f".{folder.name}.lock"))
