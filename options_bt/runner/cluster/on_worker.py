"""What workers do: say who they are, keep a market, run a batch. Each is a task of Dask's, called by these names."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from tempfile import gettempdir

from filelock import FileLock
from msgspec import Struct, structs

from options_bt.data.cache.cache import cache_folder
from options_bt.engine.compiling import warm_up
from options_bt.errors import OptionsBtError
from options_bt.runner.cluster import markets
from options_bt.runner.cluster.versions import versions
from options_bt.runner.execution.batch import Result, Task, run_batch


class Hello(Struct, frozen=True, kw_only=True):
    """Who a worker is.

    Attributes
    ----------
    versions : dict of str to str
        As `cluster.versions.versions` gives them there.
    cache : str
        The folder that it reads markets from.
    """

    versions: dict[str, str]
    cache: str


class Missing(Struct, frozen=True):
    """The answer of a worker that has not the market of a batch."""


def hello() -> Hello:
    """Compile the engine, or load it where this host has done so, and say who this is."""
    # The processes of a host share the machine code: one compiles, and the others wait and load.
    with FileLock(Path(gettempdir()) / f"options-bt-{os.getuid() if hasattr(os, 'getuid') else 0}.lock"):
        warm_up()
    return Hello(versions=versions(), cache=str(cache_folder().absolute()))


def holds(market: str) -> bool:
    """Return whether this host has a market."""
    return markets.held(market) is not None


def fetch(market: str) -> bool | str:
    """Bring a market from this host's store; return whether it has it, or why it cannot be read."""
    try:
        return markets.fetched(market)
    except OptionsBtError as error:
        return str(error)


def keep(market: str, data: bytes) -> str:
    """Keep a market; return why that cannot be done, or nothing."""
    try:
        markets.keep(market, data)
    except OptionsBtError as error:
        return str(error)
    return ""


def run(market: str, packed_task: bytes) -> Result | Missing | str:
    """Return the result of a batch, that its market is missing, or why it could not be run."""
    try:
        folder = markets.held(market)
        if folder is None:
            return Missing()
        task: Task
        task, job = pickle.loads(packed_task)
        return run_batch(structs.replace(task, market=folder), job)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
