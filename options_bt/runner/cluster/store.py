"""The store: a cache that workers read from wherever they are, named by a URL for fsspec."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from options_bt.data.sources.factory import redacted
from options_bt.errors import InputError, OptionsBtError

STORE = "OPTIONS_BT_STORE"
"""The variable that names the store of a worker."""
_ANSWER_SECONDS = 30


class StoreError(OptionsBtError):
    """A store cannot be read; the coordinator has all that it could hold."""


def require_store(url: str) -> None:
    """Refuse a store that this installation cannot read.

    Raises
    ------
    InputError
        When fsspec knows no such store, or lacks the package for it.
    """
    try:
        _opened(url)
    except (ImportError, ValueError) as error:
        raise InputError(_unreadable(url, error)) from None
    except Exception:  # whether it answers is seen when something is wanted of it
        return


def stored(name: str) -> dict[str, bytes] | None:
    """Return the files of a market in the store; None where there is no store, or the market is not in it.

    Raises
    ------
    StoreError
        When the store cannot be read.
    """
    url = os.environ.get(STORE)
    if not url:
        return None
    try:
        return _files(url, name)
    except Exception as error:  # each file system has errors of its own
        raise StoreError(_unreadable(url, error)) from None


def _files(url: str, name: str) -> dict[str, bytes] | None:
    filesystem, root = _opened(url)
    # Those that work asynchronously can be told not to wait for ever; the others do not know the word.
    patience = {"timeout": _ANSWER_SECONDS} if filesystem.async_impl else {}
    filesystem.invalidate_cache()  # the market may have come since the last look
    try:
        files = filesystem.ls(f"{root.rstrip('/')}/{name}", detail=False, **patience)
    except FileNotFoundError:
        filesystem.ls(root, detail=False, **patience)  # a store that is not there at all has something to say
        return None
    return {Path(file).name: content for file, content in filesystem.cat(files).items()}


def _opened(url: str) -> tuple[Any, str]:
    import fsspec

    filesystem, root = fsspec.core.url_to_fs(url)
    return filesystem, root


def _unreadable(url: str, error: Exception) -> str:
    return redacted(f"the store {url} cannot be read: {type(error).__name__}: {error}").rstrip(": .")
