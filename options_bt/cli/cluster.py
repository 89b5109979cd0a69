"""The options that name a cluster, and the command that starts workers of one."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from options_bt.cli.options import CACHE, FOLDER, Examples

if TYPE_CHECKING:
    from options_bt.job.schema import JobFile
    from options_bt.runner.execution.executor import Scheduler

_PLACE: tuple[Callable[..., Any], ...] = (
    click.option("--scheduler-file", type=FOLDER, metavar="FILE", help="Where the scheduler wrote its address."),
    click.option("--tls-ca-file", type=FOLDER, metavar="FILE", help="Certificates to trust; Dask's own by default."),
    click.option("--tls-cert", type=FOLDER, metavar="FILE", help="Certificate to show to the cluster."),
    click.option("--tls-key", type=FOLDER, metavar="FILE", help="Its key."),
)


def _located(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that takes the options which locate and secure a scheduler, and is called with where it is."""

    @wraps(command)
    def located(
        *arguments: Any,
        scheduler: str | None,
        scheduler_file: Path | None,
        tls_ca_file: Path | None,
        tls_cert: Path | None,
        tls_key: Path | None,
        **rest: Any,
    ) -> None:
        from options_bt.runner.execution.executor import Scheduler

        there = Scheduler(
            address=scheduler, file=scheduler_file, tls_ca_file=tls_ca_file, tls_cert=tls_cert, tls_key=tls_key
        )
        command(*arguments, there=there, **rest)

    with_options: Callable[..., None] = located
    for option in reversed(_PLACE):
        with_options = option(with_options)
    return with_options


def names_cluster(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that takes where to run, and is called with what makes the executor."""

    @wraps(command)
    def placed(job: JobFile, executor: str, there: Scheduler, **rest: Any) -> None:
        from options_bt.runner.executors import make_executor

        if (there.address or there.file) and rest["workers"]:
            raise click.UsageError("--workers counts processes of this machine; a cluster has the workers that it has")
        command(job, make_executor=make_executor(executor, there, rest["cache"]), **rest)

    options = (
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
    located = _located(placed)
    for option in reversed(options):
        located = option(located)
    return located


@click.command(cls=Examples, epilog="options-bt worker tcp://10.0.0.1:8786 --cache /var/cache/options-bt")
@click.argument("scheduler", required=False)
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Processes; one a core by default.")
@click.option("--memory-limit", metavar="BYTES", help="Of one process, as 2GB; its share of the machine by default.")
@click.option("--host", metavar="ADDRESS", help="That others reach this machine at; found by Dask by default.")
@click.option("--store", metavar="URL", envvar="OPTIONS_BT_STORE", show_envvar=True, help="Shared cache, as s3://...")
@_located
@CACHE
def worker(there: Scheduler, **options: Any) -> None:
    """Keep workers going for the Dask cluster at SCHEDULER, one process a core, until Ctrl-C.

    Markets that they need come through Dask once, and stay in the cache. When the scheduler or the network is gone,
    the workers wait for it.
    """
    from options_bt.runner.executors import require_dask

    require_dask()
    from options_bt.runner.cluster.worker_command import start_workers

    start_workers(there, **options)
