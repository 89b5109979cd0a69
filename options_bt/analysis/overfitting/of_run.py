"""The overfitting statistics of a run: what they are of, the numbers, and a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite, isnan, sqrt

import numpy as np
import polars as pl
from msgspec import Struct

from options_bt.analysis.overfitting.bootstrap import Intervals, intervals, superior_ability
from options_bt.analysis.overfitting.cscv import Cscv, blocks_for, cscv
from options_bt.analysis.overfitting.histories import MIN_DAYS, block_length
from options_bt.analysis.overfitting.sharpe import (
    Moments,
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
    "sharpe",
    "sharpe_low",
    "sharpe_high",
    "psr",
    "dsr",
    "track_years",
    "total_return",
    "return_low",
    "return_high",
)
LEVEL = 0.9
"""Share of the drawn histories that an interval holds."""


class Overfitting(Struct, frozen=True, kw_only=True):
    """Whether the best trial of a run is better than luck; Sharpe ratios here are per year.

    Attributes
    ----------
    trials : int
        What was tried: combinations on symbols, with all their backtests done. Their windows count as one.
    left_out : int
        Combinations that are no trial, since a backtest of theirs failed or has not run.
    without_sharpe : int
        Trials without a Sharpe ratio, since they did not trade or their equity did not move.
    effective_trials : float
        How many independent trials those with a Sharpe ratio are worth, by their squared correlations.
    correlation : float or None
        Mean correlation of two trials; None with fewer than two that have a Sharpe ratio.
    trials_by_correlation : float
        How many independent trials they are worth by the mean correlation, as the paper of the deflated ratio has it.
    dsr_by_correlation : float or None
        The deflated ratio of the best trial with that number.
    days : int
        Days of the returns: quote days of any symbol, in test windows only where the job has windows.
    years : float or None
        These days in years; None where they are one or none.
    luck : float or None
        What the best Sharpe ratio is expected to be by luck alone; the benchmark of the deflated one.
    top : polars.DataFrame
        The best trials by Sharpe ratio, best first: ``symbol``, the axes, ``trades``; ``sharpe`` with the ends of
        its 90% interval, ``sharpe_low`` and ``sharpe_high``; ``psr`` and ``dsr``, the probabilities that the true
        ratio is above 0 and above `luck`; ``track_years``, how long a record the psr needs for 95% (null where
        `sharpe` is not above 0); ``total_return``, as a fraction, with ``return_low`` and ``return_high``. Empty
        where no trial has a Sharpe ratio.
    block_length : int or None
        Mean length of a block of the drawn histories of the test, in days.
    p_value : float or None
        Of Hansen's test that no trial beats doing nothing; None without a Sharpe ratio or below 20 days.
    cscv : Cscv or None
        Cross-validation, with the probability of backtest overfitting; its Sharpe ratios are per day, its columns those
        of `Trials`. None for a single trial or below 40 days.
    verdict : str
        ``better_than_luck``, ``unclear``, ``likely_luck`` or ``too_little_data``: see `verdict_of`.
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
    """Return the overfitting statistics of a run; `trials_of` says what its trials are.

    Parameters
    ----------
    run : Run
        Finished or not, with or without failures.
    top : int
        How many rows the table of the best has at most.
    draws : int
        How many histories are drawn for each interval and for the test.
    seed : int
        Equal seeds give equal numbers.

    Raises
    ------
    RunFolderError
        When nothing has finished yet, or the run folder has lost files.

    Examples
    --------
    >>> found = overfitting(example_run())
    >>> found.trials, found.days > 250, 1 <= found.effective_trials <= 2
    (2, True, True)
    """
    return overfitting_of(trials_of(run), top=top, draws=draws, seed=seed)


