"""Errors for the user: what was got, what is allowed, what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches


class OptionsBtError(Exception):
    """Base of every error that a user can cause or fix; the command line prints it without a traceback."""

    exit_code = 1


class InputError(OptionsBtError):
    """A job file, an option or a name is wrong: nothing was run and nothing was written."""

    exit_code = 2


class SourceError(InputError):
    """A source cannot be read: no server, no folder, a missing column, an unknown symbol."""


class StorageError(OptionsBtError):
    """The disk is full, read-only or not permitted. Finished work is kept."""

    exit_code = 3


class RunFolderError(InputError):
    """A run folder is missing, in use, or belongs to another job."""


class MissingExtraError(InputError):
    """A feature needs a package that a plain installation leaves out.

    Parameters
    ----------
    feature : str
        In the plural.
    package : str
        The missing package.
    extra : str
        The extra of options-bt that installs it.
    """

    def __init__(self, feature: str, package: str, extra: str) -> None:
        super().__init__(
            f"{feature} need the package {package}, which is not installed: pip install 'options-bt[{extra}]'"
        )


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a job file.

    Attributes
    ----------
    path : str
        The key, such as ``grid.delta[2]``; empty for the file as a whole.
    problem : str
        What was got.
    allowed : str
        What is allowed there.
    """

    path: str
    problem: str
    allowed: str = ""

    def __str__(self) -> str:
        prefix = f"{self.path}: " if self.path else ""
        return f"{prefix}{self.problem}" + (f"; allowed: {self.allowed}" if self.allowed else "")


_LISTED = 20


class JobFileError(InputError):
    """A job file is wrong; its faults are listed, up to twenty of them.

    Parameters
    ----------
    file : str
        The file as the user named it.
    faults : sequence of Fault
        At least one.
    """

    def __init__(self, file: str, faults: Sequence[Fault]) -> None:
        self.file = file
        self.faults = tuple(faults)
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        lines = [f"  {fault}" for fault in faults[:_LISTED]]
        more = [f"  and {len(faults) - _LISTED} more"] if len(faults) > _LISTED else []
        super().__init__("\n".join([f"{file}: {count}, nothing was run", *lines, *more]))


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known names that resemble `name` most, as a phrase to append to an error.

    Parameters
    ----------
    name : str
        The name that the user wrote.
    known : iterable of str
        The names that exist.

    Returns
    -------
    str
        ``" (did you mean 'delta'?)"``, or an empty text where none is close.
    """
    folded = {candidate.casefold(): candidate for candidate in known}
    close = get_close_matches(name.casefold(), folded, n=2, cutoff=0.6)
    if not close:
        return ""
    return f" (did you mean {' or '.join(repr(folded[match]) for match in close)}?)"
