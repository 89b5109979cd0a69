"""How far the best can be believed: the walk-forward analysis and the overfitting statistics."""

from __future__ import annotations

import polars as pl

from options_bt.analysis.overfitting.cscv import Cscv
from options_bt.analysis.overfitting.of_run import LEVEL
from options_bt.analysis.overfitting.text import numbers_table, sentence
from options_bt.analysis.walk_forward import WalkForward
from options_bt.analysis.walk_forward_text import (
    listed_accounts,
    listed_choices,
    listed_stability,
    listed_values,
    remarks,
)
from options_bt.report.charts import equity_chart, odds_chart
from options_bt.report.parts import Chart, Part, Section, frame_table
from options_bt.report.run_data import RunData

MOST_ACCOUNTS = 10
"""Symbols whose stitched equity is drawn."""


def forward(data: RunData) -> Section | None:
    """Return the walk-forward analysis; None for a run without windows."""
    answer = data.forward
    if answer is None:
        return None
    what = (
        f"In each window the parameters with the best {answer.by} of the training are taken through the test that "
        "follows; the tests, one after the other, are an account that nobody has looked ahead for."
    )
    parts: list[Part] = [frame_table("Choices by symbol and window", listed_choices(answer))]
    if answer.equity.height:
        parts += [_stitched(answer)]
    parts += [frame_table("Out of sample", listed_accounts(answer), like={"efficiency": "sharpe"})]
    if answer.axes:
        parts += [
            frame_table("How often each value was chosen", listed_values(answer)),
            frame_table("Successive windows with the same choice", listed_stability(answer)),
        ]
    return Section("walk-forward", "Walk-forward", (*remarks(answer), *_efficiency(answer), what), tuple(parts))


def _efficiency(answer: WalkForward) -> tuple[str, ...]:
    whole = answer.out_of_sample.row(-1, named=True)
    if whole["efficiency"] is None:
        return ()
    return (
        f"Walk-forward efficiency {whole['efficiency']:.2f}: the choices returned {whole['in_sample_return']:.2%} a "
        f"year in their trainings, and {whole['out_of_sample_return']:.2%} in the tests. Near 1 the tests keep what "
        "the trainings promised, near 0 the promise was made by choosing.",
    )


def _stitched(answer: WalkForward) -> Chart:
    """Return the stitched equity; that of all symbols together as the mean account, so that it can be compared."""
    pnl = dict(answer.out_of_sample.select("symbol", "total_pnl").iter_rows())
    symbols = [symbol for symbol in answer.equity["symbol"].unique(maintain_order=True) if symbol is not None]
    rows = {symbol: answer.equity.filter(symbol=symbol) for symbol in symbols}
    capital = {symbol: float(own["equity"][-1] - pnl[symbol]) for symbol, own in rows.items()}
    together = answer.equity.filter(pl.col("symbol").is_null())
    mean = together.with_columns(pl.col("equity") / len(symbols))
    name = "mean of all symbols"
    drawn = {name: mean} | {symbol: rows[symbol] for symbol in symbols[:MOST_ACCOUNTS]}
    figure = equity_chart(drawn, capital | {name: sum(capital.values()) / len(symbols)})
    first, last = together["date"][0], together["date"][-1]
    gain = f"All symbols together gained ${pnl[None]:,.0f} from {first} to {last}; the metrics are below."
    return Chart("stitched", "Equity out of sample", gain, figure)


def luck(data: RunData) -> Section | None:
    """Return the overfitting statistics; None where there are none."""
    found = data.luck
    if found is None:
        return None
    text = (
        "Of many backtests the best is partly the luckiest. These numbers say how much of it luck alone explains; "
        "Sharpe ratios are per year" + (", and only the tests of the windows count." if data.forward else ".")
    )
    parts: list[Part] = [frame_table("Overfitting statistics", numbers_table(found))]
    if found.cscv is not None:
        parts.append(_odds(found.cscv))
    if found.top.height:
        rounded = found.top.with_columns(pl.col("sharpe_low", "sharpe_high", "track_years").round(2))
        parts.append(frame_table(f"The best by Sharpe ratio, with {LEVEL:.0%} intervals", rounded))
    return Section("overfitting", "Better than luck?", (sentence(found), text), tuple(parts))


def _odds(found: Cscv) -> Chart:
    summary = (
        f"The days are cut into halves in {len(found.logits):,} ways, and the best of one half is ranked in the other: "
        f"in {found.pbo:.0%} of them it is in the worse half there."
    )
    return Chart("odds", "Where the best of one half of the days ranks in the other", summary, odds_chart(found.logits))
