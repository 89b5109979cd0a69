"""The Parquet cache: what was pulled from a source, with what was covered and checksums of it all.

Layout, below the folder of the source: ``chain/<SYMBOL>/<year>.parquet``, ``closes/<SYMBOL>.parquet``,
``splits/<SYMBOL>.parquet`` and ``manifest/<SYMBOL>.json``, written last. What no manifest names does not exist.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
from filelock import FileLock
from msgspec import Struct, structs

from options_bt.data.source import CHAIN_COLUMNS, UNDATED, Source
from options_bt.errors import SourceError, StorageError
from options_bt.storage import storage_errors, write_atomically


class CachedFile(Struct, frozen=True, kw_only=True):
    """One Parquet file of the cache.

    Attributes
    ----------
    rows, bytes : int
    sha256 : str
        Of the file.
    content : str
        Of the values alone, so that equal data has an equal fingerprint wherever it was pulled.
    """

    rows: int
    bytes: int
    sha256: str
    content: str


class Manifest(Struct, frozen=True, kw_only=True):
    """What the cache holds of one symbol.

    Attributes
    ----------
    label, version : str
        Of the source it was pulled from.
    years : dict of int to CachedFile
        Whole calendar years of quotes; a covered year without quotes has 0 rows. Year 0 holds rows
        without a date.
    """

    symbol: str
    label: str
    version: str
    years: dict[int, CachedFile]
    closes: CachedFile
    splits: CachedFile

    def files(self) -> Iterator[tuple[str, CachedFile]]:
        """Give each file's path below the source's folder, with its entry."""
        for year, file in sorted(self.years.items()):
            yield chain_path(self.symbol, year), file
        yield f"closes/{self.symbol}.parquet", self.closes
        yield f"splits/{self.symbol}.parquet", self.splits


def chain_path(symbol: str, year: int) -> str:
    """Give where a year of quotes lies below the source's folder."""
    return f"chain/{symbol}/{year or 'undated'}.parquet"


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

    def manifest(self, symbol: str) -> Manifest | None:
        """Give what is cached of a symbol; None when nothing is or its manifest cannot be read."""
        try:
            return msgspec.json.decode((self.folder / "manifest" / f"{symbol}.json").read_bytes(), type=Manifest)
        except NotADirectoryError:
            raise StorageError(f"{self.folder}: a file stands where the cache has a folder; name another") from None
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def manifests(self) -> Iterator[Manifest]:
        """Give the manifest of every cached symbol, by name."""
        for path in sorted((self.folder / "manifest").glob("*.json"), key=lambda path: path.stem):
            if manifest := self.manifest(path.stem):
                yield manifest

    def missing_years(self, symbol: str, years: Iterable[int], version: str) -> list[int]:
        """Give the years that a pull has to bring: never pulled, of another version, or damaged in size."""
        manifest = self.manifest(symbol)
        if manifest is None or manifest.version != version:
            return list(years)
        whole = {path for path, file in manifest.files() if self._has_size(path, file)}
        if not {f"closes/{symbol}.parquet", f"splits/{symbol}.parquet"} <= whole:
            return list(years)
        return [y for y in years if y not in manifest.years or chain_path(symbol, y) not in whole]

    def pull(self, source: Source, symbol: str, years: Sequence[int], done: Callable[[int], None]) -> Manifest:
        """Bring the missing years of a symbol from its source, and its closes and splits with them.

        Parameters
        ----------
        source : Source
        symbol : str
        years : sequence of int
            The years that must be covered afterwards.
        done : callable
            Told the number of rows after each year written.

        Returns
        -------
        Manifest

        Raises
        ------
        SourceError
            From the source.
        StorageError
            When the cache cannot be written. What was whole before stays so.
        """
        with storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".lock"):
            missing = self.missing_years(symbol, years, source.version)
            old = self.manifest(symbol)
            if old is not None and not missing:
                return old
            current = old.years if old is not None and old.version == source.version else {}
            kept = {year: file for year, file in current.items() if year not in missing}
            for year, frame in source.chain(symbol, missing):
                kept[year] = self._write(chain_path(symbol, year), _sorted_chain(frame))
                done(frame.height)
            empty = pl.DataFrame(schema=_CHAIN_SCHEMA)
            for year in set(missing) - set(kept):
                kept[year] = self._write(chain_path(symbol, year), empty)
            manifest = Manifest(
                symbol=symbol,
                label=source.label,
                version=source.version,
                years=kept,
                closes=self._write(f"closes/{symbol}.parquet", source.closes(symbol)),
                splits=self._write(f"splits/{symbol}.parquet", source.splits(symbol)),
            )
            self._save(manifest)
            return manifest

    def fingerprint(self, manifest: Manifest, years: Iterable[int]) -> str:
        """Give the hash of the values that jobs on these years may look at.

        Years without rows do not count, so that it says nothing of how the data was asked for.
        """
        wanted = {*years, UNDATED}
        parts = [(y, file.content) for y, file in sorted(manifest.years.items()) if y in wanted and file.rows]
        parts += [(-1, manifest.closes.content), (-2, manifest.splits.content)]
        return sha256(repr(parts).encode()).hexdigest()[:16]

    def chain(self, manifest: Manifest, years: Iterable[int]) -> pl.DataFrame:
        """Give the cached quotes of these years, uncleaned, sorted; equal keys in the order they were read."""
        wanted = {*years, UNDATED}
        paths = [chain_path(manifest.symbol, y) for y, f in sorted(manifest.years.items()) if y in wanted and f.rows]
        frames = [pl.read_parquet(self.folder / path) for path in paths]
        return pl.concat(frames) if frames else pl.DataFrame(schema=_CHAIN_SCHEMA)

    def closes(self, symbol: str) -> pl.DataFrame:
        """Give the cached closes of a symbol."""
        return pl.read_parquet(self.folder / f"closes/{symbol}.parquet")

    def splits(self, symbol: str) -> pl.DataFrame:
        """Give the cached splits of a symbol."""
        return pl.read_parquet(self.folder / f"splits/{symbol}.parquet")

    def damaged(self, manifest: Manifest) -> list[tuple[str, str]]:
        """Give each file that is not as it was written, with what is wrong with it."""
        faults = []
        for path, file in manifest.files():
            full = self.folder / path
            if not full.is_file():
                faults.append((path, "is missing"))
            elif sha256(full.read_bytes()).hexdigest() != file.sha256:
                faults.append((path, "has another checksum than when it was written"))
        return faults

    def forget(self, manifest: Manifest, paths: Iterable[str]) -> None:
        """Take damaged files out of the manifest, so that the next pull brings them again."""
        gone = set(paths)
        kept = {y: file for y, file in manifest.years.items() if chain_path(manifest.symbol, y) not in gone}
        for path in gone:
            (self.folder / path).unlink(missing_ok=True)
        self._save(structs.replace(manifest, years=kept))

    def _save(self, manifest: Manifest) -> None:
        write_atomically(self.folder / "manifest" / f"{manifest.symbol}.json", msgspec.json.encode(manifest))

    def _has_size(self, path: str, file: CachedFile) -> bool:
        try:
            return (self.folder / path).stat().st_size == file.bytes
        except OSError:
            return False

    def _write(self, path: str, frame: pl.DataFrame) -> CachedFile:
        buffer = io.BytesIO()
        frame.write_parquet(buffer, compression="zstd", statistics=True)
        data = buffer.getvalue()
        write_atomically(self.folder / path, data)
        return CachedFile(
            rows=frame.height, bytes=len(data), sha256=sha256(data).hexdigest(), content=content_hash(frame)
        )


