"""The run folder: where everything of a run lies, who owns it, and which plan it is of."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
from filelock import FileLock, Timeout
from msgspec import Struct, structs

from options_bt.data.sources.factory import redacted
from options_bt.errors import RunFolderError, nearest
from options_bt.job.schema import JobFile, decoded_job
from options_bt.job.spec import SEMANTICS_VERSION
from options_bt.runner.run_folder.parts import Table, part_path
from options_bt.storage import storage_errors, write_atomically

_NOT_OF_THE_RESULT = ("name", "quick", "objective", "run", "repeated")
_CLAIM_SECONDS = 0.2
"""Longer than any look of `in_use`, which would else refuse a run that begins in the same instant."""
_PACKAGES = ("options-bt", "numpy", "polars", "pyarrow", "numba")


class RunInfo(Struct, frozen=True, kw_only=True):
    """What `run.json` says: enough to run the same again.

    Attributes
    ----------
    job : JobFile
        As it was run; a password in its source is masked.
    source, source_version, source_revision : str
        What the source calls itself, the state of its tables, and the commit of them where it has commits.
    fingerprints : dict of str to str
        Of the data of each symbol.
    implied_closes : dict of str to int
        Of the symbols that have any: quote days whose close is implied by put-call parity, not traded.
    identity : str
        Hash of all that the results depend on.
    """

    job: JobFile
    source: str
    source_version: str
    source_revision: str = ""
    fingerprints: dict[str, str]
    implied_closes: dict[str, int] = {}
    identity: str
    semantics: int
    versions: dict[str, str]
    host: str
    created: datetime


def run_info(
    job: JobFile,
    source: str,
    source_version: str,
    fingerprints: Mapping[str, str],
    *,
    source_revision: str = "",
    implied_closes: Mapping[str, int] | None = None,
) -> RunInfo:
    """Return the description of a run that begins now."""
    masked = structs.replace(job, source=redacted(job.source))
    all_that_counts = (SEMANTICS_VERSION, _of_the_result(masked), dict(fingerprints))
    identity = sha256(msgspec.json.encode(all_that_counts)).hexdigest()[:16]
    return RunInfo(
        job=masked,
        source=source,
        source_version=source_version,
        source_revision=source_revision,
        fingerprints=dict(fingerprints),
        implied_closes=dict(implied_closes or {}),
        identity=identity,
        semantics=SEMANTICS_VERSION,
        versions={"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
        host=f"{platform.node()} ({platform.system()} {platform.machine()})",
        created=datetime.now(UTC),
    )


class RunFolder:
    """Builds every path of a run.

    Parameters
    ----------
    path : Path
        ``runs/<name>``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.info_file = path / "run.json"
        self.ledger = path / "ledger.sqlite"
        self.results = path / "results.parquet"
        self.log = path / "log.jsonl"
        self._lock = FileLock(path / ".lock", timeout=_CLAIM_SECONDS)

    def part(self, table: Table, number: int) -> Path:
        """Return where the trades or the equity of a batch lie."""
        return part_path(self.path, table, number)

    def info(self) -> RunInfo:
        """Read `run.json`.

        Raises
        ------
        RunFolderError
            When the folder is not a run.
        """
        try:
            data = msgspec.json.decode(self.info_file.read_bytes())
            return msgspec.structs.replace(msgspec.convert(data, RunInfo), job=decoded_job(data["job"]))
        except (FileNotFoundError, NotADirectoryError):
            runs = [found.parent.name for found in self.path.parent.glob("*/run.json")]
            hint = nearest(self.path.name, runs)
            raise RunFolderError(f"{self.path} is not a run folder: it has no run.json{hint}") from None
        except (msgspec.DecodeError, KeyError, TypeError) as error:
            raise RunFolderError(f"{self.info_file} cannot be read: {error}") from None

    def exists(self) -> bool:
        """Return whether a run was begun here."""
        return self.info_file.is_file()

    def create(self, info: RunInfo) -> None:
        """Begin a run here."""
        write_atomically(self.info_file, msgspec.json.format(msgspec.json.encode(info)))

    def claim(self) -> None:
        """Take the folder for this process, until `release` or its end.

        Raises
        ------
        RunFolderError
            When another process has it.
        """
        with storage_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire()
            except Timeout:
                raise RunFolderError(f"{self.path} is in use by {self._holder()}; wait for it or stop it") from None
            since = datetime.now().astimezone().isoformat(" ", "seconds")
            (self.path / ".owner").write_text(f"process {os.getpid()} on {platform.node()} since {since}")

    def _disown(self) -> None:
        with suppress(OSError):  # it is only there for the second who wants the folder
            (self.path / ".owner").unlink(missing_ok=True)

    def _holder(self) -> str:
        try:
            return f"another options-bt ({(self.path / '.owner').read_text()})"
        except OSError:
            return "another options-bt"

    def in_use(self) -> bool:
        """Return whether another process has the folder, without a trace; False on Windows, which cannot tell."""
        if sys.platform == "win32":
            return False
        import fcntl

        try:
            with (self.path / ".lock").open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def release(self) -> None:
        """Return the folder back."""
        self._disown()
        self._lock.release()

    def set_aside(self) -> Path:
        """Rename the folder with the time of its run, so that its name is free; return its new path."""
        try:
            begun = self.info().created
        except RunFolderError:  # of another version, or damaged
            begun = datetime.fromtimestamp(self.info_file.stat().st_mtime, UTC)
        name = f"{self.path.name}.{begun:%Y-%m-%dT%H-%M-%S}"
        names = (name if number == 1 else f"{name}.{number}" for number in count(1))
        aside = next(path for path in map(self.path.with_name, names) if not path.exists())
        self._disown()
        with storage_errors(self.path):
            self.path.rename(aside)
        return aside


def differences(old: RunInfo, new: RunInfo) -> list[str]:
    """Return what makes the results of two runs differ: keys of the job file, symbols' data, semantics."""
    before, after = _of_the_result(old.job), _of_the_result(new.job)
    keys = [key for key in after if before[key] != after[key]]
    symbols = [s for s, data in new.fingerprints.items() if old.fingerprints.get(s, data) != data]
    version = [] if old.semantics == new.semantics else [f"semantics {old.semantics} and {new.semantics}"]
    return keys + [f"the data of {symbol}" for symbol in symbols] + version


def _of_the_result(job: JobFile) -> dict[str, Any]:
    return {key: value for key, value in structs.asdict(job).items() if key not in _NOT_OF_THE_RESULT}
