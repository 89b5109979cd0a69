"""The commands that run job files, and those that say how runs stand."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING

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
@click.option("--fresh", is_flag=True, help="Begin anew; the old run is set aside, not deleted.")
@click.option("--resume-failed", is_flag=True, help="Run the backtests again that failed before.")
@click.option("--fail-fast", is_flag=True, help="Give up when a backtest fails: the same as --max-failures 0.")
@click.option("--max-failures", metavar="N|P%", help="Give up when more fail than N, or than P percent of the plan.")
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

    A run that was stopped goes on where it was when the same command is given again. Exit codes: 0 all
    done, 1 some backtests failed, 2 bad input, 3 the disk refused, 130 stopped with Ctrl-C.
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
    opened = open_run(summary.path, cache)
    left = summary.total - summary.done - summary.failed
    if left:
        why = "Stopped" if summary.stopped_by else f"Gave up after {summary.failed} failures"
        click.echo(f"{why} with {left} backtests to go; the same command goes on.", err=True)
    elif top and job.windows:
        click.echo(f"\n{walk_forward_text(opened, walk_forward(opened, job.objective), most=2 * top)}")
    elif top:
        click.echo(f"\n{job.name}, the best {min(top, summary.total)} of {summary.total} by {job.objective}:")
        # By the objective of this job: that of the folder may be an earlier one.
        click.echo(text_table(opened.leaderboard(job.objective, top=top)))
    if summary.failed:
        failures = opened.failures(20)
        click.echo(f"The first {len(failures)} of {summary.failed} that failed:", err=True)
        click.echo(text_table(failures_table(opened.plan, failures)), err=True)
        click.echo("Once the cause is mended, --resume-failed runs them again.", err=True)
    if not left:
        click.echo(data_text(opened.info))
        if sources := price_sources(opened.scan_results()):
            click.echo(price_sources_text(sources))
        click.echo(f"{times_text(summary)}{transfers_text(summary)}Results: {summary.path}/results.parquet")
        text, written = report_of(opened)
        click.echo(text, err=not written)
    raise SystemExit(summary.exit_code)


@click.command(cls=Examples, epilog="options-bt plan jobs/walk_forward.yaml")
@takes_job
@WORKERS
@click.option("--first", type=click.IntRange(min=0), default=5, show_default=True, help="How many jobs to list.")
@CACHE
def plan(job: JobFile, workers: int | str | None, first: int, cache: Path) -> None:
    """Show what JOBFILE would run and the data it needs; run and write nothing."""
    from options_bt.job.planner import Plan
    from options_bt.runner.preflight.preview import preview

    click.echo(preview(Plan(job), cache, workers or job.run.workers, first), nl=False)


@click.command(cls=Examples, epilog="options-bt doctor jobs/grid.yaml")
@names_job
@WORKERS
@RUNS
@CACHE
def doctor(
    jobfile: Path,
    symbols: tuple[str, ...],
    quick: bool,
    overrides: tuple[str, ...],
    name: str | None,
    workers: int | str | None,
    runs: Path,
    cache: Path,
) -> None:
    """Check everything that a run of JOBFILE needs; run and write nothing.

    Prints a line a check: ok, warning or failed, and what to do. Exit codes: 0 nothing failed, 2 something did.
    """
    from options_bt.job.load import load_job
    from options_bt.runner.preflight.doctor import doctor as checked
    from options_bt.runner.preflight.doctor import report

    def load() -> JobFile:
        return load_job(jobfile, symbols=symbols, quick=quick, overrides=overrides, name=name)

    checks = checked(load, runs=runs, cache=cache, workers=workers)
    click.echo(report(checks), nl=False)
    raise SystemExit(2 if any(check.state == "failed" for check in checks) else 0)


@click.command(cls=Examples, epilog="options-bt status grid --watch")
@click.argument("run", type=FOLDER, required=False)
@click.option("--watch", is_flag=True, help="Look again every second, until the run ends or Ctrl-C.")
@RUNS
def status(run: Path | None, watch: bool, runs: Path) -> None:
    """Show how RUN (a run folder) stands while it goes on, from any terminal; without RUN, that which wrote last.

    Reads the run folder and disturbs nothing. With --watch a terminal is painted anew; elsewhere a line is printed
    for each change.
    """
    from options_bt.runner.run_folder.folder import RunFolder
    from options_bt.runner.run_folder.run_list import latest_run
    from options_bt.runner.run_folder.status import read_status, speed, status_line, watched

    folder = RunFolder(run_folder(run, runs)) if run else latest_run(runs)
    if not watch:
        click.echo(_status_text(read_status(folder)), nl=False)
        return
    said = ""
    with suppress(KeyboardInterrupt):
        for seen in watched(folder):
            if sys.stdout.isatty():
                _repaint(_status_text(seen), begin=not said)
            elif status_line(seen) != said:
                click.echo(", ".join(filter(None, (status_line(seen), speed(seen)))))
            said = status_line(seen)


def _status_text(seen: Status) -> str:
    from options_bt.analysis.formatting import text_table
    from options_bt.runner.run_folder.status import details

    tables = [table for table in (seen.running, seen.symbols) if table.height]
    return "\n".join([details(seen), *map(text_table, tables)])


def _repaint(text: str, *, begin: bool) -> None:
    """Put a text on the terminal, over what stood there; what does not fit is left out."""
    if begin:
        click.clear()
    width, height = get_terminal_size()
    lines = text.splitlines()
    if len(lines) >= height:
        lines[height - 2 :] = [f"and {len(lines) - height + 2} more lines, which fit without --watch"]
    click.echo("\x1b[H" + "".join(f"{line[:width]}\x1b[K\n" for line in lines) + "\x1b[J", nl=False)


@click.command(cls=Examples, epilog="options-bt runs")
@RUNS
def runs(runs: Path) -> None:
    """List the run folders, the last first: state, backtests, when begun, bytes, and what is wrong with them."""
    from options_bt.analysis.formatting import text_table
    from options_bt.runner.run_folder.run_list import listed_runs

    listed = listed_runs(runs)
    click.echo(text_table(listed) if listed.height else f"{runs} holds no runs\n", nl=False)