_CHAIN_SCHEMA: dict[str, type[pl.DataType]] = {
    "date": pl.Date,
    "expiration": pl.Date,
    "strike": pl.Float64,
    "right": pl.String,
} | dict.fromkeys(CHAIN_COLUMNS[4:], pl.Float64)


def _sorted_chain(frame: pl.DataFrame) -> pl.DataFrame:
    if frame.schema != _CHAIN_SCHEMA:
        raise SourceError(f"the source gave {dict(frame.schema)}, expected {_CHAIN_SCHEMA}")
    # Stable, since of equal keys the last one read counts.
    return frame.sort("date", "expiration", "right", "strike", maintain_order=True)


def content_hash(frame: pl.DataFrame) -> str:
    """Give a hash of a frame's values in their order, whatever library wrote or reads them."""
    digest = sha256()
    for column in frame.get_columns():
        if column.dtype == pl.String:
            column = column.replace_strict({"put": 0, "call": 1}, default=-1, return_dtype=pl.Int8)
        elif column.dtype == pl.Date:
            column = column.cast(pl.Int32).fill_null(-(2**31))
        else:
            column = column.fill_null(np.nan)
        digest.update(f"{column.name}:{column.len()}".encode())
        digest.update(np.ascontiguousarray(column.to_numpy()).tobytes())
    return digest.hexdigest()


def cached_sources(root: Path) -> list[Cache]:
    """Give the cache of each source that has one."""
    return [Cache(root, path.parent.name) for path in sorted(root.glob("*/manifest")) if path.is_dir()]
