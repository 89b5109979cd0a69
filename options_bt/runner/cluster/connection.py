"""Connecting to a cluster: one that is there, or a new one on this machine."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import dask
import distributed
from distributed import Client, LocalCluster
from distributed.comm.addressing import parse_address
from distributed.comm.registry import get_backend
from distributed.security import Security

from options_bt.errors import InputError
from options_bt.runner.cluster.on_worker import attempt
from options_bt.runner.execution.executor import Scheduler
from options_bt.runner.execution.worker_process import ONE_THREAD

_CONNECT_SECONDS = 10


async def connect(scheduler: Scheduler) -> Any:
    """Return a client of a cluster.

    Raises
    ------
    InputError
        When its scheduler does not answer.
    """
    address, security = scheduler_address(scheduler), security_of(scheduler)
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # the executor reports a lost connection
    try:
        with warnings.catch_warnings():  # our own check of versions compares fewer packages, and says more
            warnings.simplefilter("ignore", distributed.versions.VersionMismatchWarning)
            return await Client(
                address, timeout=_CONNECT_SECONDS, security=security, set_as_default=False, asynchronous=True
            )
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        reason = str(error).strip() or type(error).__name__
        raise InputError(
            f"no Dask scheduler answers at {scheduler}: {reason}; start one with `dask scheduler`"
        ) from None


async def call(client: Any, address: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function returns on one worker of a cluster, or raise what it raises.

    It runs there or nowhere: the schedule retries the batch of a dead worker, job by job. Dask would hand it from one
    worker to the next.
    """
    answer = await client.submit(
        attempt,
        function,
        *arguments,
        key=f"options-bt-{function.__name__}-{uuid4().hex}",
        workers=[address],
        allow_other_workers=False,
        retries=0,
        pure=False,
    )
    if isinstance(answer, Exception):
        raise answer
    return answer


def scheduler_address(scheduler: Scheduler) -> str:
    """Return the address of a scheduler, which may be in a file.

    Raises
    ------
    InputError
        When there is no such file, or the address is none.
    """
    address = scheduler.address or ""
    try:
        if scheduler.file:
            address = json.loads(scheduler.file.read_bytes())["address"]
        protocol, location = parse_address(address)
        get_backend(protocol).get_address_host_port(location)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{str(scheduler)!r} does not lead to a scheduler: {error}; name its address, as tcp://10.0.0.1:8786, or a "
            "file that `dask scheduler --scheduler-file` wrote"
        ) from None
    return address


def security_of(scheduler: Scheduler) -> Security | None:
    """Return the certificates of a connection as Dask takes them; None where Dask's configuration decides.

    Raises
    ------
    InputError
        When a file does not exist.
    """
    files = {"ca_file": scheduler.tls_ca_file}
    files |= {f"{role}_cert": scheduler.tls_cert for role in ("client", "worker")}
    files |= {f"{role}_key": scheduler.tls_key for role in ("client", "worker")}
    given = {f"tls_{name}": str(path) for name, path in files.items() if path}
    for path in given.values():
        if not Path(path).is_file():
            raise InputError(f"{path}: there is no such file; it was named to secure the connection to {scheduler}")
    return Security(require_encryption=True, **given) if given else None


@asynccontextmanager
async def local_cluster(workers: int, cache: Path) -> AsyncIterator[Any]:
    """Yield a new cluster of worker processes on this machine, which ends with the block."""
    # Dask checks this long after a worker's death that it was replaced, and drops it for good if not: even one that
    # was replaced in time and has just died again.
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1000 days"}):
        async with LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
            preload=["options_bt.runner.cluster.on_worker"],
            env=worker_environment(cache),
            asynchronous=True,
        ) as cluster:
            yield cluster


def worker_environment(cache: Path) -> dict[str, str]:
    """Return the variables that a worker is started with: one thread for everything, and where its markets are."""
    return ONE_THREAD | {"OPTIONS_BT_CACHE": str(cache.absolute())}
