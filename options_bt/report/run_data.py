"""What the sections of a page read: gathered once from a run folder, with the rows of a few jobs only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from options_bt.analysis.overfitting.of_run import Overfitting, overfitting
from options_bt.analysis.price_sources import PriceSources, price_sources
from options_bt.analysis.run_reader import Run
from options_bt.analysis.tables import headline, headline_columns, ranked
from options_bt.analysis.walk_forward import WalkForward, walk_forward
from options_bt.runner.run_folder.ledger import Failure

TOP = 10
"""How many jobs are shown with their equity and trades."""
MOST_ROWS = 1000
"""Of the ranked table."""
MOST_FAILURES = 200
CELLS = ("total_return", "max_drawdown", "win_rate", "trades")
"""The metrics of the heatmaps, beside the objective."""
MOST_TRIALS = 10_000
"""Of more backtests the overfitting statistics take minutes; their own command has them."""


@dataclass(frozen=True)
class RunData:
    """A run as the sections read it.

    Attributes
    ----------
    run : Run
    total : int
        Jobs of the plan, also those that are still to be run.
    finished, failed : int
        Jobs that are done, and that failed.
    trade_count : int
        Of all jobs that are done.
    median : float or None
        Of the objective; None where it is undefined for every job.
    shown : polars.DataFrame
        The headline columns of the first `MOST_ROWS` of `Run.results`, best first by the objective.
    values : polars.DataFrame
        A row for each job that is done: the axes as texts, the objective and `CELLS` as Float32.
    failures : list of Failure
        The first `MOST_FAILURES`.
    top : polars.DataFrame
        The first rows of the ranked that are done and whose objective is defined; where there are none, that are done.
    trades, equity : dict of str to polars.DataFrame
        Of each job of `top`, by its id.
    quoted : polars.DataFrame
        ``symbol, days, first, last``: quote days, and the first and last of them, of the longest backtest of each.
    luck : Overfitting or None
        The overfitting statistics; None where no backtest is done, or more than `MOST_TRIALS`.
    forward : WalkForward or None
        The walk-forward analysis; None for a run without windows.
    axes : dict of str to list of str
        What tells the jobs apart, with its values as texts in the order of the job file: ``symbol``, ``window``,
        ``role`` and the axes of the grid, where the results hold more than one value of it.
    """

    run: Run
    total: int
    finished: int
    failed: int
    trade_count: int
    median: float | None
    shown: pl.DataFrame
    values: pl.DataFrame
    failures: list[Failure]
    top: pl.DataFrame
    trades: dict[str, pl.DataFrame]
    equity: dict[str, pl.DataFrame]
    quoted: pl.DataFrame
    luck: Overfitting | None
    forward: WalkForward | None
    axes: dict[str, list[str]]

    @property
    def objective(self) -> str:
        """The metric that ranks."""
        return self.run.job.objective

    @property
    def done(self) -> pl.LazyFrame:
        """The rows of `Run.results` that are done, unread: all of very many are more than memory should hold."""
        return done_rows(self.run)

    @cached_property
    def sources(self) -> PriceSources | None:
        """What the prices of the positions came from."""
        return price_sources(self.done)

    @property
    def simulated(self) -> bool:
        """Whether the prices are those of the simulated market."""
        return self.run.job.source.partition("?")[0].partition(":")[0] == "demo"

    def name(self, job: str) -> str:
        """Return what tells a job of `top` apart from the others, as ``SPY, delta 0.18, dte 30-45``."""
        row = self.top.row(by_predicate=pl.col("job") == job, named=True)
        window = [f"window {row['window']} {row['role']}"] if row["window"] else []
        axes = [f"{name} {'none' if row[name] is None else row[name]}" for name, _ in self.run.job.grid]
        return ", ".join([row["symbol"], *window, *axes])


def gathered(run: Run) -> RunData:
    """Read what the sections of a page need.

    Raises
    ------
    RunFolderError
        When no backtest has ended yet, or files are lost.
    """
    run = run.as_it_stands()
    counts = (pl.col("status").eq(state).sum().alias(state) for state in ("done", "failed"))
    finished, failed = run.scan_results().select(counts).collect().row(0)
    whole = done_rows(run).select(pl.col("trades").sum(), median=pl.col(run.job.objective).median())
    trade_count, median = whole.collect().row(0)
    axes = {name: values for name in _places(run) if len(values := _values(run, name)) > 1}
    top = ranked(run, top=TOP, where=f"status = 'done' AND {run.job.objective} IS NOT NULL")
    top = top if top.height else ranked(run, top=TOP, where="status = 'done'")
    jobs = top["job"].to_list()
    tables = {table: run.scan(table, jobs).collect() for table in ("trades", "equity")}
    return RunData(
        run=run,
        total=len(run.plan),
        finished=finished,
        failed=failed,
        trade_count=trade_count,
        median=median,
        shown=headline(run, ranked(run, top=MOST_ROWS, columns=headline_columns(run))),
        values=_done_values(run, axes),
        failures=run.failures(MOST_FAILURES),
        top=top,
        trades=_by_job(tables["trades"], jobs),
        equity=_by_job(tables["equity"], jobs),
        quoted=_quoted(run),
        luck=overfitting(run, top=TOP) if 0 < finished <= MOST_TRIALS else None,
        forward=walk_forward(run) if run.job.windows else None,
        axes=axes,
    )


def done_rows(run: Run) -> pl.LazyFrame:
    """Return the rows of `Run.results` that are done, unread."""
    return run.scan_results().filter(pl.col("status") == "done")


def _done_values(run: Run, axes: Mapping[str, list[str]]) -> pl.DataFrame:
    # Texts as numbers, which take a sixteenth of the memory, and metrics in half of it: they are drawn, not counted on.
    texts = (axis_text(name).cast(pl.Enum(values)) for name, values in axes.items())
    metrics = (pl.col(name).cast(pl.Float32) for name in dict.fromkeys((run.job.objective, *CELLS)) if name not in axes)
    return done_rows(run).select(*texts, *metrics).collect(engine="streaming")


def _quoted(run: Run) -> pl.DataFrame:
    spans = done_rows(run).group_by("symbol", "start", "end").agg(pl.col("job").min()).collect(engine="streaming")
    length = pl.col("end") - pl.col("start")
    longest = spans.sort("symbol", length, "end").group_by("symbol").agg(pl.col("job").last())
    date = pl.col("date")
    rows = run.scan("equity", longest["job"].to_list()).filter(date.is_not_null())
    days = rows.group_by("job").agg(days=pl.len(), first=date.min(), last=date.max()).collect()
    return longest.join(days, on="job").drop("job").sort("symbol")


def _by_job(table: pl.DataFrame, jobs: list[str]) -> dict[str, pl.DataFrame]:
    return {job: table.filter(pl.col("job") == job) for job in jobs}


def axis_text(name: str) -> pl.Expr:
    """Return the values of an axis as texts."""
    return pl.col(name).cast(pl.String).fill_null("none")


def _values(run: Run, name: str) -> list[str]:
    # In the results the first rows of the values have the order of the job file.
    values = run.scan_results().select(axis_text(name).unique(maintain_order=True))
    return values.collect().to_series().to_list()


def _places(run: Run) -> list[str]:
    return ["symbol", "window", "role", *(name for name, _ in run.job.grid)]
