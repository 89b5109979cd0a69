"""Values, tables and facts about a run as text."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Literal

import polars as pl

from options_bt.engine.metrics import METRICS
from options_bt.job.planner import Plan
from options_bt.runner.run_folder.folder import RunInfo
from options_bt.runner.run_folder.ledger import Failure

Format = Literal["table", "csv", "json", "parquet"]
PERCENT = frozenset({"win_rate", "total_return", "max_drawdown", "cagr", "exposure", "cvar_95"})
"""The metrics that are shown as percentages."""
_SHARES = frozenset({"share", "in_sample", "out_of_sample", "return_low", "return_high", "psr", "dsr"})
_TWO_DIGITS = frozenset({*METRICS, "premium", "exit_cost", "pnl", "efficiency", "distance"})
_PREFIX = re.compile("^(train|test|best|mean)_(?=.)")
"""The prefixes of metrics in walk-forward tables."""


def cell_text(name: str, value: object) -> str:
    """Return a value of the column `name` as text: shares as percent, metrics with two digits, null as a dash."""
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    name = _PREFIX.sub("", name)
    if name in PERCENT or name in _SHARES:
        return f"{value:.2%}"
    return f"{value:,.2f}" if name in _TWO_DIGITS else f"{value:.12g}"


def text_table(frame: pl.DataFrame, right: Sequence[str] = ()) -> str:
    """Return a frame as an aligned table, with numbers and the columns in `right` right-aligned."""
    lines = []
    for name in frame.columns:
        cells = [cell_text(name, value) for value in frame[name].to_list()]
        width = max(map(len, [name, *cells]))
        align = str.rjust if frame[name].dtype.is_numeric() or name in right else str.ljust
        lines.append([align(cell, width) for cell in (name, "-" * width, *cells)])
    return "".join("  ".join(line).rstrip() + "\n" for line in zip(*lines, strict=True))


def formatted(frame: pl.DataFrame, form: Format) -> bytes:
    """Return a frame as UTF-8 text for people or programs, or as Parquet."""
    if form == "table":
        return text_table(frame).encode()
    if form == "csv":
        return frame.write_csv(None).encode()
    if form == "json":
        return frame.write_json().encode() + b"\n"
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, as ``1 trade`` or ``1,200 trades``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def data_text(info: RunInfo) -> str:
    """Return the data of a run as text: source, commit, and the symbols with closes implied by put-call parity."""
    commit = f", commit {info.source_revision}" if info.source_revision else ""
    implied = [f"{symbol} on {days:,} days" for symbol, days in info.implied_closes.items()]
    closes = f"\nCloses implied by put-call parity: {', '.join(implied)}" if implied else ""
    return f"Data: {info.source}{commit}{closes}"


def failures_table(plan: Plan, failures: Sequence[Failure]) -> pl.DataFrame:
    """Return failed jobs with the axes of the grid, the number of attempts, and the last line of the error."""
    rows = []
    for failure in failures:
        row = plan[failure.position].row()
        axes = {name: str(row[name]) for name, _ in plan.job.grid}
        why = failure.error.strip().splitlines()[-1]
        rows.append({"job": failure.job, "symbol": row["symbol"], **axes, "attempts": failure.attempts, "why": why})
    return pl.DataFrame(rows)


def trades_for_display(trades: pl.DataFrame) -> pl.DataFrame:
    """Return the main columns of trades, with the legs as text such as ``-1x450.0p +1x445.0p``."""
    side = pl.when(pl.element().struct.field("side") == "short").then(pl.lit("-")).otherwise(pl.lit("+"))
    ratio, strike, right = (pl.element().struct.field(name) for name in ("ratio", "strike", "right"))
    leg = pl.format("{}{}x{}{}", side, ratio, strike, right.str.slice(0, 1))
    legs = pl.col("legs").list.eval(leg).list.join(" ")
    money = ("contracts", "premium", "exit_cost", "fees", "pnl")
    return trades.select("entry_date", "exit_date", "expiration", legs, *money, "exit_reason", "stale_days")
