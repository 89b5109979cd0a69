"""The Parquet cache: data pulled from a source, with the years that it covers and checksums of every file.

Layout, below the folder of the source: ``chain/<SYMBOL>/<year>.parquet``; ``<SYMBOL>.parquet`` in ``closes``,
``splits``, ``dividends`` and ``volatility``; ``rates.parquet``; ``manifest/<SYMBOL>.json`` and ``rates.json``, written
after the files that they list. A file that neither lists does not exist.
"""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import msgspec
import polars as pl
from filelock import FileLock, Timeout
from msgspec import structs

from options_bt.data.cache.manifest import CachedFile, Manifest, Rates, chain_path, content_hash
from options_bt.data.sources.source import CHAIN_COLUMNS, UNDATED
from options_bt.errors import StorageError
from options_bt.storage import storage_errors, write_atomically

logger = logging.getLogger(__name__)


class Cache:
    """The cached data of one source.

    Parameters
    ----------
    root : Path
        The cache of every source.
    name : str
        The source's folder in it.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.folder = root / name
        self._lock = FileLock(self.folder / ".lock")

    def manifest(self, symbol: str) -> Manifest | None:
        """Return the manifest of a symbol; None when there is none or it cannot be read."""
        try:
            return msgspec.json.decode((self.folder / "manifest" / f"{symbol}.json").read_bytes(), type=Manifest)
        except NotADirectoryError:
            raise StorageError(
                f"{self.folder}: a file is in the way of the cache folder; name another with --cache"
            ) from None
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def manifests(self) -> Iterator[Manifest]:
        """Yield the manifest of every cached symbol, by name."""
        for path in sorted((self.folder / "manifest").glob("*.json"), key=lambda path: path.stem):
            if manifest := self.manifest(path.stem):
                yield manifest

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other pulls out; a warning says when this one has to wait."""
        with storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                logger.warning("Another pull is writing to %s; waiting for it", self.folder)
                self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    def missing_years(self, symbol: str, years: Iterable[int], version: str) -> list[int]:
        """Return the years to pull: those never pulled, of another version, or whose file has another size."""
        manifest = self.manifest(symbol)
        if manifest is None or manifest.version != version:
            return list(years)
        if not all(self._has_size(path, file) for path, file in manifest.table_files()):
            return list(years)
        chain = {y for y, file in manifest.years.items() if self._has_size(chain_path(symbol, y), file)}
        return [year for year in years if year not in chain]

    def undamaged_year(self, manifest: Manifest, year: int) -> pl.DataFrame | None:
        """Return the cached quotes of a year; None where there is no file, or it has changed since it was written."""
        file = manifest.years.get(year)
        path = self.folder / chain_path(manifest.symbol, year)
        if file is None or not path.is_file() or sha256(path.read_bytes()).hexdigest() != file.sha256:
            return None
        return pl.read_parquet(path)

    def write(self, path: str, frame: pl.DataFrame) -> CachedFile:
        """Write a file below the source's folder; return its entry for a manifest."""
        buffer = io.BytesIO()
        frame.write_parquet(buffer, compression="zstd", statistics=True)
        data = buffer.getvalue()
        write_atomically(self.folder / path, data)
        return CachedFile(
            rows=frame.height, bytes=len(data), sha256=sha256(data).hexdigest(), content=content_hash(frame)
        )

    def save(self, manifest: Manifest) -> None:
        """Write a manifest: the files that it lists exist from now on."""
        write_atomically(self.folder / "manifest" / f"{manifest.symbol}.json", msgspec.json.encode(manifest))

    def remove_leftovers(self) -> None:
        """Delete the temporary files of pulls that were killed."""
        for path in self.folder.glob("*/**/.*.tmp"):
            path.unlink(missing_ok=True)

    def fingerprint(self, manifest: Manifest, years: Iterable[int]) -> str:
        """Return the hash of the values that jobs on these years may read.

        Years without rows do not count, so that the hash does not depend on how the data was pulled.
        """
        read = {*years, UNDATED}
        parts = [(y, file.content) for y, file in sorted(manifest.years.items()) if y in read and file.rows]
        parts += [(-1, manifest.closes.content), (-2, manifest.splits.content)]
        parts += [(-3, name + file.content) for name, file in sorted(manifest.optional_tables.items()) if file.rows]
        return sha256(repr(parts).encode()).hexdigest()[:16]

    def chain(self, manifest: Manifest, years: Iterable[int], columns: Sequence[str] = CHAIN_COLUMNS) -> pl.DataFrame:
        """Return the cached quotes of these years, uncleaned, sorted; equal keys in the order they were read."""
        read = {*years, UNDATED}
        paths = [chain_path(manifest.symbol, y) for y, f in sorted(manifest.years.items()) if y in read and f.rows]
        frames = [pl.read_parquet(self.folder / path, columns=list(columns)) for path in paths]
        return pl.concat(frames) if frames else pl.DataFrame(schema={name: CHAIN_SCHEMA[name] for name in columns})

    def days(self, manifest: Manifest) -> pl.Series:
        """Return the dates that have cached quotes, sorted, without the years whose file has another size."""
        found = [pl.Series("date", [], pl.Date)]
        for year, file in manifest.years.items():
            path = chain_path(manifest.symbol, year)
            if file.rows and self._has_size(path, file):
                found.append(pl.read_parquet(self.folder / path, columns=["date"])["date"].unique())
        return pl.concat(found).drop_nulls().sort()

    def tables(self, manifest: Manifest) -> dict[str, pl.DataFrame]:
        """Return the cached tables of a symbol beside its quotes: closes, splits, and the optional ones by name."""
        return {path.split("/")[0]: pl.read_parquet(self.folder / path) for path, _ in manifest.table_files()}

    def rates(self) -> Rates | None:
        """Return the entry of the cached treasury yields; None when there is none."""
        try:
            return msgspec.json.decode((self.folder / "rates.json").read_bytes(), type=Rates)
        except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
            return None

    def save_rates(self, rates: Rates) -> None:
        """Write the entry of the treasury yields, after their file."""
        write_atomically(self.folder / "rates.json", msgspec.json.encode(rates))

    def damaged(self, entry: Manifest | Rates) -> list[tuple[str, str]]:
        """Return each file that has changed since it was written, with what is wrong with it."""

        def fault(named: tuple[str, CachedFile]) -> str:
            path, file = named
            full = self.folder / path
            if not full.is_file():
                return "is missing"
            unchanged = sha256(full.read_bytes()).hexdigest() == file.sha256
            return "" if unchanged else "does not match its checksum"

        files = list(entry.files())
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            return [(path, text) for (path, _), text in zip(files, threads.map(fault, files), strict=True) if text]

    def delete(self, manifest: Manifest, paths: Iterable[str]) -> None:
        """Delete damaged files, also from the manifest, so that the next pull reads them again."""
        deleted = set(paths)
        kept = {y: file for y, file in manifest.years.items() if chain_path(manifest.symbol, y) not in deleted}
        for path in deleted:
            (self.folder / path).unlink(missing_ok=True)
        self.save(structs.replace(manifest, years=kept))

    def _has_size(self, path: str, file: CachedFile) -> bool:
        try:
            return (self.folder / path).stat().st_size == file.bytes
        except OSError:
            return False


CHAIN_SCHEMA: dict[str, type[pl.DataType]] = {
    "date": pl.Date,
    "expiration": pl.Date,
    "strike": pl.Float64,
    "right": pl.String,
} | dict.fromkeys(CHAIN_COLUMNS[4:], pl.Float64)
"""The columns of a year's file."""


def cached_sources(root: Path) -> list[Cache]:
    """Return the cache of each source that has one."""
    return [Cache(root, path.parent.name) for path in sorted(root.glob("*/manifest")) if path.is_dir()]


def cache_folder(given: str | Path | None = None) -> Path:
    """Return the folder of the cached data: as given, else ``OPTIONS_BT_CACHE``, else ``./cache``."""
    return Path(given or os.environ.get("OPTIONS_BT_CACHE") or "cache")
