"""What went wrong or was not there: failures, refusals, and the quality of the data."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from options_bt.analysis.price_sources import SHARES
from options_bt.analysis.tables import failures_table
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
    "thin_credit": "the credit was smaller than min_credit or min_credit_pct asks for",
    "bad_credit": "the credit was not smaller than the width: such a quote cannot be true",
    "bad_debit": "the debit was nothing, or not smaller than the width",
    "wide_quotes": "bid and ask of a leg were further apart than max_spread_pct allows",
    "no_capital": "the largest loss was more than the capital that was left",
}


def failures(data: RunData) -> Section | None:
    """Return the backtests that failed, and the tracebacks of the first; None when there are none."""
    if not data.failures:
        return None
    shown = data.failures
    more = f" The first {len(shown):,} are listed." if data.failed > len(shown) else ""
    text = (
        f"{data.failed:,} of {data.total:,} backtests failed and are in none of the figures. Once the cause is "
        f"mended, options-bt run with --resume-failed runs them again.{more}"
    )
    tracebacks = [Text(f"What happened in {one.job}", one.error) for one in shown[:SHOWN_TRACEBACKS]]
    return Section(
        "failures",
        "Failures",
        (text,),
        (frame_table("Backtests that failed", failures_table(data.run, shown)), *tracebacks),
    )


def refusal_counts(data: RunData) -> dict[str, int]:
    """Return how often each reason stood in the way of an entry, over all backtests; the most frequent first."""
    sums = data.done.select(pl.col(f"refused_{reason}").sum() for reason in REFUSALS).collect().row(0)
    counts = dict(zip(REFUSALS, map(int, sums), strict=True))
    return {reason: count for reason, count in sorted(counts.items(), key=lambda item: -item[1]) if count}


def refusals(data: RunData) -> Section | None:
    """Return why there were no entries on days with room for one; None when there was always one."""
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
    return Section(
        "refusals", "Refusals", (text,), (chart, frame_table("Refusals by reason", table, like={"share": "win_rate"}))
    )


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
    like = dict.fromkeys(("weekdays", *SHARES), "win_rate")
    text = (
        "A backtest knows only the days on which its symbol was quoted. weekdays is the share of the weekdays from the "
        "first quote day to the last that have quotes; stale and modelled are shares of the days of open positions, "
        "modelled exits one of the trades; implied closes counts quote days whose close comes from put-call parity."
    )
    return Section("data", "Data quality", (text,), (frame_table("Data by symbol", table, like=like),))
