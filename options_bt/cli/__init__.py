"""The command line: parse, call, print; each command imports what it needs when it runs."""

from __future__ import annotations

import os
import sys

import click

from options_bt.cli.cluster import worker
from options_bt.cli.data_commands import data
from options_bt.cli.job_commands import doctor, plan, run, runs, status
from options_bt.cli.run_commands import compare, overfitting, report, results, show, walk_forward
from options_bt.errors import OptionsBtError

CLOSED_PIPE = 141
"""The exit code when nobody reads the output any more: what a shell reports for SIGPIPE, 128 + 13."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="options-bt")
def cli() -> None:
    """Backtest premium-selling option strategies over grids of symbols, parameters and windows."""


for command in (
    run,
    plan,
    doctor,
    status,
    runs,
    results,
    walk_forward,
    overfitting,
    report,
    show,
    compare,
    data,
    worker,
):
    cli.add_command(command)


def main() -> None:
    """Run the command line; print errors that a user can fix without a traceback."""
    try:
        code = _run()
    except BrokenPipeError:  # of the standard error
        code = CLOSED_PIPE
    sys.exit(CLOSED_PIPE if _discard_unread_output() else code)


def _run() -> int | str | None:
    """Run the command of `sys.argv`; return its exit code."""
    stdout = sys.stdout
    try:
        code: int | None = cli(prog_name="options-bt", standalone_mode=False)
        return code
    except SystemExit as ended:
        # When the pipe is closed, click wraps the stream and exits with 1.
        return ended.code if sys.stdout is stdout else CLOSED_PIPE
    except OptionsBtError as error:
        click.echo(f"Error: {error}", err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted. Run the same command to resume.", err=True)
        return 130


def _discard_unread_output() -> bool:
    """Discard the output that nobody reads any more, or Python complains at exit; return whether there was any."""
    discarded = False
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is None:  # the process was started without it
            continue
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            discarded = True
    return discarded
