"""What the sections of a page read: gathered once from a run folder, with the rows of a few jobs only."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from options_bt.analysis.opened import Run
from options_bt.analysis.overfitting.of_run import Overfitting, overfitting
from options_bt.analysis.tables import ranked
from options_bt.analysis.walk_forward import WalkForward, walk_forward
from options_bt.runner.ledger import Failure

TOP = 10
"""How many jobs are shown with their equity and trades."""
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
    ranked : polars.DataFrame
        `Run.results`, best first by the objective.
    failures : list of Failure
    top : polars.DataFrame
        The first rows of `ranked` that are done and whose objective is defined; where there are none, that are done.
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
    ranked: pl.DataFrame
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
    def done(self) -> pl.DataFrame:
        """The rows of `ranked` that are done."""
        return self.ranked.filter(pl.col("status") == "done")

    @property
    def simulated(self) -> bool:
        """Whether the prices are those of the simulated market."""
        return self.run.job.source.partition("?")[0].partition(":")[0] == "demo"

    def name(self, job: str) -> str:
        """Give what tells a job of `top` apart from the others, as ``SPY, delta 0.18, dte 30-45``."""
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
    rows = ranked(run)
    done = rows.filter(pl.col("status") == "done")
    defined = done.filter(pl.col(run.job.objective).is_not_null())
    top = (defined if defined.height else done).head(TOP)
    jobs = top["job"].to_list()
    tables = {table: run.scan(table, jobs).collect() for table in ("trades", "equity")}
    return RunData(
        run=run,
        total=len(run.plan),
        ranked=rows,
        failures=run.failures(),
        top=top,
        trades=_by_job(tables["trades"], jobs),
        equity=_by_job(tables["equity"], jobs),
        quoted=_quoted(run, done),
        luck=overfitting(run, top=TOP) if 0 < done.height <= MOST_TRIALS else None,
        forward=walk_forward(run) if run.job.windows else None,
        axes={name: values for name in _places(run) if len(values := _values(run, name)) > 1},
    )


def _quoted(run: Run, done: pl.DataFrame) -> pl.DataFrame:
    length = pl.col("end") - pl.col("start")
    longest = done.group_by("symbol").agg(pl.col("job").sort_by(length).last())
    date = pl.col("date")
    rows = run.scan("equity", longest["job"].to_list()).filter(date.is_not_null())
    days = rows.group_by("job").agg(days=pl.len(), first=date.min(), last=date.max()).collect()
    return longest.join(days, on="job").drop("job").sort("symbol")


def _by_job(table: pl.DataFrame, jobs: list[str]) -> dict[str, pl.DataFrame]:
    return {job: table.filter(pl.col("job") == job) for job in jobs}


def axis_text(name: str) -> pl.Expr:
    """Give the values of an axis as texts."""
    return pl.col(name).cast(pl.String).fill_null("none")


def _values(run: Run, name: str) -> list[str]:
    # In the results the first rows of the values have the order of the job file.
    values = run.scan_results().select(axis_text(name).unique(maintain_order=True))
    return values.collect().to_series().to_list()


def _places(run: Run) -> list[str]:
    return ["symbol", "window", "role", *(name for name, _ in run.job.grid)]
