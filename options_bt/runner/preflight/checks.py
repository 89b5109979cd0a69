"""A check of `options-bt doctor`: what was checked, what was found, what to do about it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from logging.handlers import BufferingHandler
from pathlib import Path
from typing import Literal, NamedTuple

State = Literal["ok", "warning", "failed"]


class Check(NamedTuple):
    """What was checked, and what was found; a run can begin with warnings, but not after a failed check."""

    state: State
    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.state:<8} {self.name:<9} {' '.join(self.text.split())}"


def verdict(checks: Sequence[Check]) -> str:
    """Return the last line of `options-bt doctor`: how many checks failed or warned, and what to do."""
    failed, warned = (sum(check.state == state for check in checks) for state in ("failed", "warning"))
    advice = "fix the failed checks and rerun doctor" if failed else "ready to run"
    return f"{failed} failed, {counted(warned, 'warning')}: {advice}"


def counted(number: int, unit: str) -> str:
    """Return a number and its unit, as ``1 split`` or ``2 splits``."""
    return f"{number:,} {unit}{'' if number == 1 else 's'}"


def nearest_existing(path: Path) -> Path:
    """Return the path itself where it exists, else the nearest folder above it that does."""
    return next(folder for folder in (path, *path.parents) if os.access(folder, os.F_OK))


def writable(name: str, path: Path) -> Check:
    """Check that a folder is writable or can be created; `name` is also the option that chooses another."""
    found = nearest_existing(path)
    another = f"or choose another folder with --{name} or OPTIONS_BT_{name.upper()}"
    if not found.is_dir():
        return Check("failed", name, f"{found} is a file, not a folder; move it, {another}")
    if not os.access(found, os.W_OK | os.X_OK):
        return Check("failed", name, f"{found} is not writable; change its permissions, {another}")
    return Check("ok", name, f"{path} {'is writable' if found == path else 'will be created'}")


@contextmanager
def warnings_logged_by(name: str) -> Iterator[BufferingHandler]:
    """Yield a handler whose `buffer` keeps the warnings of a logger, which are not printed meanwhile."""
    handler = BufferingHandler(1000)
    handler.setLevel(logging.WARNING)
    logger = logging.getLogger(name)
    logger.addHandler(handler)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
