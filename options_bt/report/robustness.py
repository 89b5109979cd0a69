"""How robust the best is: the walk-forward analysis and the overfitting statistics."""

from __future__ import annotations

import polars as pl

from options_bt.analysis.overfitting.cscv import Cscv
from options_bt.analysis.overfitting.text import TOP_TITLE, numbers_table, top_for_display, verdict_text
from options_bt.analysis.walk_forward import WalkForward
from options_bt.analysis.walk_forward_text import (
    accounts_for_display,
    choices_for_display,
    remarks,
    stability_for_display,
    values_for_display,
)
from options_bt.report.charts import equity_chart, odds_chart
from options_bt.report.parts import Chart, Part, Section, frame_table
from options_bt.report.run_data import RunData

MOST_ACCOUNTS = 10
"""The most symbols whose stitched equity is drawn."""


def walk_forward(data: RunData) -> Section | None:
    """Return the walk-forward analysis; None for a run without windows."""
    result = data.walk_forward
    if result is None:
        return None
    method = (
        f"In each window the parameters with the best {result.by} in training are followed through the next test. "
        "Together the tests make one account, traded without any knowledge of its future."
    )
    parts: list[Part] = [frame_table("Choices by symbol and window", choices_for_display(result))]
    if result.equity.height:
        parts.append(_stitched(result))
    parts.append(frame_table("Out of sample", accounts_for_display(result), like={"efficiency": "sharpe"}))
    if result.axes:
        parts += [
            frame_table("How often each value was chosen", values_for_display(result)),
            frame_table("Successive windows with the same choice", stability_for_display(result)),
        ]
    return Section("walk-forward", "Walk-forward", (*remarks(result), *_efficiency(result), method), tuple(parts))


def _efficiency(result: WalkForward) -> tuple[str, ...]:
    total = result.out_of_sample.row(-1, named=True)
    if total["efficiency"] is None:
        return ()
    return (
        f"Walk-forward efficiency {total['efficiency']:.2f}: the choices returned {total['in_sample_return']:.2%} a "
        f"year in training, and {total['out_of_sample_return']:.2%} in the tests. Near 1, the tests keep what training "
        "promised; near 0, the promise came from choosing the best.",
    )


def _stitched(result: WalkForward) -> Chart:
    """Return the stitched equity of the symbols, and that of all together as the mean account, for comparison."""
    pnl = dict(result.out_of_sample.select("symbol", "total_pnl").iter_rows())
    symbols = [symbol for symbol in result.equity["symbol"].unique(maintain_order=True) if symbol is not None]
    rows = {symbol: result.equity.filter(symbol=symbol) for symbol in symbols}
    capital = {symbol: float(own["equity"][-1] - pnl[symbol]) for symbol, own in rows.items()}
    together = result.equity.filter(pl.col("symbol").is_null())
    mean = together.with_columns(pl.col("equity") / len(symbols))
    name = "mean of all symbols"
    drawn = {name: mean} | {symbol: rows[symbol] for symbol in symbols[:MOST_ACCOUNTS]}
    figure = equity_chart(drawn, capital | {name: sum(capital.values()) / len(symbols)})
    first, last = together["date"][0], together["date"][-1]
    gain = f"All symbols together gained ${pnl[None]:,.0f} from {first} to {last}; the metrics are below."
    return Chart("stitched", "Equity out of sample", gain, figure)


def overfitting(data: RunData) -> Section | None:
    """Return the overfitting statistics; None where there are none."""
    found = data.overfitting
    if found is None:
        return None
    tests = ", and only the tests of the windows count" if data.walk_forward else ""
    text = (
        "The best of many backtests is partly the luckiest. These numbers say how much of its result luck alone "
        f"explains. Sharpe ratios are per year{tests}."
    )
    parts: list[Part] = [frame_table("Overfitting statistics", numbers_table(found))]
    if found.cscv is not None:
        parts.append(_odds(found.cscv))
    if found.top.height:
        parts.append(frame_table(TOP_TITLE, top_for_display(found)))
    return Section("overfitting", "Better than luck?", (verdict_text(found), text), tuple(parts))


def _odds(found: Cscv) -> Chart:
    summary = (
        f"The days are split into halves in {len(found.logits):,} ways, and the best trial of one half is ranked in "
        f"the other: in {found.pbo:.0%} of the splits it is in the worse half there."
    )
    return Chart("odds", "Rank of the best of one half of the days in the other", summary, odds_chart(found.logits))
