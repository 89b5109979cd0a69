"""The overfitting statistics of a run, and a verdict."""

from __future__ import annotations

from math import isfinite, isnan, sqrt

import numpy as np
import polars as pl
from msgspec import Struct

from options_bt.analysis.overfitting.bootstrap import Intervals, intervals, superior_ability
from options_bt.analysis.overfitting.cscv import Cscv, blocks_for, cscv
from options_bt.analysis.overfitting.histories import MIN_DAYS, block_length
from options_bt.analysis.overfitting.sharpe import (
    average_correlation,
    effective_trials,
    expected_maximum_sharpe,
    minimum_track_record,
    moments,
    probabilistic_sharpe,
    trials_by_correlation,
)
from options_bt.analysis.overfitting.trials import Trials, trials_of
from options_bt.analysis.overfitting.verdict import Verdict, verdict_of
from options_bt.analysis.run_reader import Run

STATISTICS = (
    "sharpe", "sharpe_low", "sharpe_high", "psr", "dsr", "track_years", "total_return", "return_low", "return_high",
)  # fmt: skip
LEVEL = 0.9
"""The share of drawn histories within an interval."""


class Overfitting(Struct, frozen=True, kw_only=True):
    """Whether the best trial of a run is better than luck. Sharpe ratios are per year.

    Attributes
    ----------
    trials : int
        Combinations on symbols with all their backtests done; the windows of one count as one trial.
    left_out : int
        Combinations that are not trials, because one of their backtests failed or has not run.
    without_sharpe : int
        Trials without a Sharpe ratio, because they did not trade or their equity did not move.
    effective_trials : float
        The number of independent trials that those with a Sharpe ratio are worth, by their squared correlations.
    correlation : float or None
        Mean correlation of two trials; None with fewer than two that have a Sharpe ratio.
    trials_by_correlation : float
        The number of independent trials they are worth by the mean correlation, as in the paper of the deflated ratio.
    dsr_by_correlation : float or None
        The deflated ratio of the best trial with that number.
    days : int
        Days with returns: quote days of any symbol, in test windows only where the job has windows.
    years : float or None
        These days in years; None for fewer than two days.
    luck : float or None
        The best Sharpe ratio expected by luck alone; the benchmark of the deflated ratio.
    top : polars.DataFrame
        The best trials by Sharpe ratio, best first: ``symbol``, the axes, ``trades``; ``sharpe`` with its 90% interval,
        ``sharpe_low`` and ``sharpe_high``; ``psr`` and ``dsr``, the probabilities that the true ratio is above 0 and
        above `luck`; ``track_years``, the length of record that the psr needs for 95% (null where `sharpe` is not above
        0); ``total_return``, as a fraction, with ``return_low`` and ``return_high``. Empty where no trial has a Sharpe
        ratio.
    block_length : int or None
        Mean length in days of the blocks of the histories drawn for the test.
    p_value : float or None
        Of Hansen's test that no trial beats doing nothing; None without a Sharpe ratio or below 20 days.
    cscv : Cscv or None
        Cross-validation, with the probability of backtest overfitting. Its Sharpe ratios are per day, its columns those
        of `Trials`. None for a single trial or below 40 days.
    verdict : str
        ``better_than_luck``, ``unclear``, ``likely_luck`` or ``too_little_data``, from `verdict_of`.
    """

    trials: int
    left_out: int
    without_sharpe: int
    effective_trials: float
    correlation: float | None
    trials_by_correlation: float
    dsr_by_correlation: float | None
    days: int
    years: float | None
    luck: float | None
    top: pl.DataFrame
    block_length: int | None
    p_value: float | None
    cscv: Cscv | None
    verdict: Verdict


def overfitting(run: Run, *, top: int = 10, draws: int = 1000, seed: int = 0) -> Overfitting:
    """Return the overfitting statistics of a run, over the trials from `trials_of`.

    Parameters
    ----------
    run : Run
        Finished or not, with or without failures.
    top : int
        The most rows in the table of the best trials.
    draws : int
        The number of histories drawn for each interval and for the test.
    seed : int
        Equal seeds give equal numbers.

    Raises
    ------
    RunFolderError
        When nothing has finished yet, or the run folder is missing files.

    Examples
    --------
    >>> found = overfitting(example_run())
    >>> found.trials, found.days > 250, 1 <= found.effective_trials <= 2
    (2, True, True)
    """
    return overfitting_of(trials_of(run), top=top, draws=draws, seed=seed)


