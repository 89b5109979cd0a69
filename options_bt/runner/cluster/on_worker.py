"""What runs on a worker, and what it must have in common with the coordinator."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from filelock import FileLock
from msgspec import structs

from options_bt.data.cache.cache import cache_folder
from options_bt.data.market.market import MARKET_FORMAT
from options_bt.engine.compiling import warm_up
from options_bt.engine.machine_code import source_hash
from options_bt.job.spec import SEMANTICS_VERSION
from options_bt.runner.cluster.markets import held
from options_bt.runner.execution.batch import Result, Task, run_batch
from options_bt.runner.signals import ignore_interrupts


def dask_setup(worker: Any) -> None:
    """Leave Ctrl-C to the coordinator: Dask calls this in the main thread of each worker of a local cluster."""
    ignore_interrupts()


def attempt(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function returns or raises: Dask would log the traceback of what is raised."""
    try:
        return function(*arguments)
    except Exception as error:
        return error


def prepare() -> tuple[dict[str, str], str]:
    """Compile the engine, or load it where this host has done so; return the versions and cache folder of a worker."""
    # The processes of a host share the machine code: one compiles, and the others wait and load.
    with FileLock(Path(gettempdir()) / f"options-bt-{os.getuid() if hasattr(os, 'getuid') else 0}.lock"):
        warm_up()
    return versions(), str(cache_folder().absolute())


def run(market: str, packed_task: bytes) -> Result | None:
    """Return the result of a batch; None where this host lacks its market."""
    folder = held(market)
    if folder is None:
        return None
    task: Task
    task, job = pickle.loads(packed_task)
    return run_batch(structs.replace(task, market=folder), job)


def versions() -> dict[str, str]:
    """Return what two processes must have in common to give the same bits and understand each other, by name."""
    packages = {name: version(name) for name in ("options-bt", "numba", "numpy", "polars")}
    return packages | {
        "semantics": str(SEMANTICS_VERSION),
        "market format": str(MARKET_FORMAT),
        "engine": source_hash(),  # two checkouts of one version may differ
    }


def differences(theirs: Mapping[str, str]) -> str:
    """Return how another process's versions differ from these; nothing where they do not.

    Examples
    --------
    >>> differences(versions())
    ''
    >>> differences(versions() | {"options-bt": "0.0.9"})
    'options-bt 0.0.9 (here 0.2.0)'
    """
    return ", ".join(
        f"{name} {theirs.get(name, 'unknown')} (here {ours})"
        for name, ours in versions().items()
        if theirs.get(name) != ours
    )
