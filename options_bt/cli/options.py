"""What commands share: their options, loading the job, finding the run folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from options_bt.job.schema import JobFile


class Examples(click.Command):
    """A command whose help ends with an example, set as its epilog."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example."""
        if self.epilog:
            with formatter.section("Example"):
                for line in self.epilog.splitlines():
                    formatter.write_text(line)


def _workers(ctx: click.Context, param: click.Parameter, value: str | None) -> int | str | None:
    if value is None or value == "auto":
        return value
    if value.isdecimal() and 1 <= int(value) <= 256:
        return int(value)
    raise click.BadParameter(f"got {value!r}; allowed: a whole number from 1 to 256, or auto")


FOLDER = click.Path(path_type=Path)
RUNS = click.option(
    "--runs", type=FOLDER, default=Path("runs"), envvar="OPTIONS_BT_RUNS", show_envvar=True, help="Folder of the runs."
)
CACHE = click.option(
    "--cache",
    type=FOLDER,
    default=Path("cache"),
    envvar="OPTIONS_BT_CACHE",
    show_envvar=True,
    help="Folder of the cached data.",
)
WORKERS = click.option(
    "--workers",
    metavar="N|auto",
    callback=_workers,
    help="Worker processes; 1 runs everything in this process, auto decides by the amount of work.",
)
QUIET = click.option("-q", "--quiet", is_flag=True, help="Log warnings only; show no progress.")
RUN = click.argument("run", type=FOLDER)
_JOB: tuple[Callable[..., Any], ...] = (
    click.argument("jobfile", type=FOLDER),
    click.option("--symbol", "symbols", multiple=True, help="Use only this symbol of the job file. Repeatable."),
    click.option("--quick", is_flag=True, help="Apply the job file's `quick` section."),
    click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Set a parameter; a list makes it an axis. Repeatable.",
    ),
    click.option("--name", help="Name of the run; the job file's by default."),
)


def names_job(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that takes a job file and its overrides, and is called with a function that loads the job."""

    @wraps(command)
    def naming(
        jobfile: Path, symbols: tuple[str, ...], quick: bool, overrides: tuple[str, ...], name: str | None, **rest: Any
    ) -> None:
        def load() -> JobFile:
            from options_bt.job.load import load_job

            return load_job(jobfile, symbols=symbols, quick=quick, overrides=overrides, name=name)

        command(load, **rest)

    with_options: Callable[..., None] = naming
    for option in reversed(_JOB):
        with_options = option(with_options)
    return with_options


def takes_job(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that takes a job file and its overrides, and is called with the job."""

    @wraps(command)
    def loading(load: Callable[[], JobFile], **rest: Any) -> None:
        command(load(), **rest)

    return names_job(loading)


def run_folder(given: Path, runs: Path | None = None) -> Path:
    """Return the run folder named by its path, its name, or the path of its results."""
    named = (runs or Path(os.environ.get("OPTIONS_BT_RUNS") or "runs")) / given
    candidates = (given, given.parent, named) if given.name == "results.parquet" else (given, named)
    otherwise = given if given.exists() or len(given.parts) > 1 else named
    return next((path for path in candidates if (path / "run.json").is_file()), otherwise)


def log_to_console_by(quiet: bool, verbose: bool) -> None:
    """Log to the console: warnings only when quiet, else also news, and details when verbose."""
    from options_bt.runner.logs import log_to_console

    log_to_console(-1 if quiet else int(verbose))
