"""The command line: parses, calls, prints; the rooms are imported by the commands that need them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, Literal

import click

from options_bt.errors import OptionsBtError

if TYPE_CHECKING:
    from options_bt.job.schema import JobFile
    from options_bt.runner.status import Status


class _Examples(click.Command):
    """A command whose help ends with an example, set as its epilog."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
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


_FOLDER = click.Path(path_type=Path)
RUNS = click.option(
    "--runs", type=_FOLDER, default=Path("runs"), envvar="OPTIONS_BT_RUNS", show_envvar=True, help="Folder of the runs."
)
CACHE = click.option(
    "--cache", type=_FOLDER, default=Path("cache"), envvar="OPTIONS_BT_CACHE", show_envvar=True, help="Cached data."
)
WORKERS = click.option(
    "--workers",
    metavar="N|auto",
    callback=_workers,
    help="Worker processes; 1 runs in this process, auto decides by the work.",
)
QUIET = click.option("-q", "--quiet", is_flag=True, help="Log warnings only, and show no progress.")
RUN = click.argument("run", type=_FOLDER)
_JOB: tuple[Callable[..., Any], ...] = (
    click.argument("jobfile", type=_FOLDER),
    click.option("--symbol", "symbols", multiple=True, help="Only this symbol of the job file; repeatable."),
    click.option("--quick", is_flag=True, help="Apply the job file's `quick` section."),
    click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Set a parameter, or with a list an axis; repeatable.",
    ),
    click.option("--name", help="Name of the run instead of the job file's."),
)


def _takes_job(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that takes a job file and its overrides, and is called with the job that they make."""

    @wraps(command)
    def loading(
        jobfile: Path, symbols: tuple[str, ...], quick: bool, overrides: tuple[str, ...], name: str | None, **rest: Any
    ) -> None:
        from options_bt.job.load import load_job

        command(load_job(jobfile, symbols=symbols, quick=quick, overrides=overrides, name=name), **rest)

    return _names_job(loading)


def _names_job(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that takes a job file and its overrides as they are."""
    for option in reversed(_JOB):
        command = option(command)
    return command


def _run_folder(given: Path, runs: Path | None = None) -> Path:
    """Give the run folder that a person means: its path, its name, or the path of its results."""
    named = (runs or Path(os.environ.get("OPTIONS_BT_RUNS") or "runs")) / given
    candidates = (given, given.parent, named) if given.name == "results.parquet" else (given, named)
    meant = given if given.exists() or len(given.parts) > 1 else named
    return next((path for path in candidates if (path / "run.json").is_file()), meant)


def _verbosity(quiet: bool, verbose: bool) -> None:
    from options_bt.runner.logs import log_to_console

    log_to_console(-1 if quiet else int(verbose))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="options-bt")
def cli() -> None:
    """Backtest premium-selling option strategies over grids of symbols, parameters and windows."""


@cli.command(cls=_Examples, epilog="options-bt run jobs/grid.yaml --symbol SPY --set width=10 --name wide")
@_takes_job
@WORKERS
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
    _verbosity(quiet, verbose)
    from options_bt.analysis.opened import open_run
    from options_bt.analysis.price_sources import price_sources, price_sources_text
    from options_bt.analysis.tables import data_text, failures_table, headline, ranked, text_table
    from options_bt.analysis.walk_forward import walk_forward
    from options_bt.analysis.walk_forward_text import walk_forward_text
    from options_bt.report.after_run import report_of
    from options_bt.runner.run import run_job
    from options_bt.runner.summary import times_text

    summary = run_job(
        job,
        runs=runs,
        cache=cache,
        workers=workers,
        fresh=fresh,
        resume_failed=resume_failed,
        max_failures=0 if fail_fast else max_failures,
        shown=not quiet,
    )
    opened = open_run(summary.path)
    left = summary.total - summary.done - summary.failed
    if left:
        why = "Stopped" if summary.stopped_by else f"Gave up after {summary.failed} failures"
        click.echo(f"{why} with {left} backtests to go; the same command goes on.", err=True)
    elif top and job.windows:
        click.echo(f"\n{walk_forward_text(opened, walk_forward(opened, job.objective), most=2 * top)}")
    elif top:
        click.echo(f"\n{job.name}, the best {min(top, summary.total)} of {summary.total} by {job.objective}:")
        # By the objective of this job: that of the folder may be an earlier one.
        click.echo(text_table(headline(opened, ranked(opened, sort=job.objective, top=top), job.objective)))
    if summary.failed:
        failures = opened.failures()[:20]
        click.echo(f"The first {len(failures)} of {summary.failed} that failed:", err=True)
        click.echo(text_table(failures_table(opened, failures)), err=True)
        click.echo("Once the cause is mended, --resume-failed runs them again.", err=True)
    if not left:
        click.echo(data_text(opened.info))
        if sources := price_sources(opened.results()):
            click.echo(price_sources_text(sources))
        click.echo(f"{times_text(summary)}Results: {summary.path}/results.parquet")
        text, written = report_of(opened)
        click.echo(text, err=not written)
    raise SystemExit(summary.exit_code)


