"""Equity out of sample: the tests of the chosen parameters joined into one account."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from options_bt.analysis.run_reader import Run
from options_bt.engine.account import equity_metrics
from options_bt.engine.metrics import EQUITY_METRICS
from options_bt.job.schema import JobFile

EQUITY = {"symbol": pl.String, "window": pl.Int64, "date": pl.Date, "equity": pl.Float64, "open_positions": pl.Int32}
ACCOUNT = {"start": pl.Date, "end": pl.Date, "total_pnl": pl.Float64} | dict.fromkeys(EQUITY_METRICS, pl.Float64)


def compounds(job: JobFile) -> bool:
    """Return whether position sizes follow the equity (`risk`) instead of being fixed (`contracts`)."""
    return job.params.risk is not None or any(name == "risk" for name, _ in job.grid)


def stitched(run: Run, tests: pl.DataFrame) -> pl.DataFrame:
    """Return the equity of each symbol over its tests, and of all symbols together.

    Every test starts with the full `capital`. With `contracts` position sizes do not depend on the equity, so one
    account over all tests earns their dollars, which are added. With `risk` sizes follow the equity, so it earns their
    returns, which are chained; an account that has lost everything stays at zero. A test that is longer than the step
    to the next one counts until the next one starts.

    Parameters
    ----------
    run : Run
    tests : polars.DataFrame
        ``job, symbol, window, test_start, test_capital``: the test job of each choice, in time order by symbol.

    Returns
    -------
    polars.DataFrame
        ``symbol, window, date, equity, open_positions``, by symbol and date; dollars. Symbol and window are null for
        all symbols together: the sum of their accounts, where an account without a row on a date keeps its last
        equity, or has its capital before its first row.
    """
    until = pl.col("test_start").shift(-1).over("symbol").alias("until")
    accounts = tests.select("job", "symbol", "window", until, capital="test_capital")
    days = (
        run.scan("equity", tests["job"].to_list())
        .join(accounts.lazy(), on="job")
        .filter(pl.col("until").is_null() | (pl.col("date") < pl.col("until")))
        .sort("symbol", "date")
        .collect()
    )
    start = pl.col("capital").first().over("symbol")
    if compounds(run.job):
        factor = pl.max_horizontal(pl.col("equity") / pl.col("capital"), 0.0)
        before = pl.col("factor").cum_prod().shift(1, fill_value=1.0).over("symbol")
        own = start * pl.col("before") * pl.col("equity") / pl.col("capital")
    else:
        factor = pl.col("equity") - pl.col("capital")
        before = pl.col("factor").cum_sum().shift(1, fill_value=0.0).over("symbol")
        own = start + pl.col("before") + pl.col("equity") - pl.col("capital")
    ends = days.group_by("symbol", "window", maintain_order=True).agg(factor.last().alias("factor"))
    ends = ends.select("symbol", "window", before.alias("before"))
    each = days.join(ends, on=["symbol", "window"], how="left", maintain_order="left").select(
        "symbol", "window", "date", own.alias("equity"), pl.col("open_positions").cast(pl.Int32)
    )
    capital = dict(tests.group_by("symbol", maintain_order=True).agg(pl.col("test_capital").first()).iter_rows())
    return pl.concat([each, _together(each, capital)])


def _together(each: pl.DataFrame, capital: dict[str, float]) -> pl.DataFrame:
    """Return the sum of the symbols' accounts on every date of any of them."""
    if each.is_empty():
        return pl.DataFrame(schema=EQUITY)
    held = [symbol for symbol in capital if symbol in set(each["symbol"])]
    equity, positions = (
        each.pivot("symbol", index="date", values=name).sort("date").select("date", pl.col(held).forward_fill())
        for name in ("equity", "open_positions")
    )
    return pl.DataFrame(
        {
            "symbol": None,
            "window": None,
            "date": equity["date"],
            "equity": equity.select(pl.sum_horizontal(pl.col(symbol).fill_null(capital[symbol]) for symbol in held)),
            "open_positions": positions.select(pl.sum_horizontal(pl.col(held).fill_null(0))),
        },
        schema=EQUITY,
    )


