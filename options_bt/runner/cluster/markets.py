"""Markets away from home: how one is packed, and how a worker gets it into its cache, from a store or as it was sent.

A market is named by its place in a cache, ``<source>/market/<SYMBOL>/<fingerprint>-<format>``: equal names mean equal
bits, on every host. A store is another cache, named by a URL for fsspec, that the workers of any host read.
"""

from __future__ import annotations

import os
from pathlib import Path

import fsspec
import msgspec
import pyarrow as pa
from filelock import FileLock

from options_bt.data.cache.cache import cache_folder
from options_bt.data.market.market import damaged_files
from options_bt.data.sources.factory import redacted
from options_bt.errors import InputError, StorageError
from options_bt.storage import new_folder, storage_errors

STORE = "OPTIONS_BT_STORE"
"""The variable that names the store of a worker."""
_ANSWER_SECONDS = 30
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
    whole = msgspec.msgpack.encode({path.name: path.read_bytes() for path in sorted(folder.iterdir())})
    return msgspec.msgpack.encode((len(whole), pa.compress(whole, codec="zstd", asbytes=True)))


def held(name: str) -> Path | None:
    """Return the folder of a market in this host's cache; None where it is not there, or damaged."""
    folder = cache_folder() / name
    return None if damaged_files(folder) else folder


def keep(name: str, market: bytes) -> None:
    """Put a packed market into this host's cache.

    Raises
    ------
    StorageError
        When the disk refuses, or what came is not what was sent.
    """
    size, compressed = msgspec.msgpack.decode(market, type=tuple[int, bytes])
    whole = pa.decompress(compressed, decompressed_size=size, codec="zstd", asbytes=True)
    files = msgspec.msgpack.decode(whole, type=dict[str, bytes])
    _add(name, files, "the market that came is not the one that was sent; run again")


def fetch(name: str) -> bool:
    """Copy a market from the store into this host's cache; return whether there is a store and it holds the market.

    Raises
    ------
    StorageError
        When the store cannot be read, its market is damaged, or the disk refuses.
    """
    url = os.environ.get(STORE)
    try:
        files = _stored(url, name) if url else None
    except Exception as error:  # each file system has errors of its own
        raise StorageError(_unreadable(str(url), error)) from None
    if files:
        _add(name, files, "the market in the store is damaged")
    return bool(files)


def require_store(url: str) -> None:
    """Refuse a store that this installation cannot read.

    Raises
    ------
    InputError
        When fsspec knows no such store, or lacks the package for it.
    """
    try:
        fsspec.get_filesystem_class(fsspec.core.split_protocol(url)[0])
    except (ImportError, ValueError) as error:
        raise InputError(_unreadable(url, error)) from None


def _stored(url: str, name: str) -> dict[str, bytes]:
    """Return the files of a market in a store; none where the store does not hold it."""
    filesystem, root = fsspec.core.url_to_fs(url)
    # Only those that work asynchronously take a timeout.
    timeout = {"timeout": _ANSWER_SECONDS} if filesystem.async_impl else {}
    filesystem.invalidate_cache()  # the market may have come since the last look
    try:
        files = filesystem.ls(f"{root.rstrip('/')}/{name}", detail=False, **timeout)
    except FileNotFoundError:
        filesystem.ls(root, detail=False, **timeout)  # fails where there is no store at all
        return {}
    return {Path(file).name: content for file, content in filesystem.cat(files).items()}


def _unreadable(url: str, error: Exception) -> str:
    return redacted(f"the store {url} cannot be read: {type(error).__name__}: {error}").rstrip(": .")


def _add(name: str, files: dict[str, bytes], damage: str) -> None:
    """Add a market to this host's cache, once for all of its processes."""
    folder = cache_folder() / name
    with storage_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        if held(name):
            return
        with new_folder(folder) as temporary:
            for file, content in files.items():
                (temporary / Path(file).name).write_bytes(content)
            if damaged_files(temporary, to_the_bit=True):
                raise StorageError(f"{folder}: {damage}")