@cli.command(cls=_Examples, epilog="options-bt plan jobs/walk_forward.yaml")
@_takes_job
@WORKERS
@click.option("--first", type=click.IntRange(min=0), default=5, show_default=True, help="How many jobs to list.")
@CACHE
def plan(job: JobFile, workers: int | str | None, first: int, cache: Path) -> None:
    """Show what JOBFILE would run and the data it needs; run and write nothing."""
    from options_bt.job.planner import Plan
    from options_bt.runner.preview import preview

    click.echo(preview(Plan(job), cache, workers or job.run.workers, first), nl=False)


@cli.command(cls=_Examples, epilog="options-bt doctor jobs/grid.yaml")
@_names_job
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
    from options_bt.runner.doctor import doctor as checked
    from options_bt.runner.doctor import report

    def load() -> JobFile:
        return load_job(jobfile, symbols=symbols, quick=quick, overrides=overrides, name=name)

    checks = checked(load, runs=runs, cache=cache, workers=workers)
    click.echo(report(checks), nl=False)
    raise SystemExit(2 if any(check.state == "failed" for check in checks) else 0)


@cli.command(cls=_Examples, epilog="options-bt status grid --watch")
@click.argument("run", type=_FOLDER, required=False)
@click.option("--watch", is_flag=True, help="Look again every second, until the run ends or Ctrl-C.")
@RUNS
def status(run: Path | None, watch: bool, runs: Path) -> None:
    """Show how RUN (a run folder) stands while it goes on, from any terminal; without RUN, that which wrote last.

    Reads the run folder and disturbs nothing. With --watch a terminal is painted anew; elsewhere a line is printed
    for each change.
    """
    from options_bt.runner.folder import RunFolder
    from options_bt.runner.listing import latest_run
    from options_bt.runner.status import headline, looks, read_status, speed

    folder = RunFolder(_run_folder(run, runs)) if run else latest_run(runs)
    if not watch:
        click.echo(_status_text(read_status(folder)), nl=False)
        return
    said = ""
    with suppress(KeyboardInterrupt):
        for seen in looks(folder):
            if sys.stdout.isatty():
                _repaint(_status_text(seen), begin=not said)
            elif headline(seen) != said:
                click.echo(", ".join(filter(None, (headline(seen), speed(seen)))))
            said = headline(seen)


def _status_text(seen: Status) -> str:
    from options_bt.analysis.tables import text_table
    from options_bt.runner.status import details

    tables = [table for table in (seen.flights, seen.symbols) if table.height]
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


@cli.command(cls=_Examples, epilog="options-bt runs")
@RUNS
def runs(runs: Path) -> None:
    """List the run folders, the last first: state, backtests, when begun, bytes, and what is wrong with them."""
    from options_bt.analysis.tables import text_table
    from options_bt.runner.listing import listed_runs

    listed = listed_runs(runs)
    click.echo(text_table(listed) if listed.height else f"{runs} holds no runs\n", nl=False)


@cli.command(cls=_Examples, epilog='options-bt results runs/grid --sort calmar --where "delta > 0.18"')
@RUN
@click.option("--sort", metavar="METRIC", help="Column to rank by; the job's objective by default.")
@click.option("--top", type=click.IntRange(min=1), help="How many rows; all by default.")
@click.option("--where", metavar="SQL", help="Condition over the columns; a date is written date '2020-01-01'.")
@click.option("--format", "form", type=click.Choice(["table", "csv", "json", "parquet"]), default="table")
def results(run: Path, sort: str | None, top: int | None, where: str | None, form: Any) -> None:
    """Print the results of RUN (a run folder), best first.

    The table shows what tells the jobs apart and the main metrics; the other formats have every column.
    """
    from options_bt.analysis.opened import open_run
    from options_bt.analysis.tables import formatted, headline, ranked

    opened = open_run(_run_folder(run))
    rows = ranked(opened, sort=sort, top=top, where=where)
    shown = headline(opened, rows, sort) if form == "table" else rows
    sys.stdout.buffer.write(formatted(shown, form))


