"""The statistics in one word."""

from __future__ import annotations

from typing import Literal

import polars as pl

Verdict = Literal["better_than_luck", "unclear", "likely_luck", "too_little_data"]

CONFIDENCE = 0.95
"""The least deflated Sharpe ratio that rejects luck; the p-value must be at most the rest."""
MIN_DAYS = 60
MIN_TRADES = 10


def verdict_of(days: int, top: pl.DataFrame, p_value: float | None, pbo: float | None) -> Verdict:
    """Return what the statistics together say about the best trial.

    Parameters
    ----------
    days : int
        Days with returns.
    top : polars.DataFrame
        `Overfitting.top`, with the best trial in the first row.
    p_value : float or None
        Of the test that no trial beats doing nothing.
    pbo : float or None
        Probability of backtest overfitting; None where there is none, and then it does not count.

    Returns
    -------
    Verdict
        ``too_little_data`` below 60 days or 10 trades; ``likely_luck`` where luck alone is expected to reach a better
        Sharpe ratio (deflated ratio below one half), or the best result in more than half of the drawn histories;
        ``better_than_luck`` where both reject luck at 5% and choosing the best did no harm (PBO at most one half);
        ``unclear`` otherwise.
    """
    if not top.height or p_value is None or days < MIN_DAYS or top["trades"][0] < MIN_TRADES:
        return "too_little_data"
    deflated = top["dsr"][0]
    if deflated < 0.5 or p_value > 0.5:
        return "likely_luck"
    rejected = deflated >= CONFIDENCE and p_value <= 1 - CONFIDENCE
    return "better_than_luck" if rejected and (pbo is None or pbo <= 0.5) else "unclear"
