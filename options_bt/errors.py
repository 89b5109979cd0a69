"""Errors for the person at the keyboard: what was got, what is allowed, what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches


class OptionsBtError(Exception):
    """Base of every error that a user can cause or mend; the command line prints it without a traceback."""

    exit_code = 1


class InputError(OptionsBtError):
    """A job file, an option or a name is wrong: nothing was run and nothing was written."""

    exit_code = 2


class SourceError(InputError):
    """A source cannot be read: no server, no folder, a missing column, an unknown symbol."""


class StorageError(OptionsBtError):
    """The disk refused: full, read-only, or no permission. What was finished before is kept."""

    exit_code = 3


class RunFolderError(InputError):
    """A run folder is not what the command needs: missing, of another job, or in use."""


class MissingExtraError(InputError):
    """What was asked for needs packages that a plain installation leaves out.

    Parameters
    ----------
    what : str
        What was asked for, in the plural.
    package : str
        The package that is missing.
    extra : str
        The extra of options-bt that brings it.
    """

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(
            f"{what} need the package {package}, which is not installed: pip install 'options-bt[{extra}]'"
        )


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a job file.

    Attributes
    ----------
    path : str
        Where, as ``grid.delta[2]``; empty for the file as a whole.
    problem : str
        What was got.
    allowed : str
        What would be right there.
    """

    path: str
    problem: str
    allowed: str = ""

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{where}{self.problem}" + (f"; allowed: {self.allowed}" if self.allowed else "")


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
    """Return the known names most like `name`, as a phrase to append to an error.

    Parameters
    ----------
    name : str
        What the user wrote.
    known : iterable of str
        What exists.

    Returns
    -------
    str
        ``" (did you mean 'delta'?)"``, or an empty string where nothing is close.
    """
    folded = {candidate.casefold(): candidate for candidate in known}
    close = get_close_matches(name.casefold(), folded, n=2, cutoff=0.6)
    if not close:
        return ""
    return f" (did you mean {' or '.join(repr(folded[match]) for match in close)}?)"