def overfitting_of(trials: Trials, *, top: int, draws: int, seed: int) -> Overfitting:
    """Return the overfitting statistics of trials; arguments as for `overfitting`."""
    days = len(trials.days)
    measured = moments(trials.excess)
    have = np.flatnonzero(~np.isnan(measured.sharpe)) if isfinite(trials.per_year) else np.empty(0, np.int64)
    effective = effective_trials(trials.excess[:, have])
    correlation = average_correlation(trials.excess[:, have])
    by_correlation = trials_by_correlation(len(have), correlation)
    variance = float(np.var(measured.sharpe[have], ddof=1)) if len(have) > 1 else 0.0
    luck = expected_maximum_sharpe(effective, variance)
    best = have[np.argsort(-measured.sharpe[have], kind="stable")][:top]
    lengths = [block_length(trials.excess[:, column]) for column in best]
    length = max(lengths) if lengths and days >= MIN_DAYS else None
    p_value = superior_ability(trials.excess, length, draws=draws, seed=seed) if length else None
    blocks = blocks_for(days) if len(have) and len(trials.table) > 1 else 0
    found = cscv(trials.excess, blocks) if blocks else None
    ends = _intervals(trials, dict(zip(map(int, best), lengths, strict=True)), draws=draws, seed=seed)
    rows = [_row(trials, measured, column, ends[column], luck) for column in map(int, best)]
    table = trials.table.drop("jobs")[best].hstack(pl.DataFrame(rows, schema=dict.fromkeys(STATISTICS, pl.Float64)))
    verdict = verdict_of(days, table, p_value, found.pbo if found else None)
    per_year = sqrt(trials.per_year) if len(have) else None
    other = _deflated(measured, best[0], days, expected_maximum_sharpe(by_correlation, variance)) if len(best) else None
    return Overfitting(
        trials=len(trials.table),
        left_out=trials.left_out,
        without_sharpe=len(trials.table) - len(have),
        effective_trials=effective,
        correlation=None if isnan(correlation) else correlation,
        trials_by_correlation=by_correlation,
        dsr_by_correlation=other,
        days=days,
        years=days / trials.per_year if isfinite(trials.per_year) else None,
        luck=luck * per_year if per_year else None,
        top=table,
        block_length=length,
        p_value=p_value,
        cscv=found,
        verdict=verdict,
    )


def _deflated(measured: Moments, column: int, days: int, benchmark: float) -> float:
    """Return the probability that the true Sharpe ratio of one trial is above a benchmark."""
    sharpe, skew, kurtosis = (float(moment[column]) for moment in measured)
    return probabilistic_sharpe(sharpe, benchmark, days, skew, kurtosis)


def _intervals(trials: Trials, lengths: Mapping[int, int], *, draws: int, seed: int) -> dict[int, Intervals]:
    """Return the intervals of each of these trials; those with blocks of equal length share the drawn histories."""
    found: dict[int, Intervals] = {}
    for length in set(lengths.values()):
        columns = [column for column, own in lengths.items() if own == length]
        returns, excess = trials.returns[:, columns], trials.excess[:, columns]
        drawn = intervals(returns, excess, length, level=LEVEL, draws=draws, seed=seed)
        found |= zip(columns, drawn, strict=True)
    return found


def _row(trials: Trials, measured: Moments, column: int, ends: Intervals, luck: float) -> dict[str, float | None]:
    """Return the statistics of one trial, by STATISTICS."""
    sharpe, skew, kurtosis = (float(moment[column]) for moment in measured)
    returns, excess = trials.returns[:, column], trials.excess[:, column]
    needed = minimum_track_record(sharpe, 0.0, skew, kurtosis)
    root = sqrt(trials.per_year)
    values = (
        sharpe * root,
        ends.sharpe[0] * root,
        ends.sharpe[1] * root,
        _deflated(measured, column, len(excess), 0.0),
        _deflated(measured, column, len(excess), luck),
        needed / trials.per_year if isfinite(needed) else None,
        float(np.prod(1 + returns) - 1),
        *ends.total_return,
    )
    return dict(zip(STATISTICS, values, strict=True))
