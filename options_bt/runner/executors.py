"""Where a run happens: here, or on a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from options_bt.errors import InputError, MissingExtraError
from options_bt.runner.execution.executor import Executor, Scheduler
from options_bt.runner.execution.inline import Inline
from options_bt.runner.execution.slots import Slots


def local_executor(workers: int) -> Executor:
    """Return what runs batches here: with one worker this process, else as many processes."""
    return Inline() if workers == 1 else Slots(workers)


def make_executor(executor: str, scheduler: Scheduler, cache: Path) -> Callable[[int], Executor]:
    """Return what makes an executor of this name, once the number of workers is known.

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
    from options_bt.runner.cluster.executor import DaskExecutor

    there = scheduler if scheduler.address or scheduler.file else None
    return lambda workers: DaskExecutor(there, workers, cache)


def require_dask() -> None:
    """Refuse to go on where Dask is not installed."""
    try:
        import distributed  # noqa: F401  # whether it can be imported is all that is asked
    except ModuleNotFoundError as error:
        raise MissingExtraError("Runs on a cluster", error.name or "distributed", "dask") from None
