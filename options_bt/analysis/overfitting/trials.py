"""The trials of a run: what was tried, and what each earned on each day."""

from __future__ import annotations

from math import nan
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from options_bt.analysis.run_reader import Run
from options_bt.engine.metrics import DAYS_PER_YEAR
from options_bt.engine.records import TOLERANCE

Floats = NDArray[np.float64]

_AT_ONCE = 1000  # backtests whose equity is in memory


class Trials(NamedTuple):
    """Every combination that was tried on a symbol, with its returns on one calendar.

    Attributes
    ----------
    table : polars.DataFrame
        A row a trial: ``symbol``, the axes of the grid, ``jobs`` (a list of ids), ``trades``.
    left_out : int
        Combinations without a trial, since a backtest of theirs failed or has not run.
    days : polars.Series of Date
        The quote days of any symbol, in order.
    returns : array of float64, shape (days, trials)
        Return of each day as a fraction. 0 on days without a quote of the trial's symbol.
    excess : array of float64, shape (days, trials)
        The same less the trial's risk-free rate of a quote day.
    per_year : float
        Days a year: what annualises; NaN where all lie on one day.
    """

    table: pl.DataFrame
    left_out: int
    days: pl.Series
    returns: Floats
    excess: Floats
    per_year: float


def trials_of(run: Run) -> Trials:
    """Return the trials of a run.

    A trial is a backtest of the grid. With `windows` it is one combination on one symbol over the test windows alone,
    one after the other; where tests overlap, a day belongs to the earlier. A combination counts only if all its
    backtests are done.

    Symbols have different quote days. All trials stand on the days of any of them, and an account without a quote
    stands still: its return is 0. So no profit is lost, as it would be on the days that all have in common, and
    cross-validation cuts all trials at the same dates. Days of 0 shrink a Sharpe ratio per day as they raise the days
    a year, so that ratios a year and probabilities stay what they were.

    A ruined account (equity of 0 or less) has lost all that was left, and stays at nothing.

    Parameters
    ----------
    run : Run

    Raises
    ------
    RunFolderError
        When nothing has finished yet, or the run folder has lost files.
    """
    axes = [name for name, _ in run.job.grid]
    jobs = _jobs(run, axes)
    table = jobs.group_by("trial", maintain_order=True).agg(
        pl.col("symbol", *axes).first(), pl.col("job").alias("jobs"), pl.col("trades").sum()
    )
    equity = run.scan("equity", jobs["job"].to_list()).select("job", "date", "equity")
    days = equity.select("date").unique().sort("date").collect()["date"]
    returns, excess = np.zeros((days.len(), table.height)), np.zeros((days.len(), table.height))
    # Later windows first: on a day of two tests the earlier one is written last.
    for window in reversed(jobs.partition_by("window")):
        for some in window.iter_slices(_AT_ONCE):
            rows = _daily(equity, some)
            at = days.search_sorted(rows["date"]).to_numpy(), rows["trial"].to_numpy()
            returns[at] = rows["return"].to_numpy()
            excess[at] = rows["excess"].to_numpy()
    left_out = len(run.job.symbols) * run.plan.per_span - table.height
    return Trials(table.drop("trial"), left_out, days, returns, excess, _per_year(run, days))


def _jobs(run: Run, axes: list[str]) -> pl.DataFrame:
    """Return the results of the backtests that make up whole trials, in the order of the plan, with their trial."""
    done = run.results().filter(pl.col("status") == "done")
    if run.job.windows is None:
        return done.with_row_index("trial")
    place = ["symbol", *axes]
    windows = sum(span.role == "test" for span in run.plan.spans)
    whole = done.filter((pl.col("role") == "test") & ((pl.col("role") == "test").sum().over(place) == windows))
    numbers = whole.select(place).unique(maintain_order=True).with_row_index("trial")
    return whole.join(numbers, on=place, nulls_equal=True, maintain_order="left")


def _daily(equity: pl.LazyFrame, jobs: pl.DataFrame) -> pl.DataFrame:
    """Return ``trial, date, return, excess``, a row for each quote day of each of these backtests."""
    place = jobs.lazy().select("job", "trial", "capital", "risk_free").with_row_index("number")
    rows = equity.join(place, on="job", how="inner", maintain_order="left").drop("job")
    ruined = pl.col("equity") <= TOLERANCE
    before = pl.col("equity").shift(1).over("number").fill_null(pl.col("capital"))
    was_ruined = (ruined.cum_sum() - ruined).over("number") > 0
    earned = pl.when(was_ruined).then(0.0).when(ruined).then(-1.0).otherwise(pl.col("equity") / before - 1)
    years = (pl.col("date").last() - pl.col("date").first()).over("number").dt.total_days() / DAYS_PER_YEAR
    free = (pl.col("risk_free") * years / (pl.len().over("number") - 1)).fill_nan(0.0)
    returns = rows.with_columns(earned.alias("return"))
    return returns.select("trial", "date", "return", (pl.col("return") - free).alias("excess")).collect()


def _per_year(run: Run, days: pl.Series) -> float:
    """Return the days a year as the engine counts them, leaving out the time between tests."""
    gaps, years = 0, 0.0
    for span in run.plan.spans:
        if span.role == "train":
            continue
        own = days.filter((days >= span.start) & (days <= span.end))
        days = days.filter(days > span.end)
        if own.len():
            gaps += own.len() - 1
            years += (own[-1] - own[0]).days / DAYS_PER_YEAR
    return gaps / years if years else nan
