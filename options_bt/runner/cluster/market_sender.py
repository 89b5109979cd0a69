"""How markets get to hosts that lack them: from the host's store, or sent through Dask."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from math import inf
from pathlib import Path
from typing import Any

from options_bt.errors import OptionsBtError
from options_bt.runner.cluster.connection import call
from options_bt.runner.cluster.markets import fetch, held, keep, market_name, packed
from options_bt.runner.cluster.registry import Host, Worker
from options_bt.runner.execution.executor import TransferStats

logger = logging.getLogger(__name__)

_SENT_AT_ONCE = 4
_STORE_RETRY_SECONDS = 60


class MarketSender:
    """Gets markets to hosts, each once a host, and counts them."""

    def __init__(self, transfers: TransferStats) -> None:
        self._transfers = transfers
        self._locks: defaultdict[tuple[Host, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._sending = asyncio.Semaphore(_SENT_AT_ONCE)
        self._store_failed: dict[Host, float] = {}

    async def provide(self, client: Any, worker: Worker, folder: Path) -> None:
        """Get a market to the host of a worker; the batches of that host wait for each other.

        Raises
        ------
        StorageError
            When the worker cannot keep it.
        """
        name = market_name(folder)
        async with self._locks[worker.host, name]:
            if await call(client, worker.address, held, name) or await self._fetched(client, worker, name):
                return
            async with self._sending:
                data = await asyncio.to_thread(packed, folder)
                (sent,) = await client.scatter([data], workers=[worker.address], hash=False)
                await call(client, worker.address, keep, name, sent)
        host, symbol = worker.host[0], folder.parent.name
        self._transfers.sent[host] += 1
        self._transfers.size[host] += len(data)
        extra = {"symbol": symbol, "host": host, "bytes": len(data)}
        logger.debug("%s: %d bytes sent to %s", symbol, len(data), host, extra=extra)

    async def _fetched(self, client: Any, worker: Worker, name: str) -> bool:
        """Have a host read a market from its store; one that cannot be read is left alone for a while."""
        host = worker.host[0]
        if time.monotonic() - self._store_failed.get(worker.host, -inf) < _STORE_RETRY_SECONDS:
            return False
        try:
            found: bool = await call(client, worker.address, fetch, name)
        except OptionsBtError as error:
            level = logging.DEBUG if worker.host in self._store_failed else logging.WARNING
            logger.log(level, "%s: %s; markets are sent there instead", host, error)
            self._store_failed[worker.host] = time.monotonic()
            return False
        if found:
            self._transfers.stored[host] += 1
            logger.debug("%s has read %s from its store", host, name, extra={"host": host})
        return found
