"""Finding the cluster to run on: one that is there, or a new one on this machine."""

from __future__ import annotations

import asyncio
import json
import logging
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import distributed
from distributed import Client, LocalCluster
from distributed.comm.addressing import parse_address
from distributed.comm.core import connect
from distributed.comm.registry import get_backend
from distributed.security import Security

from options_bt.errors import InputError
from options_bt.runner.execution.executor import Scheduler
from options_bt.runner.execution.worker_process import ONE_THREAD
from options_bt.runner.signals import hold_interrupts

_CONNECT_SECONDS = 10
_FOR_EVER = "1000 days"


def connected(scheduler: Scheduler) -> Any:
    """Return a client of a cluster.

    Raises
    ------
    InputError
        When its scheduler does not answer.
    """
    place, security = checked(scheduler), security_of(scheduler)
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # the executor says what becomes of it
    if "scheduler_ip" in place:
        place["address"] = place.pop("scheduler_ip")
    try:
        # First without a client: one that has never connected takes its time to end, and complains.
        with ThreadPoolExecutor(1) as thread:  # this one may have a loop of its own, as in a notebook
            thread.submit(asyncio.run, _reach(place, security or Security())).result()
        with _quiet():
            return Client(**place, timeout=_CONNECT_SECONDS, security=security, set_as_default=False)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
        why = str(error).strip() or type(error).__name__
        raise InputError(f"no Dask scheduler answers at {scheduler}: {why}; `dask scheduler` starts one") from None


async def _reach(place: dict[str, str], security: Any) -> None:
    address = place.get("address") or json.loads(Path(place["scheduler_file"]).read_bytes())["address"]
    connection = await connect(address, timeout=_CONNECT_SECONDS, **security.get_connection_args("client"))
    await connection.close()


def checked(scheduler: Scheduler) -> dict[str, str]:
    """Return where a scheduler is as Dask takes it.

    Raises
    ------
    InputError
        When there is no such file, or this cannot be an address.
    """
    if scheduler.file:
        if not scheduler.file.is_file():
            raise InputError(
                f"{scheduler.file}: there is no such scheduler file; `dask scheduler --scheduler-file` writes one"
            )
        return {"scheduler_file": str(scheduler.file)}
    address = scheduler.address or ""
    try:
        get_backend(parse_address(address)[0]).get_address_host_port(parse_address(address)[1])
    except ValueError as error:
        raise InputError(
            f"{address!r} is no address of a scheduler: {error}; write it as tcp://10.0.0.1:8786"
        ) from None
    return {"scheduler_ip": address}


def security_of(scheduler: Scheduler) -> Security | None:
    """Return the files that secure a connection as Dask takes them; None where its configuration decides.

    Raises
    ------
    InputError
        When there is no such file.
    """
    given = {
        name: str(path)
        for path, names in (
            (scheduler.tls_ca_file, ("tls_ca_file",)),
            (scheduler.tls_cert, ("tls_client_cert", "tls_worker_cert")),
            (scheduler.tls_key, ("tls_client_key", "tls_worker_key")),
        )
        if path
        for name in names
    }
    if absent := [path for path in given.values() if not Path(path).is_file()]:
        raise InputError(f"{absent[0]}: there is no such file; it was named to secure the connection to {scheduler}")
    return Security(require_encryption=True, **given) if given else None


@contextmanager
def local_cluster(workers: int, cache: Path) -> Iterator[Any]:
    """Yield a new cluster of worker processes on this machine, which ends with the block."""
    # So long after a worker died Dask looks whether it was replaced, and lets go of it for ever if not: also of one
    # that was replaced in time and has died again just now.
    with dask.config.set({"distributed.deploy.lost-worker-timeout": _FOR_EVER}):
        with _quiet(), hold_interrupts():
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address="127.0.0.1:0",
                silence_logs=50,
                preload=["options_bt.runner.cluster.local_worker"],
                env=worker_environment(cache),
            )
        with cluster:
            yield cluster


def worker_environment(cache: Path) -> dict[str, str]:
    """Return the variables that a worker is started with: one thread for everything, and where its markets lie."""
    return ONE_THREAD | {"OPTIONS_BT_CACHE": str(cache.absolute())}


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave versions to our own check, which says more of less."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", distributed.versions.VersionMismatchWarning)
        yield
