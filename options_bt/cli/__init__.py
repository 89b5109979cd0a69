"""The command line: parses, calls, prints; the rooms are imported by the commands that need them."""

from __future__ import annotations

import sys

import click

from options_bt.cli.cluster import worker
from options_bt.cli.data_commands import data
from options_bt.cli.job_commands import doctor, plan, run, runs, status
from options_bt.cli.run_commands import compare, overfitting, report, results, show, walk_forward
from options_bt.errors import OptionsBtError
from options_bt.runner.execution.process_env import without_hoarding


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
    """Run the command line; errors that a user can mend are printed without a traceback."""
    without_hoarding()
    try:
        code = cli(standalone_mode=False)
    except OptionsBtError as error:
        click.echo(f"Error: {error}", err=True)
        code = error.exit_code
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped; the same command goes on.", err=True)
        code = 130
    sys.exit(code)
