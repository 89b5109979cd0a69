"""What a check of `options-bt doctor` gives, and the check of a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, NamedTuple

State = Literal["ok", "warning", "failed"]


class Check(NamedTuple):
    """One thing that was looked at.

    Attributes
    ----------
    state : 'ok', 'warning' or 'failed'
        A run can begin with warnings, but not where something failed.
    name : str
        What was looked at.
    text : str
        What was found, and what to do about it.
    """

    state: State
    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.state:<8} {self.name:<9} {' '.join(self.text.split())}"


def ok(name: str, text: str) -> Check:
    """Return a check that found nothing wrong."""
    return Check("ok", name, text)


def warning(name: str, text: str) -> Check:
    """Return a check that found what a run can live with."""
    return Check("warning", name, text)


def failed(name: str, text: str) -> Check:
    """Return a check that found what no run can live with."""
    return Check("failed", name, text)


def counted(number: int, unit: str) -> str:
    """Return a number of things, as ``1 split`` or ``2 splits``."""
    return f"{number:,} {unit}{'' if number == 1 else 's'}"


def existing(path: Path) -> Path:
    """Return the path itself where it exists, else the nearest folder above it that does."""
    return next(place for place in (path, *path.parents) if os.access(place, os.F_OK))


def writable(name: str, path: Path) -> Check:
    """Check that a folder can be written, or made where it does not exist yet.

    Parameters
    ----------
    name : str
        ``cache`` or ``runs``: also the option that names another folder.
    path : Path
    """
    place = existing(path)
    instead = f"or name another with --{name} or OPTIONS_BT_{name.upper()}"
    if not place.is_dir():
        return failed(name, f"{place} is a file, and a folder is needed there; move it, {instead}")
    if not os.access(place, os.W_OK | os.X_OK):
        return failed(name, f"{place} cannot be written; change its permissions, {instead}")
    return ok(name, f"{path} can be written" if place == path else f"{path} will be made")