def annualised(job: JobFile, total: pl.Expr, years: pl.Expr) -> pl.Expr:
    """Return total returns as fractions a year, compounded where equity is; then null below a loss of everything."""
    if not compounds(job):
        return total / years
    return pl.when(total >= -1).then((1 + total).pow(1 / years) - 1)


def out_of_sample(job: JobFile, tested: pl.DataFrame, equity: pl.DataFrame) -> pl.DataFrame:
    """Return what the stitched accounts earned: one row for each symbol, and one for all.

    Parameters
    ----------
    job : JobFile
    tested : polars.DataFrame
        The choices with a finished test, with ``symbol`` and `choices.ACCOUNT_COLUMNS`.
    equity : polars.DataFrame
        From `stitched`.

    Returns
    -------
    polars.DataFrame
        The columns of `walk_forward.WalkForward.out_of_sample`.
    """
    totals = tested.group_by("symbol").agg(
        pl.len().cast(pl.Int64).alias("windows"),
        pl.col("trades", "wins").sum(),
        pl.col("test_capital").first().alias("capital"),
        _over_spans(job, "train").alias("in_sample_return"),
        _over_spans(job, "test").alias("out_of_sample_return"),
    )
    together = totals.select(
        pl.lit(None, pl.String).alias("symbol"),
        pl.lit(None, pl.Int64).alias("windows"),
        pl.col("trades", "wins", "capital").sum(),
        pl.col("in_sample_return", "out_of_sample_return").mean(),
    )
    symbols = pl.DataFrame({"symbol": job.symbols}).join(totals, on="symbol", how="left", maintain_order="left")
    rows = pl.concat([symbols.with_columns(pl.col("windows", "trades", "wins").fill_null(0)), together])
    accounts = {symbol: account for (symbol,), account in equity.partition_by("symbol", as_dict=True).items()}
    metrics = [
        _account(accounts[symbol], capital, job.params.risk_free) if symbol in accounts else {}
        for symbol, capital in rows.select("symbol", "capital").iter_rows()
    ]
    in_sample = pl.col("in_sample_return")
    return pl.concat([rows, pl.DataFrame(metrics, ACCOUNT)], how="horizontal").select(
        "symbol",
        "windows",
        "start",
        "end",
        "trades",
        (pl.col("wins") / pl.col("trades")).fill_nan(None).alias("win_rate"),
        "total_pnl",
        *EQUITY_METRICS,
        "in_sample_return",
        "out_of_sample_return",
        pl.when(in_sample > 0).then(pl.col("out_of_sample_return") / in_sample).alias("efficiency"),
    )


def _over_spans(job: JobFile, role: str) -> pl.Expr:
    """Return the return a year over several spans, compounded where equity is."""
    total, years = pl.col(f"{role}_total"), pl.col(f"{role}_years")
    if compounds(job):
        growth = pl.max_horizontal(1 + total, 0.0)
        return growth.product().pow(1 / years.sum()) - 1
    return total.sum() / years.sum()


def _account(equity: pl.DataFrame, capital: float, risk_free: float) -> dict[str, Any]:
    """Return the first and last day, the profit and `EQUITY_METRICS` of one account; None where undefined."""
    days = equity["date"]
    values = equity["equity"].to_numpy()
    exposed_days = int((equity["open_positions"] > 0).sum())
    metrics = equity_metrics(values, exposed_days, (days[-1] - days[0]).days, capital, risk_free)
    return {"start": days[0], "end": days[-1], "total_pnl": values[-1] - capital} | {
        name: None if np.isnan(value) else float(value) for name, value in zip(EQUITY_METRICS, metrics, strict=True)
    }
