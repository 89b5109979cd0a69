"""Whether a change helped: how the metrics of the paired jobs of two runs differ."""

from __future__ import annotations

from math import comb

import polars as pl

from options_bt.engine.metrics import METRICS
from options_bt.engine.records import TOLERANCE
from options_bt.job.objectives import LOWER_IS_BETTER, OBJECTIVES

DIRECTED = frozenset(OBJECTIVES) | LOWER_IS_BETTER
"""The metrics for which more or less is better."""
_SCHEMA = (
    {"metric": pl.String, "jobs": pl.Int64}
    | dict.fromkeys(("mean_a", "mean_b", "median_a", "median_b", "difference"), pl.Float64)
    | dict.fromkeys(("better", "worse", "same", "symbols_better", "symbols_worse"), pl.Int64)
    | {"chance": pl.Float64}
)


def metric_differences(a: pl.DataFrame, b: pl.DataFrame) -> pl.DataFrame:
    """Return how each metric differs between paired jobs.

    Parameters
    ----------
    a, b : polars.DataFrame
        The results of two runs, with paired jobs in the same rows.

    Returns
    -------
    polars.DataFrame
        One row for each metric: ``metric``; ``jobs``, the number of pairs with a value on both sides, which alone
        count; ``mean_a, mean_b, median_a, median_b``; ``difference``, the mean of b - a; ``better, worse, same``, the
        number of jobs that are so in B; ``symbols_better, symbols_worse``, the same for symbols, by the mean
        difference of their jobs; ``chance``, the probability of a split at least this uneven between symbols if the
        change does nothing. Means are null without pairs; better, worse and `chance` are null where neither more nor
        less is better, and `chance` also where no symbol differs.

    Notes
    -----
    The jobs of one symbol share their days and are far from independent, so `chance` counts each symbol once, in a
    two-sided sign test (Dixon and Mood, The statistical sign test, Journal of the American Statistical Association
    41, 1946). Where symbols move together, the evidence is weaker than it says.
    """
    return pl.concat([_row(name, a, b) for name in METRICS])


def _row(metric: str, a: pl.DataFrame, b: pl.DataFrame) -> pl.DataFrame:
    both = pl.DataFrame({"symbol": a["symbol"], "a": a[metric], "b": b[metric]}).drop_nulls()
    both = both.with_columns(pl.col("a", "b").cast(pl.Float64), (pl.col("b") - pl.col("a")).alias("difference"))
    difference = both["difference"]
    better, worse = _signs(metric, difference)
    by_symbol = both.group_by("symbol").agg(pl.col("difference").mean())
    symbols_better, symbols_worse = _signs(metric, by_symbol["difference"])
    return pl.DataFrame(
        {
            "metric": metric,
            "jobs": both.height,
            "mean_a": both["a"].mean(),
            "mean_b": both["b"].mean(),
            "median_a": both["a"].median(),
            "median_b": both["b"].median(),
            "difference": difference.mean(),
            "better": better,
            "worse": worse,
            "same": (difference.abs() <= TOLERANCE).sum(),
            "symbols_better": symbols_better,
            "symbols_worse": symbols_worse,
            "chance": sign_test(symbols_better or 0, symbols_worse or 0),
        },
        _SCHEMA,
    )


def _signs(metric: str, differences: pl.Series) -> tuple[int | None, int | None]:
    """Return how many are better and how many worse; None where neither more nor less is better."""
    if metric not in DIRECTED:
        return None, None
    more, less = int((differences > TOLERANCE).sum()), int((differences < -TOLERANCE).sum())
    return (less, more) if metric in LOWER_IS_BETTER else (more, less)


def sign_test(better: int, worse: int) -> float | None:
    """Return the probability that fair coins fall at least this unevenly, to either side; None without coins.

    Examples
    --------
    >>> sign_test(4, 0)
    0.125
    """
    count = better + worse
    if not count:
        return None
    tail: int = sum(comb(count, number) for number in range(min(better, worse) + 1))
    return min(1.0, 2 * tail / (1 << count))
