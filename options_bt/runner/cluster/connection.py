"""Finding the cluster to run on: one that is there, or a new one on this machine."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import distributed
from distributed import Client, LocalCluster
from distributed.security import Security
from msgspec import Struct

from options_bt.errors import InputError

_CONNECT_SECONDS = 10


class Tls(Struct, frozen=True, kw_only=True):
    """The files that a connection is secured with; without any, Dask's own configuration decides."""

    ca_file: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def security(self) -> Any:
        """Give them as Dask takes them."""
        files = {"tls_ca_file": self.ca_file, "tls_client_cert": self.cert, "tls_client_key": self.key}
        given = {name: str(path) for name, path in files.items() if path}
        return Security(require_encryption=True, **given) if given else None


class Scheduler(Struct, frozen=True, kw_only=True):
    """Where the scheduler of a cluster is.

    Attributes
    ----------
    address : str, optional
        As ``tcp://10.0.0.1:8786``.
    file : Path, optional
        Where the scheduler wrote its address.
    """

    address: str | None = None
    file: Path | None = None
    tls: Tls = Tls()

    def __str__(self) -> str:
        return self.address or str(self.file)

    def connected(self) -> Any:
        """Give a client of it.

        Raises
        ------
        InputError
            When it does not answer.
        """
        if self.file and not self.file.is_file():
            raise InputError(
                f"{self.file}: there is no such scheduler file; `dask scheduler --scheduler-file` writes one"
            )
        place = {"scheduler_file": str(self.file)} if self.file else {"address": self.address}
        try:
            with _quiet():
                return Client(**place, timeout=_CONNECT_SECONDS, security=self.tls.security(), set_as_default=False)
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            raise InputError(
                f"no Dask scheduler answers at {self} within {_CONNECT_SECONDS} s: {error}; `dask scheduler` starts one"
            ) from None


def local_cluster(workers: int, cache: Path) -> Any:
    """Give a new cluster of worker processes on this machine."""
    with _quiet():
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            silence_logs=50,
            preload=["options_bt.runner.cluster.local_worker"],
            env=worker_environment(cache),
        )


def worker_environment(cache: Path) -> dict[str, str]:
    """Give the variables that a worker is started with: one thread for everything, and where its markets lie."""
    threads = ("POLARS_MAX_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return dict.fromkeys(threads, "1") | {"OPTIONS_BT_CACHE": str(cache.absolute())}


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave versions to our own check, which says more of less."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", distributed.versions.VersionMismatchWarning)
        yield
