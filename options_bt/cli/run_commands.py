"""The commands that read a run folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

import click

from options_bt.cli.options import CACHE, FOLDER, RUN, Examples, run_folder


@click.command(cls=Examples, epilog='options-bt results runs/grid --sort calmar --where "delta > 0.18"')
@RUN
@click.option("--sort", metavar="METRIC", help="Column to rank by; the job's objective by default.")
@click.option("--top", type=click.IntRange(min=1), help="How many rows; all by default.")
@click.option("--where", metavar="SQL", help="Condition over the columns; a date is written date '2020-01-01'.")
@click.option("--format", "form", type=click.Choice(["table", "csv", "json", "parquet"]), default="table")
def results(run: Path, sort: str | None, top: int | None, where: str | None, form: Any) -> None:
    """Print the results of RUN (a run folder), best first.

    The table shows what tells the jobs apart and the main metrics; the other formats have every column.
    """
    from options_bt.analysis.run_reader import open_run
    from options_bt.analysis.tables import formatted, headline, headline_columns, ranked

    opened = open_run(run_folder(run))
    columns = headline_columns(opened, sort) if form == "table" else None
    rows = ranked(opened, sort=sort, top=top, where=where, columns=columns)
    sys.stdout.buffer.write(formatted(headline(opened, rows, sort) if columns else rows, form))


@click.command("walk-forward", cls=Examples, epilog="options-bt walk-forward runs/walk_forward --plateau")
@RUN
@click.option("--by", metavar="METRIC", help="Metric to choose by; the job's objective by default.")
@click.option("--plateau", is_flag=True, help="Choose by the mean over a combination and its neighbours.")
@click.option("--pooled", is_flag=True, help="Choose once for all symbols, by the mean over them.")
@CACHE
def walk_forward(run: Path, by: str | None, plateau: bool, pooled: bool, cache: Path) -> None:
    """Show what RUN (a run folder) chose in each training window, and what that earned in the test that follows.

    Prints the choices with the best of each test beside them, the out-of-sample account of each symbol and of all,
    walk-forward efficiency, and how stable the choice was.
    """
    from options_bt.analysis.run_reader import open_run
    from options_bt.analysis.walk_forward import walk_forward as analysed
    from options_bt.analysis.walk_forward_text import walk_forward_text

    opened = open_run(run_folder(run), cache)
    click.echo(walk_forward_text(opened, analysed(opened, by, plateau=plateau, pooled=pooled)), nl=False)


@click.command(cls=Examples, epilog="options-bt show runs/grid 3f2a")
@RUN
@click.argument("job")
@CACHE
def show(run: Path, job: str, cache: Path) -> None:
    """Show one backtest of RUN: parameters, metrics, refusals and trades.

    JOB is its id, or the first characters of it. Trades that RUN does not keep are computed again from the cached data.
    """
    from options_bt.analysis.run_reader import open_run
    from options_bt.analysis.tables import job_text

    click.echo(job_text(open_run(run_folder(run), cache), job), nl=False)


@click.command(cls=Examples, epilog="options-bt report runs/grid")
@RUN
@click.option("--output", type=FOLDER, metavar="FILE", help="Where to write the page; report.html in RUN by default.")
@click.option(
    "--images",
    type=click.Choice(["svg", "png"]),
    help="Write each chart as an image too, into `images` beside the page.",
)
@CACHE
def report(run: Path, output: Path | None, images: Literal["svg", "png"] | None, cache: Path) -> None:
    """Write the report of RUN (a run folder): one HTML page that opens offline, in any browser.

    `run` writes it too when it ends. The images are drawn by Chrome or Chromium, which must be there for them.
    """
    from options_bt.analysis.run_reader import open_run
    from options_bt.report.after_run import report_file
    from options_bt.report.html import write_report

    opened = open_run(run_folder(run), cache)
    path = output or report_file(opened)
    write_report(opened, path)
    click.echo(f"Report: {path}")
    if images:
        from options_bt.report.images import write_images

        written = write_images(opened, path.parent / "images", images)
        click.echo(f"Images: {len(written)} in {path.parent / 'images'}")


@click.command(cls=Examples, epilog="options-bt compare runs/grid runs/grid-again")
@click.argument("run_a", type=FOLDER)
@click.argument("run_b", type=FOLDER)
@click.option("--top", type=click.IntRange(min=1), default=20, show_default=True, help="Differing cells to print.")
def compare(run_a: Path, run_b: Path, top: int) -> None:
    """Compare two runs job by job, to the last bit; exit with 1 when they differ.

    Prints the first differing cells, and the metrics of the common jobs: means, medians, and how many jobs and symbols
    are better or worse in RUN_B. `chance` says how often symbols divide so unevenly where a change does nothing.
    """
    from options_bt.analysis.compare import compare as compare_runs
    from options_bt.analysis.run_reader import open_run
    from options_bt.analysis.tables import comparison_text

    comparison = compare_runs(open_run(run_folder(run_a)), open_run(run_folder(run_b)), top)
    click.echo(comparison_text(comparison, top), nl=False)
    raise SystemExit(int(not comparison.equal))


@click.command(cls=Examples, epilog="options-bt overfitting runs/grid")
@RUN
@click.option("--top", type=click.IntRange(min=1), default=10, show_default=True, help="Trials to print.")
@click.option("--draws", type=click.IntRange(min=100), default=1000, show_default=True, help="Histories to draw.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of these histories.")
@CACHE
def overfitting(run: Path, top: int, draws: int, seed: int, cache: Path) -> None:
    """Return whether the best of RUN (a run folder) is any good, or just the luckiest of many.

    Prints the deflated Sharpe ratio, Hansen's test, the probability of backtest overfitting, and intervals for the best
    by Sharpe ratio. With windows only the tests count.
    """
    from options_bt.analysis.overfitting.of_run import overfitting as statistics
    from options_bt.analysis.overfitting.text import overfitting_text
    from options_bt.analysis.run_reader import open_run

    found = statistics(open_run(run_folder(run), cache), top=top, draws=draws, seed=seed)
    click.echo(overfitting_text(found), nl=False)