@cli.command("walk-forward", cls=_Examples, epilog="options-bt walk-forward runs/walk_forward --plateau")
@RUN
@click.option("--by", metavar="METRIC", help="Metric to choose by; the job's objective by default.")
@click.option("--plateau", is_flag=True, help="Choose by the mean over a combination and its neighbours.")
@click.option("--pooled", is_flag=True, help="Choose once for all symbols, by the mean over them.")
def walk_forward(run: Path, by: str | None, plateau: bool, pooled: bool) -> None:
    """Show what RUN (a run folder) chose in each training window, and what that earned in the test that follows.

    Prints the choices with the best of each test beside them, the out-of-sample account of each symbol and of all,
    walk-forward efficiency, and how stable the choice was.
    """
    from options_bt.analysis.opened import open_run
    from options_bt.analysis.walk_forward import walk_forward as analysed
    from options_bt.analysis.walk_forward_text import walk_forward_text

    opened = open_run(_run_folder(run))
    click.echo(walk_forward_text(opened, analysed(opened, by, plateau=plateau, pooled=pooled)), nl=False)


@cli.command(cls=_Examples, epilog="options-bt show runs/grid 3f2a")
@RUN
@click.argument("job")
def show(run: Path, job: str) -> None:
    """Show one backtest of RUN: parameters, metrics, refusals and trades.

    JOB is its id, or the first characters of it.
    """
    from options_bt.analysis.opened import open_run
    from options_bt.analysis.tables import job_text

    click.echo(job_text(open_run(_run_folder(run)), job), nl=False)


@cli.command(cls=_Examples, epilog="options-bt report runs/grid")
@RUN
@click.option("--output", type=_FOLDER, metavar="FILE", help="Where to write the page; report.html in RUN by default.")
@click.option(
    "--images",
    type=click.Choice(["svg", "png"]),
    help="Write each chart as an image too, into `images` beside the page.",
)
def report(run: Path, output: Path | None, images: Literal["svg", "png"] | None) -> None:
    """Write the report of RUN (a run folder): one HTML page that opens offline, in any browser.

    `run` writes it too when it ends. The images are drawn by Chrome or Chromium, which must be there for them.
    """
    from options_bt.analysis.opened import open_run
    from options_bt.report.after_run import report_file
    from options_bt.report.html import write_report

    opened = open_run(_run_folder(run))
    path = output or report_file(opened)
    write_report(opened, path)
    click.echo(f"Report: {path}")
    if images:
        from options_bt.report.images import write_images

        written = write_images(opened, path.parent / "images", images)
        click.echo(f"Images: {len(written)} in {path.parent / 'images'}")


@cli.command(cls=_Examples, epilog="options-bt compare runs/grid runs/grid-again")
@click.argument("run_a", type=_FOLDER)
@click.argument("run_b", type=_FOLDER)
@click.option("--top", type=click.IntRange(min=1), default=20, show_default=True, help="Differing cells to print.")
def compare(run_a: Path, run_b: Path, top: int) -> None:
    """Compare two runs job by job, to the last bit; exit with 1 when they differ.

    Prints the first differing cells, and the metrics of the common jobs: means, medians, and how many jobs and symbols
    are better or worse in RUN_B. `chance` says how often symbols divide so unevenly where a change does nothing.
    """
    from options_bt.analysis.compare import compare as compare_runs
    from options_bt.analysis.opened import open_run
    from options_bt.analysis.tables import comparison_text

    comparison = compare_runs(open_run(_run_folder(run_a)), open_run(_run_folder(run_b)), top)
    click.echo(comparison_text(comparison, top), nl=False)
    raise SystemExit(int(not comparison.equal))


