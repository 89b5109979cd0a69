"""Atomic writes: a reader sees the old file or the new one, never a part."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from options_bt.errors import StorageError


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn an operating system's error in writing `path` into a StorageError that says what to do."""
    try:
        yield
    except OSError as error:
        advice = "free some space" if error.errno == errno.ENOSPC else "check the disk and its permissions"
        raise StorageError(
            f"{path}: cannot write: {error.strerror or error}; {advice}, then rerun the command"
        ) from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path` through a temporary file beside it, flushed to the disk before it is renamed.

    Raises
    ------
    StorageError
        When the disk cannot be written; `path` is then unchanged.
    """
    with new_file(path) as temporary, temporary.open("wb") as file:
        file.write(data)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a temporary file; flushed to the disk, it becomes `path` when the block succeeds, else it is deleted."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with storage_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder; it becomes `path` when the block succeeds, else it is deleted."""
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        try:
            yield temporary
            if path.exists():
                shutil.rmtree(path)
            temporary.rename(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
