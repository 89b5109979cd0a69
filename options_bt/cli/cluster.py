"""The options that name a cluster, and the command that starts workers of one."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce, wraps
from typing import TYPE_CHECKING, Any

import click

from options_bt.cli.options import CACHE, FOLDER, Examples

if TYPE_CHECKING:
    from options_bt.job.schema import JobFile
    from options_bt.runner.execution.executor import Scheduler

Command = Callable[..., None]

_EXECUTOR = (
    click.option(
        "--executor",
        type=click.Choice(["local", "dask"]),
        default="local",
        show_default=True,
        help="Run in processes of this machine, or on a Dask cluster.",
    ),
    click.option(
        "--scheduler", metavar="ADDRESS", help="Of the Dask cluster; without one it is started on this machine."
    ),
)
_CONNECTION = (
    click.option("--scheduler-file", type=FOLDER, metavar="FILE", help="Where the scheduler wrote its address."),
    click.option("--tls-ca-file", type=FOLDER, metavar="FILE", help="Certificates to trust; Dask's own by default."),
    click.option("--tls-cert", type=FOLDER, metavar="FILE", help="Certificate to show to the cluster."),
    click.option("--tls-key", type=FOLDER, metavar="FILE", help="Its key."),
)


def _with(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return a decorator that adds options to a command, in this order."""
    return lambda command: reduce(lambda decorated, option: option(decorated), reversed(options), command)


def _scheduler(options: dict[str, Any]) -> Scheduler:
    """Return the scheduler that options locate and secure, which are taken out of them."""
    from options_bt.runner.execution.executor import Scheduler

    secured = {name: options.pop(name) for name in ("tls_ca_file", "tls_cert", "tls_key")}
    return Scheduler(address=options.pop("scheduler"), file=options.pop("scheduler_file"), **secured)


def names_cluster(command: Command) -> Command:
    """Return a command that takes where to run, and is called with what makes the executor."""

    @wraps(command)
    def placed(job: JobFile, executor: str, **options: Any) -> None:
        from options_bt.runner.executors import make_executor

        scheduler = _scheduler(options)
        if (scheduler.address or scheduler.file) and options["workers"]:
            raise click.UsageError("--workers counts processes of this machine; a cluster has the workers that it has")
        command(job, make_executor=make_executor(executor, scheduler, options["cache"]), **options)

    return _with(*_EXECUTOR, *_CONNECTION)(placed)


@click.command(cls=Examples, epilog="options-bt worker tcp://10.0.0.1:8786 --cache /var/cache/options-bt")
@click.argument("scheduler", required=False)
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Processes; one a core by default.")
@click.option("--memory-limit", metavar="BYTES", help="Of one process, as 2GB; its share of the machine by default.")
@click.option("--host", metavar="ADDRESS", help="That others reach this machine at; found by Dask by default.")
@click.option("--store", metavar="URL", envvar="OPTIONS_BT_STORE", show_envvar=True, help="Shared cache, as s3://...")
@_with(*_CONNECTION)
@CACHE
def worker(**options: Any) -> None:
    """Keep workers running for the Dask cluster at SCHEDULER, one process a core, until Ctrl-C.

    Markets that they need are sent through Dask once, and stay in the cache. While the scheduler or the network is
    down, the workers wait for it.
    """
    from options_bt.runner.executors import require_dask

    require_dask()
    from options_bt.runner.cluster.worker_command import start_workers

    start_workers(_scheduler(options), **options)
