"""Commands that read a run folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

import click

from options_bt.cli.options import CACHE, FOLDER, RUN, Examples, run_folder


@click.command(cls=Examples, epilog='options-bt results runs/grid --sort calmar --where "delta > 0.18"')
@RUN
@click.option("--sort", metavar="METRIC", help="Column to rank by; the job's objective by default.")
@click.option("--top", type=click.IntRange(min=1), help="Number of rows; all by default.")
@click.option("--where", metavar="SQL", help="Condition over the columns; a date is written date '2020-01-01'.")
@click.option("--format", "form", type=click.Choice(["table", "csv", "json", "parquet"]), default="table")
def results(run: Path, sort: str | None, top: int | None, where: str | None, form: Any) -> None:
    """Print the results of RUN (a run folder), best first.

    The table shows the columns that tell the jobs apart and the main metrics; the other formats have every column.
    """
    from options_bt.analysis.formatting import formatted
    from options_bt.analysis.run_reader import open_run

    results = open_run(run_folder(run))
    rows = (results.leaderboard if form == "table" else results.ranked)(sort, top=top, where=where)
    sys.stdout.buffer.write(formatted(rows, form))


@click.command("walk-forward", cls=Examples, epilog="options-bt walk-forward runs/walk_forward --plateau")
@RUN
@click.option("--by", metavar="METRIC", help="Metric to choose by; the job's objective by default.")
@click.option("--plateau", is_flag=True, help="Choose by the mean over a combination and its neighbours.")
@click.option("--pooled", is_flag=True, help="Choose once for all symbols, by the mean over them.")
@CACHE
def walk_forward(run: Path, by: str | None, plateau: bool, pooled: bool, cache: Path) -> None:
    """Show the best parameters of each training window of RUN (a run folder), and their results in the next test.

    Prints the choices beside the best of each test, the out-of-sample account of each symbol and of all together,
    walk-forward efficiency, and how stable the choices were.
    """
    from options_bt.analysis.run_reader import open_run
    from options_bt.analysis.walk_forward import walk_forward as analysis
    from options_bt.analysis.walk_forward_text import walk_forward_text

    results = open_run(run_folder(run), cache)
    click.echo(walk_forward_text(results, analysis(results, by, plateau=plateau, pooled=pooled)), nl=False)


@click.command(cls=Examples, epilog="options-bt show runs/grid 3f2a")
@RUN
@click.argument("job")
@CACHE
def show(run: Path, job: str, cache: Path) -> None:
    """Show one backtest of RUN: parameters, metrics, refusals and trades.

    JOB is its id, or the first characters of it. Trades that RUN did not keep are recomputed from the cached data.
    """
    from options_bt.analysis.job_text import job_text
    from options_bt.analysis.run_reader import open_run

    click.echo(job_text(open_run(run_folder(run), cache), job), nl=False)


@click.command(cls=Examples, epilog="options-bt report runs/grid")
@RUN
@click.option("--output", type=FOLDER, metavar="FILE", help="Where to write the page; report.html in RUN by default.")
@click.option(
    "--images",
    type=click.Choice(["svg", "png"]),
    help="Also write each chart as an image, into `images` beside the page.",
)
@CACHE
def report(run: Path, output: Path | None, images: Literal["svg", "png"] | None, cache: Path) -> None:
    """Write the report of RUN (a run folder): one HTML page that opens offline, in any browser.

    `run` also writes it at its end. Images need Chrome or Chromium.
    """
    from options_bt.analysis.run_reader import open_run
    from options_bt.report.after_run import report_file
    from options_bt.report.html import write_report

    results = open_run(run_folder(run), cache)
    path = output or report_file(results)
    write_report(results, path)
    click.echo(f"Report: {path}")
    if images:
        from options_bt.report.images import write_images

        written = write_images(results, path.parent / "images", images)
        click.echo(f"Images: {len(written)} in {path.parent / 'images'}")


@click.command(cls=Examples, epilog="options-bt compare runs/grid runs/grid-again")
@click.argument("run_a", type=FOLDER)
@click.argument("run_b", type=FOLDER)
@click.option("--top", type=click.IntRange(min=1), default=20, show_default=True, help="Differing cells to print.")
def compare(run_a: Path, run_b: Path, top: int) -> None:
    """Compare two runs job by job, to the last bit; exit with 1 if they differ.

    Prints the first differing cells, and the metrics of the common jobs: means, medians, and how many jobs and symbols
    are better or worse in RUN_B. `chance` is the probability of so uneven a split of symbols if a change does nothing.
    """
    from options_bt.analysis.compare import compare as compare_runs
    from options_bt.analysis.comparison_text import comparison_text
    from options_bt.analysis.run_reader import open_run

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
    """Show whether the best backtest of RUN (a run folder) is better than luck.

    Prints the deflated Sharpe ratio, Hansen's test, the probability of backtest overfitting, and intervals for the best
    by Sharpe ratio. With windows, only the tests count.
    """
    from options_bt.analysis.overfitting.statistics import overfitting as statistics
    from options_bt.analysis.overfitting.text import overfitting_text
    from options_bt.analysis.run_reader import open_run

    found = statistics(open_run(run_folder(run), cache), top=top, draws=draws, seed=seed)
    click.echo(overfitting_text(found), nl=False)
