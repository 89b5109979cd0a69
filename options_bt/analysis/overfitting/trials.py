"""The trials of a run: the combinations that were tried, and their daily returns."""

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
        One row for each trial: ``symbol``, the axes of the grid, ``jobs`` (a list of ids), ``trades``.
    left_out : int
        Combinations that are not trials, because one of their backtests failed or has not run.
    days : polars.Series of Date
        The quote days of any symbol, in order.
    returns : array of float64, shape (days, trials)
        Daily returns as fractions; 0 on days without a quote of the trial's symbol.
    excess : array of float64, shape (days, trials)
        The same less the trial's risk-free rate for a quote day.
    per_year : float
        Days a year, for annualising; NaN where there is only one day.
    """

    table: pl.DataFrame
    left_out: int
    days: pl.Series
    returns: Floats
    excess: Floats
    per_year: float


def trials_of(run: Run) -> Trials:
    """Return the trials of a run.

    A trial is a backtest of the grid. With `windows` it is one combination on one symbol over all test windows, joined;
    where tests overlap, a day belongs to the earlier one. A combination counts only if all its backtests are done.

    Symbols have different quote days. All trials use the quote days of any symbol, and an account without a quote has
    a return of 0. So no profit is lost, as it would be on the days that all symbols share, and cross-validation cuts
    all trials at the same dates. Days of 0 lower a Sharpe ratio per day as much as they raise the days a year, so
    ratios per year and probabilities stay the same.

    A ruined account (equity of 0 or less) has lost everything and stays at zero.

    Parameters
    ----------
    run : Run

    Raises
    ------
    RunFolderError
        When nothing has finished yet, or the run folder is missing files.
    """
    axes = [name for name, _ in run.job.grid]
    jobs = _jobs(run, ["symbol", *axes])
    table = jobs.group_by("trial", maintain_order=True).agg(
        pl.col("symbol", *axes).first(), pl.col("job").alias("jobs"), pl.col("trades").sum()
    )
    equity = run.scan("equity", jobs["job"].to_list()).select("job", "date", "equity")
    days = equity.select("date").unique().sort("date").collect()["date"]
    returns, excess = np.zeros((days.len(), table.height)), np.zeros((days.len(), table.height))
    # Later windows first, so that on a day of two tests the earlier one is written last.
    for window in reversed(jobs.partition_by("window")):
        for some in window.iter_slices(_AT_ONCE):
            rows = _daily(equity, some)
            at = days.search_sorted(rows["date"]).to_numpy(), rows["trial"].to_numpy()
            returns[at] = rows["return"].to_numpy()
            excess[at] = rows["excess"].to_numpy()
    left_out = len(run.job.symbols) * run.plan.per_span - table.height
    return Trials(table.drop("trial"), left_out, days, returns, excess, _per_year(run, days))


def _jobs(run: Run, key: list[str]) -> pl.DataFrame:
    """Return the backtests of complete trials, with the number of the trial, in the order of the plan."""
    done = run.results().filter(pl.col("status") == "done")
    if run.job.windows is None:
        return done.with_row_index("trial")
    windows = sum(span.role == "test" for span in run.plan.spans)
    complete = done.filter((pl.col("role") == "test") & ((pl.col("role") == "test").sum().over(key) == windows))
    numbers = complete.select(key).unique(maintain_order=True).with_row_index("trial")
    return complete.join(numbers, on=key, nulls_equal=True, maintain_order="left")


def _daily(equity: pl.LazyFrame, jobs: pl.DataFrame) -> pl.DataFrame:
    """Return ``trial, date, return, excess``, one row for each quote day of these backtests."""
    columns = jobs.lazy().select("job", "trial", "capital", "risk_free").with_row_index("number")
    rows = equity.join(columns, on="job", how="inner", maintain_order="left").drop("job")
    ruined = pl.col("equity") <= TOLERANCE
    before = pl.col("equity").shift(1).over("number").fill_null(pl.col("capital"))
    was_ruined = (ruined.cum_sum() - ruined).over("number") > 0
    earned = pl.when(was_ruined).then(0.0).when(ruined).then(-1.0).otherwise(pl.col("equity") / before - 1)
    years = (pl.col("date").last() - pl.col("date").first()).over("number").dt.total_days() / DAYS_PER_YEAR
    risk_free = (pl.col("risk_free") * years / (pl.len().over("number") - 1)).fill_nan(0.0)
    returns = rows.with_columns(earned.alias("return"))
    return returns.select("trial", "date", "return", (pl.col("return") - risk_free).alias("excess")).collect()


def _per_year(run: Run, days: pl.Series) -> float:
    """Return the days a year as the engine counts them, without the time between tests."""
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
