"""The backtests one by one: all of them in a ranking, and the best with their equity, months and trades."""

from __future__ import annotations

import polars as pl

from options_bt.analysis.formatting import trades_for_display
from options_bt.engine.records import EXIT_REASONS
from options_bt.report.charts import count_chart, equity_chart, heatmap_chart, profit_chart
from options_bt.report.parts import Chart, Choice, Part, Section, Table, frame_table
from options_bt.report.run_data import RunData

MOST_TRADES = 1000
"""The most trades shown for one job."""
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def ranking(data: RunData) -> Section:
    """Return the ranked table of the jobs, or of the first thousand of them."""
    shown, ended = data.leaderboard, data.finished + data.failed
    left = ended - shown.height
    rest = f" The other {left:,} are in results.parquet, beside this page." if left else ""
    text = (
        f"Ranked by {data.objective}, undefined values last. Click on a column's name to sort by it.{rest} "
        f"The ids of the best {data.top.height:,} link to their trades."
    )
    links = {job: f"#job-{job}" for job in data.top["job"]}
    caption = f"The best {shown.height:,} of {ended:,} backtests" if left else "All backtests, best first"
    table = frame_table(caption, shown, id="ranked", choices=[*data.axes, "status"], links=links)
    return Section("ranking", "Ranking", (text,), (table,))


def curves(data: RunData) -> Section | None:
    """Return equity and drawdown of the best jobs; None where none of them has a quote day."""
    equity = {data.name(job): rows for job, rows in data.equity.items() if rows.height}
    if not equity:
        return None
    capital = {data.name(row["job"]): row["capital"] for row in data.top.iter_rows(named=True)}
    first = next(iter(equity))
    ends = f"from ${capital[first]:,.0f} to ${equity[first]['equity'][-1]:,.0f}"
    summary = f"Equity and drawdown of {len(equity)} backtests by date; that of the best, {first}, went {ends}."
    chart = Chart("equity", "Equity and drawdown", summary, equity_chart(equity, capital))
    text = "Equity and drawdown of the backtest."
    if len(equity) > 1:
        text = f"The best {len(equity)} by {data.objective}. Click on a name in the legend to hide its lines."
    return Section("equity", "Equity and drawdown", (text,), (chart,))


def details(data: RunData) -> Section | None:
    """Return months, trades, P/L and exits of each of the best jobs; None where none of them has a quote day."""
    shown = [job for job, rows in data.equity.items() if rows.height]
    if not shown:
        return None
    panels = tuple(
        (f"job-{job}", f"{number}. {data.name(job)}", _detail(data, job)) for number, job in enumerate(shown, 1)
    )
    text = "A month's return runs from the last quote day before it, or from the capital, to its own last quote day."
    return Section("details", "The best in detail", (text,), (Choice("job", "Backtest", panels),))


def _detail(data: RunData, job: str) -> tuple[Part, ...]:
    trades, name = data.trades[job], data.name(job)
    capital = data.top.row(by_predicate=pl.col("job") == job, named=True)["capital"]
    months = _months(job, name, monthly_returns(data.equity[job], capital))
    if not trades.height:
        return (*months, frame_table(f"Trades of {name}: none", trades_for_display(trades)))
    profits = trades["pnl"].to_list()
    wins = sum(one > 0 for one in profits)
    spread = f"{wins} of {len(profits)} trades made money; from ${min(profits):,.0f} to ${max(profits):,.0f}."
    counts = {reason: int((trades["exit_reason"] == reason).sum()) for reason in EXIT_REASONS}
    exits = {reason: count for reason, count in counts.items() if count}
    reasons = ", ".join(f"{reason} {count}" for reason, count in exits.items())
    first = f", the first {MOST_TRADES:,} of {trades.height:,}" if trades.height > MOST_TRADES else ""
    return (
        *months,
        Chart(f"profits-{job}", "P/L of the trades", f"{name}: {spread}", profit_chart(profits)),
        Chart(f"exits-{job}", "Why the trades ended", f"{name}: {reasons}.", count_chart(exits, "trades")),
        frame_table(f"Trades of {name}{first}", trades_for_display(trades.head(MOST_TRADES))),
    )


def _months(job: str, name: str, months: pl.DataFrame) -> tuple[Chart, Table]:
    years = [str(year) for year in months["year"]]
    values = [[None if one is None else round(one, 5) for one in row[1:13]] for row in months.iter_rows()]
    figure = heatmap_chart(("month", _MONTHS), ("year", years), values, ".2%")
    returns = [value for row in values for value in row if value is not None]
    up = sum(value > 0 for value in returns)
    summary = f"{name}: {up} of {len(returns)} months were up; from {min(returns):.2%} to {max(returns):.2%}."
    like = dict.fromkeys(months.columns[1:], "total_return")
    table = frame_table(f"Monthly returns of {name}", months.cast({"year": pl.String}), like=like, folded=True)
    return Chart(f"months-{job}", "Monthly returns", summary, figure), table


def monthly_returns(equity: pl.DataFrame, capital: float) -> pl.DataFrame:
    """Return the return of each month, from the last quote day before it to its own last quote day.

    Parameters
    ----------
    equity : polars.DataFrame
        Columns ``date, equity`` of one job, sorted by date; at least one row.
    capital : float
        What the first month starts with.

    Returns
    -------
    polars.DataFrame
        ``year, Jan, ..., Dec, whole``, one row for each year; null for a month without a quote day, and after the
        account has lost everything.

    Examples
    --------
    >>> from datetime import date
    >>> days = [date(2024, 1, 5), date(2024, 1, 31), date(2024, 3, 1)]
    >>> equity = pl.DataFrame({"date": days, "equity": [90.0, 110.0, 121.0]})
    >>> monthly_returns(equity, 100.0).select("year", "Jan", "Feb", "Mar", "whole").row(0)
    (2024, 0.1, None, 0.1, 0.21)
    """

    def returns(keys: list[pl.Expr]) -> pl.DataFrame:
        before = pl.col("last").shift(1, fill_value=capital)
        growth = pl.when(before > 0).then((pl.col("last") / before - 1).round(12))
        return equity.group_by(keys, maintain_order=True).agg(last=pl.col("equity").last()).with_columns(growth=growth)

    year, month = pl.col("date").dt.year().alias("year"), pl.col("date").dt.month().alias("month")
    monthly = returns([year, month])
    whole = returns([year]).select("year", whole="growth")
    columns = [
        pl.col("growth").filter(pl.col("month") == number).first().alias(name) for number, name in enumerate(_MONTHS, 1)
    ]
    return monthly.group_by("year", maintain_order=True).agg(columns).join(whole, on="year", maintain_order="left")
