"""Predicates: SQL expressions over the features of a symbol, checked before anything runs."""

from __future__ import annotations

from typing import NamedTuple

FEATURES = (
    "close",
    "return_1",
    "hv_20",
    "sma_20",
    "sma_50",
    "sma_200",
    "rsi_14",
    "iv_30",
    "iv_rank",
    "iv_percentile",
    "skew_25",
    "term_slope",
    "history_hv",
    "history_iv",
    "history_iv_rank",
    "history_iv_percentile",
)
"""The columns that a predicate may use; each is known at the close of its day."""

_HISTORY = frozenset(name for name in FEATURES if name.startswith("history_"))


def history_columns(predicate: str) -> list[str]:
    """Return the columns of a valid predicate that come from the source's volatility history, sorted."""
    import polars as pl  # heavy, and most job files have no predicate

    return sorted(_HISTORY & set(pl.sql_expr(predicate).meta.root_names()))


class Problem(NamedTuple):
    """Why a predicate is rejected."""

    got: str
    allowed: str


def predicate_problem(predicate: str) -> Problem | None:
    """Return what is wrong with a predicate, or None for a true-or-false expression over FEATURES."""
    import polars as pl  # heavy, and most job files have no predicate

    days = pl.DataFrame({name: [1.0, 4.0, 2.0, 5.0, 3.0] for name in FEATURES})
    try:
        expression = pl.sql_expr(predicate).alias("answer")
        # Some versions of polars ignore whatever follows an expression, such as a second statement.
        pl.sql_expr(f"({predicate}\n)")
        together = days.with_columns(expression)
        alone = pl.concat(days[day].with_columns(expression) for day in range(days.height))
    except (pl.exceptions.PolarsError, ValueError) as error:
        reason = str(error).splitlines()[0].partition("; valid columns")[0]
        return Problem(f"got {predicate!r}: {reason}", f"SQL over {', '.join(FEATURES)}")
    if together["answer"].dtype != pl.Boolean:
        return Problem(f"got {predicate!r}, a {together['answer'].dtype}", "something true or false")
    if not together.equals(alone):
        return Problem(f"got {predicate!r}, which reads other days", "an expression over the day's features alone")
    return None
