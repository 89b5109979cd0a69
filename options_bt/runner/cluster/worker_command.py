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
from options_bt.runner.cluster.connection import scheduler_address, security_of, worker_environment
from options_bt.runner.cluster.markets import STORE, require_store
from options_bt.runner.execution.executor import Scheduler
from options_bt.runner.preflight.estimate import core_count

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0


def start_workers(
    scheduler: Scheduler, workers: int | None, cache: Path, store: str | None, **settings: str | None
) -> None:
    """Keep workers of a cluster running until Ctrl-C or SIGTERM.

    Parameters
    ----------
    scheduler : Scheduler
    workers : int, optional
        How many; one a core by default.
    cache : Path
        Where they keep markets.
    store : str, optional
        URL of a cache that they look into before they ask for a market.
    **settings
        Dask's own of each, as ``memory_limit`` and ``host``; its defaults where None.

    Raises
    ------
    InputError
        When there is no such scheduler file, this is no address, or nothing here reads such a store.
    """
    if not scheduler.address and not scheduler.file:
        raise InputError("no scheduler was named; give its address, as tcp://10.0.0.1:8786, or --scheduler-file")
    scheduler_address(scheduler)
    given = {name: value for name, value in settings.items() if value} | {"security": security_of(scheduler)}
    if store:
        require_store(store)
        os.environ[STORE] = store
    os.environ |= worker_environment(cache)
    with suppress(asyncio.CancelledError, KeyboardInterrupt):
        asyncio.run(_keep_workers(scheduler, workers or core_count(), given))


async def _keep_workers(scheduler: Scheduler, workers: int, settings: dict[str, Any]) -> None:
    this = asyncio.current_task()
    assert this
    with suppress(NotImplementedError):  # on Windows
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    await asyncio.gather(*(_keep_worker(scheduler, settings) for _ in range(workers)))


async def _keep_worker(scheduler: Scheduler, settings: dict[str, Any]) -> None:
    """Keep one worker running: Dask's own ends with its connection."""
    while True:
        try:
            async with Nanny(scheduler_address(scheduler), nthreads=1, **settings) as nanny:
                await nanny.finished()
            logger.warning("A worker lost connection to the scheduler at %s; restarting it", scheduler)
        except (OSError, InputError) as error:  # also while a scheduler writes its file
            logger.warning("The scheduler at %s cannot be reached: %s", scheduler, error)
        await asyncio.sleep(_RETRY_SECONDS)
