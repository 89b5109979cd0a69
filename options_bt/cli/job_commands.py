"""The commands that run job files and those that follow runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, NoReturn

import click

from options_bt.cli.cluster import names_cluster
from options_bt.cli.options import (
    CACHE,
    FOLDER,
    QUIET,
    RUNS,
    WORKERS,
    Examples,
    log_to_console_by,
    names_job,
    run_folder,
    takes_job,
)

if TYPE_CHECKING:
    from options_bt.job.schema import JobFile
    from options_bt.runner.execution.executor import Executor
    from options_bt.runner.run_folder.status import Status


@click.command(cls=Examples, epilog="options-bt run jobs/grid.yaml --symbol SPY --set width=10 --name wide")
@takes_job
@WORKERS
@names_cluster
@click.option("--fresh", is_flag=True, help="Start over; the old run is renamed, not deleted.")
@click.option("--resume-failed", is_flag=True, help="Rerun the backtests that failed.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first failed backtest: the same as --max-failures 0.")
@click.option(
    "--max-failures", metavar="N|P%", help="Stop when more than N backtests, or P percent of the plan, have failed."
)
@click.option("--top", type=click.IntRange(min=0), default=10, show_default=True, help="Rows to print at the end.")
@click.option("-v", "--verbose", is_flag=True, help="Log details too.")
@QUIET
@RUNS
@CACHE
def run(
    job: JobFile,
    workers: int | str | None,
    make_executor: Callable[[int], Executor],
    fresh: bool,
    resume_failed: bool,
    fail_fast: bool,
    max_failures: str | None,
    top: int,
    verbose: bool,
    quiet: bool,
    runs: Path,
    cache: Path,
) -> None:
    """Run every backtest of JOBFILE that its run folder does not hold yet, and print the best.

    Run the same command to resume a run that was stopped. Exit codes: 0 all done, 1 some backtests failed, 2 bad
    input, 3 the disk cannot be written, 130 interrupted with Ctrl-C.
    """
    log_to_console_by(quiet, verbose)
    from options_bt.analysis.formatting import data_text, failures_table, text_table
    from options_bt.analysis.price_sources import price_sources, price_sources_text
    from options_bt.analysis.run_reader import open_run
    from options_bt.analysis.walk_forward import walk_forward
    from options_bt.analysis.walk_forward_text import walk_forward_text
    from options_bt.report.after_run import report_of
    from options_bt.runner.run import run_job
    from options_bt.runner.summary import times_text, transfers_text

    summary = run_job(
        job,
        runs=runs,
        cache=cache,
        workers=workers,
        fresh=fresh,
        resume_failed=resume_failed,
        max_failures=0 if fail_fast else max_failures,
        make_executor=make_executor,
        shown=not quiet,
    )
    run_reader = open_run(summary.path, cache)
    left = summary.total - summary.done - summary.failed
    if left:
        why = "Interrupted" if summary.stopped_by else f"Stopped after {summary.failed} failures"
        click.echo(f"{why}, {left} backtests left. Run the same command to resume.", err=True)
    elif top and job.windows:
        click.echo(f"\n{walk_forward_text(run_reader, walk_forward(run_reader, job.objective), most=2 * top)}")
    elif top:
        click.echo(f"\n{job.name}, the best {min(top, summary.total)} of {summary.total} by {job.objective}:")
        # Rank by this job's objective; the one in the run folder may be older.
        click.echo(text_table(run_reader.leaderboard(job.objective, top=top)))
    if summary.failed:
        failures = run_reader.failures(20)
        click.echo(f"The first {len(failures)} of {summary.failed} failures:", err=True)
        click.echo(text_table(failures_table(run_reader.plan, failures)), err=True)
        click.echo("Fix the cause, then rerun them with --resume-failed.", err=True)
    if not left:
        click.echo(data_text(run_reader.info))
        if sources := price_sources(run_reader.scan_results()):
            click.echo(price_sources_text(sources))
        click.echo(f"{times_text(summary)}{transfers_text(summary)}Results: {summary.path}/results.parquet")
        text, written = report_of(run_reader)
        click.echo(text, err=not written)
    raise SystemExit(summary.exit_code)


@click.command(cls=Examples, epilog="options-bt plan jobs/walk_forward.yaml")
@names_job
@WORKERS
@click.option("--first", type=click.IntRange(min=0), default=5, show_default=True, help="How many jobs to list.")
@click.option("--check", is_flag=True, help="Check everything that the run needs instead: the same as `doctor`.")
@RUNS
@CACHE
def plan(
    load: Callable[[], JobFile], workers: int | str | None, first: int, check: bool, runs: Path, cache: Path
) -> None:
    """Show what JOBFILE would run and the data it needs; nothing is run or written."""
    if check:
        _check(load, workers, runs, cache)
    from options_bt.job.planner import Plan
    from options_bt.runner.preflight.preview import preview

    job = load()
    click.echo(preview(Plan(job), cache, workers or job.run.workers, first), nl=False)


@click.command(cls=Examples, epilog="options-bt doctor jobs/grid.yaml")
@names_job
@WORKERS
@RUNS
@CACHE
def doctor(load: Callable[[], JobFile], workers: int | str | None, runs: Path, cache: Path) -> None:
    """Check everything that a run of JOBFILE needs; nothing is run, and only the compiled engine is cached.

    Prints one line per check: ok, warning or failed, and what to do. Exit codes: 0 no check failed, 2 one did.
    """
    _check(load, workers, runs, cache)


def _check(load: Callable[[], JobFile], workers: int | str | None, runs: Path, cache: Path) -> NoReturn:
    from options_bt.runner.preflight.checks import verdict
    from options_bt.runner.preflight.doctor import doctor as checks_of

    checks = []
    for check in checks_of(load, runs=runs, cache=cache, workers=workers):
        click.echo(check)
        checks.append(check)
    click.echo(verdict(checks))
    raise SystemExit(2 if any(check.state == "failed" for check in checks) else 0)


@click.command(cls=Examples, epilog="options-bt status grid --watch")
@click.argument("run", type=FOLDER, required=False)
@click.option("--watch", is_flag=True, help="Refresh every second until the run ends or Ctrl-C.")
@RUNS
def status(run: Path | None, watch: bool, runs: Path) -> None:
    """Show the progress of RUN (a run folder) from any terminal; without RUN, of the run that wrote last.

    Only reads the run folder. With --watch a terminal is redrawn; elsewhere a line is printed for each change.
    """
    from options_bt.runner.run_folder.folder import RunFolder
    from options_bt.runner.run_folder.run_list import latest_run
    from options_bt.runner.run_folder.status import read_status, speed, status_line, watched

    folder = RunFolder(run_folder(run, runs)) if run else latest_run(runs)
    if not watch:
        click.echo(_status_text(read_status(folder)), nl=False)
        return
    printed = ""
    with suppress(KeyboardInterrupt):
        for current in watched(folder):
            line = status_line(current)
            if sys.stdout.isatty():
                _redraw(_status_text(current), clear=not printed)
            elif line != printed:
                click.echo(", ".join(filter(None, (line, speed(current)))))
            printed = line


def _status_text(status: Status) -> str:
    from options_bt.analysis.formatting import text_table
    from options_bt.runner.run_folder.status import details

    tables = [table for table in (status.running, status.symbols) if table.height]
    return "\n".join([details(status), *map(text_table, tables)])


def _redraw(text: str, *, clear: bool) -> None:
    """Redraw the terminal with a text; lines that do not fit are left out."""
    if clear:
        click.clear()
    width, height = get_terminal_size()
    lines = text.splitlines()
    if len(lines) >= height:
        lines[height - 2 :] = [f"and {len(lines) - height + 2} more lines; run without --watch to see them"]
    click.echo("\x1b[H" + "".join(f"{line[:width]}\x1b[K\n" for line in lines) + "\x1b[J", nl=False)


@click.command(cls=Examples, epilog="options-bt runs")
@RUNS
def runs(runs: Path) -> None:
    """List the run folders, newest first: state, backtests, start, size, and what is wrong with them."""
    from options_bt.analysis.formatting import text_table
    from options_bt.runner.run_folder.run_list import listed_runs

    table = listed_runs(runs)
    click.echo(text_table(table) if table.height else f"{runs} holds no runs\n", nl=False)
