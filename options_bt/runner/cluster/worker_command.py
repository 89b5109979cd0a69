"""Starting workers: Dask's own command, with the settings that batches want."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from options_bt.errors import InputError
from options_bt.runner.cluster.connection import worker_environment
from options_bt.runner.cluster.markets import STORE
from options_bt.runner.estimate import core_count


def start_workers(
    scheduler: str | None,
    more: Sequence[str],
    *,
    cache: Path,
    workers: int | None = None,
    store: str | None = None,
    **options: str | Path | None,
) -> None:
    """Become the process that watches over workers, each with one thread; it does not return.

    Parameters
    ----------
    scheduler : str, optional
        Its address; else `options` have a `scheduler_file`.
    more : sequence of str
        Further arguments of ``dask worker``.
    cache : Path
        Where markets are kept.
    workers : int, optional
        How many; one a core by default.
    store : str, optional
        URL of a cache that is looked at before markets are asked for.
    **options
        Options of ``dask worker``, left out where None.

    Raises
    ------
    InputError
        When there is neither a scheduler nor a file that names it.
    """
    file = options.get("scheduler_file")
    if not scheduler and not file:
        raise InputError("no scheduler was named; give its address, as tcp://10.0.0.1:8786, or --scheduler-file")
    if file and not Path(file).is_file():
        raise InputError(f"{file}: there is no such scheduler file; `dask scheduler --scheduler-file` writes one")
    given = [word for name, value in options.items() if value for word in (f"--{name.replace('_', '-')}", str(value))]
    count = ["--nworkers", str(workers or core_count()), "--nthreads", "1", "--no-dashboard"]
    command = [sys.executable, "-m", "distributed.cli.dask_worker", *([scheduler] if scheduler else [])]
    environment = os.environ | worker_environment(cache) | ({STORE: store} if store else {})
    os.execve(sys.executable, [*command, *count, *given, *more], environment)
