"""Starting workers: processes with one thread each, which come back when the scheduler or the network does."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from distributed import Nanny

from options_bt.errors import InputError
from options_bt.runner.cluster.connection import checked, security_of, worker_environment
from options_bt.runner.cluster.store import STORE, require_store
from options_bt.runner.execution.executor import Scheduler
from options_bt.runner.preflight.estimate import core_count

logger = logging.getLogger(__name__)

_AGAIN_SECONDS = 1.0


def start_workers(
    scheduler: Scheduler,
    *,
    cache: Path,
    workers: int | None = None,
    memory_limit: str | None = None,
    host: str | None = None,
    store: str | None = None,
) -> None:
    """Keep workers of a cluster going until Ctrl-C or SIGTERM.

    Parameters
    ----------
    scheduler : Scheduler
    cache : Path
        Where markets are kept.
    workers : int, optional
        How many; one a core by default.
    memory_limit : str, optional
        Of each, as ``2GB``; its share of the machine's by default.
    host : str, optional
        Address that others reach this machine at; found by Dask by default.
    store : str, optional
        URL of a cache that is looked at before markets are asked for.

    Raises
    ------
    InputError
        When the scheduler is not named as it should be, or nothing here reads such a store.
    """
    if not scheduler.address and not scheduler.file:
        raise InputError("no scheduler was named; give its address, as tcp://10.0.0.1:8786, or --scheduler-file")
    if store:
        require_store(store)
    os.environ |= worker_environment(cache) | ({STORE: store} if store else {})
    settings: dict[str, Any] = {
        "memory_limit": memory_limit or "auto",
        "host": host,
        "security": security_of(scheduler),
    }
    with suppress(asyncio.CancelledError, KeyboardInterrupt):
        asyncio.run(_kept(scheduler, workers or core_count(), settings))


async def _kept(scheduler: Scheduler, workers: int, settings: dict[str, Any]) -> None:
    this = asyncio.current_task()
    assert this
    with suppress(NotImplementedError):  # on Windows
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    await asyncio.gather(*(_one_kept(scheduler, settings) for _ in range(workers)))


async def _one_kept(scheduler: Scheduler, settings: dict[str, Any]) -> None:
    """Keep one worker going: Dask's own ends with its connection."""
    while True:
        try:
            async with Nanny(**{**checked(scheduler), **settings}, nthreads=1) as nanny:
                await nanny.finished()
            logger.warning("A worker has lost the scheduler at %s; it starts again", scheduler)
        except OSError as error:
            logger.warning("The scheduler at %s cannot be reached: %s", scheduler, error)
        await asyncio.sleep(_AGAIN_SECONDS)