def overfitting_of(trials: Trials, *, top: int, draws: int, seed: int) -> Overfitting:
    """Return the overfitting statistics of trials, with the arguments of `overfitting`."""
    days, annual = len(trials.days), isfinite(trials.per_year)
    measured = moments(trials.excess)
    have = np.flatnonzero(~np.isnan(measured.sharpe)) if annual else np.empty(0, np.int64)
    effective = effective_trials(trials.excess[:, have])
    correlation = average_correlation(trials.excess[:, have])
    by_correlation = trials_by_correlation(len(have), correlation)
    variance = float(np.var(measured.sharpe[have], ddof=1)) if len(have) > 1 else 0.0
    luck = expected_maximum_sharpe(effective, variance)
    columns = have[np.argsort(-measured.sharpe[have], kind="stable")][:top]
    best = columns.tolist()
    lengths = {column: block_length(trials.excess[:, column]) for column in best}
    length = max(lengths.values()) if best and days >= MIN_DAYS else None
    p_value = superior_ability(trials.excess, length, draws=draws, seed=seed) if length else None
    blocks = blocks_for(days) if len(have) and len(trials.table) > 1 else 0
    found = cscv(trials.excess, blocks) if blocks else None

    def above(column: int, benchmark: float) -> float:
        """Return the probability that the true Sharpe ratio of a trial is above a benchmark."""
        sharpe, skew, kurtosis = (float(moment[column]) for moment in measured)
        return probabilistic_sharpe(sharpe, benchmark, days, skew, kurtosis)

    def row(column: int, ends: Intervals) -> tuple[float | None, ...]:
        """Return the STATISTICS of a trial."""
        sharpe, skew, kurtosis = (float(moment[column]) for moment in measured)
        needed = minimum_track_record(sharpe, 0.0, skew, kurtosis)
        return (
            *(ratio * sqrt(trials.per_year) for ratio in (sharpe, *ends.sharpe)),
            above(column, 0.0),
            above(column, luck),
            needed / trials.per_year if isfinite(needed) else None,
            float(np.prod(1 + trials.returns[:, column]) - 1),
            *ends.total_return,
        )

    ends = _intervals(trials, lengths, draws=draws, seed=seed)
    rows = [row(column, ends[column]) for column in best]
    statistics = pl.DataFrame(rows, dict.fromkeys(STATISTICS, pl.Float64), orient="row")
    table = trials.table.drop("jobs")[columns].hstack(statistics)
    return Overfitting(
        trials=len(trials.table),
        left_out=trials.left_out,
        without_sharpe=len(trials.table) - len(have),
        effective_trials=effective,
        correlation=None if isnan(correlation) else correlation,
        trials_by_correlation=by_correlation,
        dsr_by_correlation=above(best[0], expected_maximum_sharpe(by_correlation, variance)) if best else None,
        days=days,
        years=days / trials.per_year if annual else None,
        luck=luck * sqrt(trials.per_year) if best else None,
        top=table,
        block_length=length,
        p_value=p_value,
        cscv=found,
        verdict=verdict_of(days, table, p_value, found.pbo if found else None),
    )


def _intervals(trials: Trials, lengths: dict[int, int], *, draws: int, seed: int) -> dict[int, Intervals]:
    """Return the intervals of the trials in these columns; those with the same block length share drawn histories."""
    found: dict[int, Intervals] = {}
    for length in set(lengths.values()):
        columns = [column for column, own in lengths.items() if own == length]
        returns, excess = trials.returns[:, columns], trials.excess[:, columns]
        drawn = intervals(returns, excess, length, level=LEVEL, draws=draws, seed=seed)
        found |= zip(columns, drawn, strict=True)
    return found
