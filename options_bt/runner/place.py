"""Where a run happens: here, or on a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from options_bt.errors import InputError, MissingExtraError
from options_bt.runner.executor import Executor
from options_bt.runner.local import local_executor


class Scheduler(Struct, frozen=True, kw_only=True):
    """Where the scheduler of a cluster is, and what the connection to it is secured with.

    Attributes
    ----------
    address : str, optional
        As ``tcp://10.0.0.1:8786``.
    file : Path, optional
        Where the scheduler wrote its address.
    tls_ca_file, tls_cert, tls_key : Path, optional
        Without any of them Dask's own configuration decides.
    """

    address: str | None = None
    file: Path | None = None
    tls_ca_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None

    def __str__(self) -> str:
        return self.address or str(self.file)


def executor_at(executor: str, scheduler: Scheduler, cache: Path) -> Callable[[int], Executor]:
    """Give what makes an executor of this name, once the number of workers is known.

    Parameters
    ----------
    executor : 'local' or 'dask'
    scheduler : Scheduler
        Of a Dask cluster; without address and file a cluster is started on this machine.
    cache : Path
        Where the workers of such a cluster read markets.

    Raises
    ------
    InputError
        When there is no such executor, or a scheduler is named for the local one.
    MissingExtraError
        When Dask is not installed.
    """
    if executor == "local":
        if scheduler != Scheduler():
            raise InputError("a scheduler was named, which the executor local does not have; say --executor dask too")
        return local_executor
    if executor != "dask":
        raise InputError(f"got executor {executor!r}; allowed: local, dask")
    require_dask()
    from options_bt.runner.cluster.executor import Dask

    there = scheduler if scheduler.address or scheduler.file else None
    return lambda workers: Dask(there, workers, cache)


def require_dask() -> None:
    """Refuse to go on where Dask is not installed."""
    try:
        import distributed  # noqa: F401  # whether it can be imported is all that is asked
    except ModuleNotFoundError as error:
        raise MissingExtraError("Runs on a cluster", error.name or "distributed", "dask") from None
