"""What two processes must have in common to give the same bits, and to understand each other."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version

from options_bt.data.market.market import MARKET_FORMAT
from options_bt.engine.native import source_hash
from options_bt.job.spec import SEMANTICS_VERSION


def versions() -> dict[str, str]:
    """Return what this process runs with, by name."""
    packages = {name: version(name) for name in ("options-bt", "numba", "numpy", "polars")}
    return packages | {
        "semantics": str(SEMANTICS_VERSION),
        "market format": str(MARKET_FORMAT),
        "engine": source_hash(),  # two checkouts of one version may differ
    }


def differing(theirs: Mapping[str, str]) -> str:
    """Return in what another process differs from this one; nothing where it does not.

    Examples
    --------
    >>> differing(versions())
    ''
    >>> differing(versions() | {"options-bt": "0.0.9"})
    'options-bt 0.0.9 (here 0.2.0)'
    """
    return ", ".join(
        f"{name} {theirs.get(name, 'unknown')} (here {ours})"
        for name, ours in versions().items()
        if theirs.get(name) != ours
    )
