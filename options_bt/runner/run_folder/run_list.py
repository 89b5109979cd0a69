"""The list of the runs below a folder."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import polars as pl

from options_bt.errors import RunFolderError
from options_bt.runner.run_folder.folder import RunFolder
from options_bt.runner.run_folder.status import read_status

_LISTED = {
    "run": pl.String,
    "state": pl.String,
    "total": pl.Int64,
    "done": pl.Int64,
    "failed": pl.Int64,
    "symbols": pl.String,
    "started": pl.String,
    "bytes": pl.Int64,
    "problem": pl.String,
}


def run_folders(runs: Path) -> list[RunFolder]:
    """Return the folders of all runs, also those that were set aside; the one that was updated last comes first."""
    try:
        folders = [RunFolder(path) for path in runs.iterdir() if path.is_dir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunFolderError(
            f"{runs} cannot be read: {error.strerror}; name the folder of the runs with --runs"
        ) from None
    return sorted(filter(_is_run, folders), key=_modified, reverse=True)


def _is_run(folder: RunFolder) -> bool:
    try:
        return folder.exists() or folder.in_use()
    except OSError:  # it is listed, with what is wrong with it
        return True


def _modified(folder: RunFolder) -> float:
    times = [0.0]
    for path in (folder.path, folder.info_file, folder.ledger, folder.ledger.with_name(f"{folder.ledger.name}-wal")):
        with suppress(OSError):
            times.append(path.stat().st_mtime)
    return max(times)


def latest_run(runs: Path) -> RunFolder:
    """Return the run that was started or updated last.

    Raises
    ------
    RunFolderError
        When there is none.
    """
    found = run_folders(runs)
    if not found:
        raise RunFolderError(f"{runs} holds no runs; start one with `options-bt run`, or name their folder with --runs")
    return found[0]


def listed_runs(runs: Path) -> pl.DataFrame:
    """Return one row a run folder, the one that was updated last first.

    Returns
    -------
    polars.DataFrame
        ``run, state, total, done, failed, symbols, started, bytes``; and ``problem`` where a folder cannot be read.

    Raises
    ------
    RunFolderError
        When the folder of the runs cannot be read.
    """
    table = pl.DataFrame([_row(folder) for folder in run_folders(runs)], schema=_LISTED, orient="row")
    return table if table["problem"].count() else table.drop("problem")


def _row(folder: RunFolder) -> tuple[object, ...]:
    name, size = folder.path.name, _size(folder.path)
    try:
        status = read_status(folder)
    except RunFolderError as error:
        return name, "unreadable", None, None, None, None, None, size, str(error)
    names = status.symbols["symbol"].to_list()
    symbols = ", ".join(names if len(names) < 5 else [*names[:3], f"... {names[-1]}"])
    started = f"{status.created.astimezone():%Y-%m-%d %H:%M}" if status.created else None
    return name, status.state, status.total, status.done, status.failed, symbols, started, size, None


def _size(path: Path) -> int:
    total = 0
    for file in path.rglob("*"):
        with suppress(OSError):  # it was removed meanwhile
            total += file.stat().st_size if file.is_file() else 0
    return total
