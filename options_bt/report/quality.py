"""What went wrong or was missing: failures, refusals, and the quality of the data."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from options_bt.analysis.formatting import failures_table
from options_bt.analysis.price_sources import SHARES
from options_bt.engine.records import REFUSALS
from options_bt.report.charts import count_chart
from options_bt.report.parts import Chart, Section, Text, frame_table
from options_bt.report.run_data import RunData

SHOWN_TRACEBACKS = 10

REASONS = {
    "no_close": "the underlying had no close on that day",
    "no_expiration": "no expiration was quoted within the days to expiration",
    "no_delta": "no quoted strike came near enough to the delta",
    "no_width": "no quoted strike came near enough to the width",
    "no_strike": "no quoted strike came near enough to the moneyness",
    "thin_credit": "the credit was below min_credit or min_credit_pct",
    "bad_credit": "the credit was not smaller than the width, so the quotes cannot be right",
    "bad_debit": "the debit was zero or less, or not smaller than the width",
    "wide_quotes": "bid and ask of a leg were further apart than max_spread_pct allows",
    "no_capital": "the maximum loss exceeded the capital left",
}


def failures(data: RunData) -> Section | None:
    """Return the backtests that failed, with the tracebacks of the first; None when there are none."""
    shown = data.failures
    if not shown:
        return None
    more = f" The first {len(shown):,} are listed." if data.failed > len(shown) else ""
    text = (
        f"{data.failed:,} of {data.total:,} backtests failed and are not part of any figure. Fix the cause, and use "
        f"options-bt run with --resume-failed to rerun them.{more}"
    )
    table = frame_table("Backtests that failed", failures_table(data.run.plan, shown))
    tracebacks = [Text(f"Error of {one.job}", one.error) for one in shown[:SHOWN_TRACEBACKS]]
    return Section("failures", "Failures", (text,), (table, *tracebacks))


def refusal_counts(data: RunData) -> dict[str, int]:
    """Return how often each reason prevented an entry, over all backtests; the most frequent first."""
    sums = data.done.select(pl.col(f"refused_{reason}").sum() for reason in REFUSALS).collect().row(0)
    counts = dict(zip(REFUSALS, map(int, sums), strict=True))
    return {reason: count for reason, count in sorted(counts.items(), key=lambda item: -item[1]) if count}


def refusals(data: RunData) -> Section | None:
    """Return why no position was opened on days with room for one; None when one always was."""
    counts = refusal_counts(data)
    if not counts:
        return None
    total = sum(counts.values())
    table = pl.DataFrame(
        {
            "reason": list(counts),
            "days": list(counts.values()),
            "share": [count / total for count in counts.values()],
            "meaning": [REASONS[reason] for reason in counts],
        }
    )
    first = next(iter(counts))
    text = (
        f"On {total:,} days, summed over all backtests, there was room for a position and none was opened. "
        f"The most frequent reason was {first}: {REASONS[first]}."
    )
    chart = Chart("refusals", "Days without an entry by reason", text, count_chart(counts, "days"))
    return Section("refusals", "Refusals", (text,), (chart, frame_table("Refusals by reason", table)))


def data_quality(data: RunData) -> Section | None:
    """Return how dense the quotes of each symbol are, and how often a position had none; None without a result."""
    if not data.quoted.height:
        return None
    shares = data.done.group_by("symbol").agg(**SHARES).fill_nan(None).collect()
    rows = data.quoted.join(shares, on="symbol", maintain_order="left")
    weekdays = pl.business_day_count("first", pl.col("last") + timedelta(days=1))
    implied = pl.col("symbol").replace_strict(data.run.info.implied_closes, default=0, return_dtype=pl.Int64)
    table = rows.select(
        "symbol",
        "first",
        "last",
        pl.col("days").alias("quote days"),
        (pl.col("days") / weekdays).alias("weekdays"),
        *SHARES,
        implied.alias("implied closes"),
    )
    like = dict.fromkeys(("weekdays", *SHARES), "share")
    text = (
        "A backtest sees only the days on which its symbol was quoted. weekdays is the share of the weekdays from the "
        "first quote day to the last that have quotes; stale and modelled are shares of the days of open positions, "
        "modelled exits is a share of the trades; implied closes counts quote days with a close from put-call parity."
    )
    return Section("data", "Data quality", (text,), (frame_table("Data by symbol", table, like=like),))
