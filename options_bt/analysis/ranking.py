"""Results ranked and filtered, and the few columns of them that people look at first."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from options_bt.errors import InputError, nearest
from options_bt.job.objectives import LOWER_IS_BETTER
from options_bt.job.schema import JobFile

KEY_METRICS = (
    "trades", "win_rate", "total_pnl", "total_return", "sharpe", "max_drawdown", "profit_factor", "stale_days",
)  # fmt: skip
"""The metrics of a leaderboard, after the one that ranks it."""


def ranked(
    results: pl.LazyFrame,
    by: str,
    *,
    top: int | None = None,
    where: str | None = None,
    columns: Sequence[str] | None = None,
) -> pl.DataFrame:
    """Return results as `Run.ranked` does, with only some columns if `columns` names them."""
    known = results.collect_schema()
    if by not in known:
        raise InputError(f"--sort: got {by!r}{nearest(by, known)}; allowed: {', '.join(known)}")
    descending = by not in LOWER_IS_BETTER and known[by].is_numeric()

    def in_order(rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows.sort(by, descending=descending, nulls_last=True, maintain_order=True)

    try:
        rows = results if where is None else results.filter(pl.sql_expr(where))
        if top is not None:
            # Two passes spare memory: first only the ranking column of all rows, then all columns of the first rows.
            first = in_order(rows.select({"job", by})).head(top).collect()["job"]
            rows = rows.filter(pl.col("job").is_in(first.implode()))
        return in_order(rows).select(columns or known.names()).collect()
    except (pl.exceptions.PolarsError, ValueError) as error:
        if where is None:
            raise
        reason = str(error).splitlines()[0].partition("; valid columns")[0]
        raise InputError(f"--where {where!r}: {reason}; allowed: an SQL condition over {', '.join(known)}") from None


def leaderboard(
    results: pl.LazyFrame, job: JobFile, by: str, *, top: int | None = None, where: str | None = None
) -> pl.DataFrame:
    """Return results as `ranked`, with the columns that tell the jobs apart, the ranking one and `KEY_METRICS`.

    The status is left out where all jobs are done, unless it is what ranks them.
    """
    windows = ("window", "role") if job.windows else ()
    axes = (name for name, _ in job.grid)
    columns = list(dict.fromkeys(["job", "symbol", *windows, *axes, "status", by, *KEY_METRICS]))
    rows = ranked(results, by, top=top, where=where, columns=columns)
    return rows if by == "status" or (rows["status"] != "done").any() else rows.drop("status")