@cli.command(cls=_Examples, epilog="options-bt overfitting runs/grid")
@RUN
@click.option("--top", type=click.IntRange(min=1), default=10, show_default=True, help="Trials to print.")
@click.option("--draws", type=click.IntRange(min=100), default=1000, show_default=True, help="Histories to draw.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of these histories.")
def overfitting(run: Path, top: int, draws: int, seed: int) -> None:
    """Tell whether the best of RUN (a run folder) is any good, or just the luckiest of many.

    Prints the deflated Sharpe ratio, Hansen's test, the probability of backtest overfitting, and intervals for the best
    by Sharpe ratio. With windows only the tests count. Needs options-bt[report].
    """
    from options_bt.analysis.opened import open_run
    from options_bt.analysis.overfitting.of_run import overfitting as statistics
    from options_bt.analysis.overfitting.text import overfitting_text

    found = statistics(open_run(_run_folder(run)), top=top, draws=draws, seed=seed)
    click.echo(overfitting_text(found), nl=False)


@cli.group()
def data() -> None:
    """Pull, list and verify the cached data."""


@data.command("pull", cls=_Examples, epilog="options-bt data pull jobs/grid.yaml --symbol SPY")
@_takes_job
@QUIET
@CACHE
def data_pull(job: JobFile, quiet: bool, cache: Path) -> None:
    """Bring what JOBFILE needs and the cache lacks, and build its markets."""
    _verbosity(quiet, verbose=False)
    from options_bt.runner.run import pull_job

    pull_job(job, cache, shown=not quiet)


@data.command("ls", cls=_Examples, epilog="options-bt data ls")
@CACHE
def data_ls(cache: Path) -> None:
    """List what is cached: sources, symbols, years, quotes and bytes."""
    from options_bt.analysis.tables import text_table
    from options_bt.data.listing import cached_data

    click.echo(text_table(cached_data(cache)), nl=False)


@data.command("verify", cls=_Examples, epilog="options-bt data verify")
@CACHE
def data_verify(cache: Path) -> None:
    """Check every cached file against its checksum; name the damaged, which the next pull brings again."""
    from options_bt.data.listing import verified

    files, markets, damaged = verified(cache)
    for path, fault in damaged:
        click.echo(f"{path} {fault}")
    healing = "; the next pull heals them" if damaged else ""
    built = f"{markets} built market{'' if markets == 1 else 's'}"
    click.echo(f"{files} files and {built} checked, {len(damaged)} damaged{healing}")
    raise SystemExit(int(bool(damaged)))


@data.command("coverage", cls=_Examples, epilog="options-bt data coverage SPY")
@click.argument("symbol")
@click.option("--source", metavar="NAME", help="Only this source, as `data ls` names it; all that have it by default.")
@CACHE
def data_coverage(symbol: str, source: str | None, cache: Path) -> None:
    """Show how dense the cached chain of SYMBOL is: days, expirations, strikes, contracts that vanish, gaps.

    stay_pct is the share of the quote days between a contract's first quote and its expiration on which it is
    quoted; end_pct is the share of contracts quoted on the last of these days.
    """
    from options_bt.analysis.tables import text_table
    from options_bt.data.coverage import cached_coverage

    for coverage in cached_coverage(cache, symbol, source):
        click.echo(f"{coverage.heading}\n")
        for title, table in coverage.tables.items():
            click.echo(f"{title}\n{text_table(table)}")


@data.command("check", cls=_Examples, epilog="options-bt data check SPY")
@click.argument("symbol")
@click.option("--source", metavar="NAME", help="Only this source, as `data ls` names it; all that have it by default.")
@CACHE
def data_check(symbol: str, source: str | None, cache: Path) -> None:
    """Show what is wrong with the cached data of SYMBOL: what is dropped, and quotes that cannot be true.

    A table of all rules, then up to three examples of each that is broken, with their dates.
    """
    from options_bt.analysis.tables import text_table
    from options_bt.data.check import findings, findings_table, heading
    from options_bt.data.reading import cached_manifests, cached_symbol

    for store, manifest in cached_manifests(cache, symbol, source):
        found = findings(cached_symbol(store, manifest))
        click.echo(f"{heading(manifest)}\n\n{text_table(findings_table(found))}")
        for finding in found:
            if finding.broken:
                click.echo(f"{finding.rule}: {finding.meaning}\n{text_table(finding.examples)}")


def main() -> None:
    """Run the command line; errors that a user can mend are printed without a traceback."""
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
