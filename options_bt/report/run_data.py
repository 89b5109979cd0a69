"""The data of a run that the sections of its page show."""

from __future__ import annotations

from functools import cached_property

import polars as pl

from options_bt.analysis.overfitting.statistics import Overfitting, overfitting
from options_bt.analysis.price_sources import PriceSources, price_sources
from options_bt.analysis.run_reader import Run, Table
from options_bt.analysis.walk_forward import WalkForward, walk_forward
from options_bt.runner.run_folder.ledger import Failure

TOP = 10
"""The number of jobs shown with their equity and trades."""
MOST_ROWS = 1000
"""The most rows of the ranking."""
MOST_FAILURES = 200
HEATMAP_METRICS = ("total_return", "max_drawdown", "win_rate", "trades")
"""The metrics of the heatmaps, beside the objective."""
MOST_TRIALS = 10_000
"""With more backtests the overfitting statistics take minutes, and are left to their own command."""


class RunData:
    """A run as the sections of its page read it; everything is read at most once.

    Parameters
    ----------
    run : Run
        Shown as it is now, even if it is still running.

    Attributes
    ----------
    run : Run
    objective : str
        The metric that ranks.
    total : int
        The jobs of the plan, including those that have not run.
    finished, failed : int
        The jobs that are done, and those that failed.
    trade_count : int
        The trades of all jobs that are done.
    median : float or None
        The median of the objective; None where it is undefined for every job.
    """

    def __init__(self, run: Run) -> None:
        self.run = run.snapshot()
        self.objective = run.job.objective
        self.total = len(run.plan)
        counts = (pl.col("status").eq(state).sum().alias(state) for state in ("done", "failed"))
        self.finished, self.failed = self.run.scan_results().select(counts).collect().row(0)
        totals = self.done.select(pl.col("trades").sum(), median=pl.col(self.objective).median())
        self.trade_count, self.median = totals.collect().row(0)

    @property
    def done(self) -> pl.LazyFrame:
        """The rows of `Run.results` that are done, lazily: a large run has more than memory should hold."""
        return self.run.scan_results().filter(pl.col("status") == "done")

    @cached_property
    def leaderboard(self) -> pl.DataFrame:
        """The first `MOST_ROWS` of the leaderboard."""
        return self.run.leaderboard(top=MOST_ROWS)

    @cached_property
    def top(self) -> pl.DataFrame:
        """The best `TOP` results that are done: with a defined objective, or any where it is always undefined."""
        top = self.run.ranked(top=TOP, where=f"status = 'done' AND {self.objective} IS NOT NULL")
        return top if top.height else self.run.ranked(top=TOP, where="status = 'done'")

    @cached_property
    def trades(self) -> dict[str, pl.DataFrame]:
        """The trades of each job of `top`, by its id."""
        return self._by_job("trades")

    @cached_property
    def equity(self) -> dict[str, pl.DataFrame]:
        """The equity of each job of `top`, by its id."""
        return self._by_job("equity")

    def _by_job(self, table: Table) -> dict[str, pl.DataFrame]:
        rows = self.run.scan(table, self.top["job"].to_list()).collect()
        return {job: rows.filter(pl.col("job") == job) for job in self.top["job"]}

    @cached_property
    def failures(self) -> list[Failure]:
        """The first `MOST_FAILURES` failed jobs."""
        return self.run.failures(MOST_FAILURES)

    @cached_property
    def axes(self) -> dict[str, list[str]]:
        """What tells the jobs apart, and its values as text in the order of the job file.

        These are ``symbol``, ``window``, ``role`` and the axes of the grid, if the results hold more than one value.
        """
        axes = {}
        for name in ("symbol", "window", "role", *(name for name, _ in self.run.job.grid)):
            # Results have the order of the plan, so values first appear in the order of the job file.
            values = self.run.scan_results().select(_axis_text(name).unique(maintain_order=True)).collect()
            if values.height > 1:
                axes[name] = values.to_series().to_list()
        return axes

    @cached_property
    def values(self) -> pl.DataFrame:
        """One row for each job that is done: `axes` as text, the objective and `HEATMAP_METRICS` as Float32."""
        # Enums take a sixteenth of the memory of strings, and Float32 is enough for drawing.
        texts = (_axis_text(name).cast(pl.Enum(values)) for name, values in self.axes.items())
        metrics = [name for name in dict.fromkeys((self.objective, *HEATMAP_METRICS)) if name not in self.axes]
        return self.done.select(*texts, pl.col(metrics).cast(pl.Float32)).collect(engine="streaming")

    @cached_property
    def quoted(self) -> pl.DataFrame:
        """``symbol, days, first, last``: the quote days of the longest backtest of each symbol."""
        spans = self.done.group_by("symbol", "start", "end").agg(pl.col("job").min()).collect(engine="streaming")
        length = pl.col("end") - pl.col("start")
        longest = spans.sort("symbol", length, "end").group_by("symbol").agg(pl.col("job").last())
        date = pl.col("date")
        rows = self.run.scan("equity", longest["job"].to_list()).filter(date.is_not_null())
        days = rows.group_by("job").agg(days=pl.len(), first=date.min(), last=date.max()).collect()
        return longest.join(days, on="job").drop("job").sort("symbol")

    @cached_property
    def price_sources(self) -> PriceSources | None:
        """Where the prices of the positions came from; None where no position was held."""
        return price_sources(self.done)

    @cached_property
    def overfitting(self) -> Overfitting | None:
        """The overfitting statistics; None where no backtest is done, or more than `MOST_TRIALS` are."""
        return overfitting(self.run, top=TOP) if 0 < self.finished <= MOST_TRIALS else None

    @cached_property
    def walk_forward(self) -> WalkForward | None:
        """The walk-forward analysis; None for a run without windows."""
        return walk_forward(self.run) if self.run.job.windows else None

    @property
    def simulated(self) -> bool:
        """Whether the prices come from the simulated market."""
        return self.run.job.source.partition("?")[0].partition(":")[0] == "demo"

    def name(self, job: str) -> str:
        """Return a job of `top` as text, such as ``SPY, delta 0.18, dte 30-45``."""
        row = self.top.row(by_predicate=pl.col("job") == job, named=True)
        window = [f"window {row['window']} {row['role']}"] if row["window"] else []
        axes = [f"{name} {'none' if row[name] is None else row[name]}" for name, _ in self.run.job.grid]
        return ", ".join([row["symbol"], *window, *axes])


def _axis_text(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.String).fill_null("none")
