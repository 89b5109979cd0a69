"""Compiling the engine before it is needed: half a minute, once on a machine."""

from __future__ import annotations

import logging
import os

from options_bt.engine.machine_code import cache_folder

logger = logging.getLogger(__name__)

_LAST_COMPILED = "kernel.simulate*.nbc"
"""The file that numba writes last: where it is, the whole engine is compiled."""


def is_compiled() -> bool:
    """Return whether the engine needs no compiling any more; does not import numba."""
    if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        return True
    folder = cache_folder()
    return folder is not None and any(folder.rglob(_LAST_COMPILED))


def warm_up() -> None:
    """Load the compiled engine, or compile it now if this machine has not yet."""
    if not is_compiled():
        logger.info("Compiling the engine for this machine; it takes about half a minute and happens once")
    from options_bt.engine import kernel  # noqa: F401  # importing it loads or compiles it
