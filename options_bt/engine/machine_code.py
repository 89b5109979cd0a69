"""Where the engine's machine code is kept, and what it depends on; nothing here imports numba."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryFile

logger = logging.getLogger(__name__)

_PACKAGE = Path(__file__).parents[1]
_SOURCES = ("data/market/implied.py", "data/market/market.py", "job/strategies.py")
_IRRELEVANT = {"NUMBA_CACHE_DIR", "NUMBA_DISABLE_JIT", "NUMBA_NUM_THREADS"}
"""Settings of numba's that leave machine code as it is."""


@cache
def cache_folder() -> Path | None:
    """Return the folder of this engine's machine code: the first that can be written.

    None if there is none, with a warning that says what to set.
    """
    name = f"engine-{_build()}"
    parents = list(_parents())
    for parent in parents:
        folder = parent / name
        try:
            parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)  # numba unpickles what it finds there
            TemporaryFile(dir=folder).close()
        except OSError:  # a package that somebody else installed, a home that does not exist
            continue
        return folder
    logger.warning(
        "The compiled engine cannot be kept in %s, so every process compiles it again, for half a minute; set "
        "NUMBA_CACHE_DIR to a folder that can be written",
        " or ".join(map(str, parents)),
    )
    return None


def _parents() -> Iterator[Path]:
    """Yield where to keep machine code: as numba is told, beside the sources, with the user's caches, with the data."""
    if given := os.environ.get("NUMBA_CACHE_DIR"):
        yield Path(given)
    yield Path(__file__).parent / "__pycache__"
    with suppress(RuntimeError):  # a user without a home
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "options-bt"
    yield Path(os.environ.get("OPTIONS_BT_CACHE") or "cache")


def _build() -> str:
    """Return a hash of what machine code depends on, but for the processor: numba keeps those apart itself."""
    versions = [version(name) for name in ("numba", "llvmlite", "numpy")]
    settings = {name for name in os.environ if name.startswith("NUMBA_")} - _IRRELEVANT
    return _hash(source_hash(), sys.version, *versions, *(f"{name}={os.environ[name]}" for name in sorted(settings)))


def source_hash() -> str:
    """Return a hash of the engine's sources: where it is the same, backtests are the same."""
    sources = [*sorted(Path(__file__).parent.glob("*.py")), *(_PACKAGE / name for name in _SOURCES)]
    return _hash(*(path.read_text() for path in sources))


def _hash(*texts: str) -> str:
    return sha256("\n".join(texts).encode()).hexdigest()[:16]
