"""The overfitting statistics as text."""

from __future__ import annotations

import numpy as np
import polars as pl

from options_bt.analysis.formatting import counted, text_table
from options_bt.analysis.overfitting.statistics import LEVEL, Overfitting
from options_bt.analysis.overfitting.verdict import MIN_DAYS, MIN_TRADES

_VERDICTS = {"better_than_luck": "Better than luck", "unclear": "Not clear", "likely_luck": "Likely luck"}
TOP_TITLE = f"The best by Sharpe ratio, with {LEVEL:.0%} intervals"


def verdict_text(found: Overfitting) -> str:
    """Return the verdict in two or three sentences, with the numbers behind it."""
    if not found.top.height:
        return f"Too little data: none of {counted(found.trials, 'trial')} has a Sharpe ratio."
    best = found.top.row(0, named=True)
    if found.verdict == "too_little_data":
        return (
            f"Too little data: {counted(found.trials, 'trial')} on {counted(found.days, 'day')}, the best with "
            f"{counted(best['trades'], 'trade')}; a verdict needs {MIN_DAYS} days and {MIN_TRADES} trades."
        )
    among, luck = "the only trial", "0"
    if found.trials > 1:
        among = f"the best of {found.trials:,} trials, worth {found.effective_trials:,.1f} independent ones,"
        luck = f"{found.luck:.2f}, the best that luck alone is expected to reach"
    choice = ""
    if found.cscv is not None:
        choice = (
            f" In {found.cscv.pbo:.0%} of splits, the best of one half of the history is no better than the median in "
            "the other (PBO)."
        )
    return (
        f"{_VERDICTS[found.verdict]}: {among} has a Sharpe ratio of {best['sharpe']:.2f} over {found.years:.1f} years. "
        f"The true ratio is above {luck}, with a probability of {best['dsr']:.1%} (deflated Sharpe ratio). "
        f"Luck looks as good in {found.p_value:.1%} of drawn histories (SPA).{choice}"
    )


def overfitting_text(found: Overfitting) -> str:
    """Return the statistics as text: the verdict, a table of the numbers, a table of the best trials."""
    parts = [verdict_text(found), text_table(numbers_table(found))]
    if found.top.height:
        parts.append(f"{TOP_TITLE}:\n{text_table(top_for_display(found))}")
    return "\n".join(parts)


def top_for_display(found: Overfitting) -> pl.DataFrame:
    """Return the best trials, rounded where their columns are not metrics."""
    return found.top.with_columns(pl.col("sharpe_low", "sharpe_high", "track_years").round(2))


def numbers_table(found: Overfitting) -> pl.DataFrame:
    """Return ``number, value, meaning``: each statistic as text, explained in plain words."""
    years = f", {found.years:.1f} years" if found.years is not None else ""
    rows = [
        ("trials", f"{found.trials:,}", "combinations on symbols with all their backtests done"),
        ("left out", f"{found.left_out:,}", "combinations with a backtest that failed or has not run"),
        ("without Sharpe", f"{found.without_sharpe:,}", "trials whose equity did not move"),
        ("days", f"{found.days:,}", f"quote days with returns{years}"),
    ]
    if found.luck is not None:
        rows += [
            ("effective trials", f"{found.effective_trials:,.1f}", "independent trials that they are worth"),
            ("Sharpe by luck", f"{found.luck:.2f}", "what the best of these is expected to have by luck alone"),
            ("DSR", f"{found.top['dsr'][0]:.1%}", "probability that the true Sharpe ratio of the best is above that"),
        ]
    if found.correlation is not None:
        trials = f"{found.trials_by_correlation:,.1f} trials, by a mean correlation of {found.correlation:.2f}"
        rows.append(("DSR of the paper", f"{found.dsr_by_correlation:.1%}", f"the same with {trials}"))
    if found.p_value is not None:
        meaning = f"Hansen's test: small where luck hardly explains the best; blocks of {found.block_length} days"
        rows.append(("SPA p-value", f"{found.p_value:.3f}", meaning))
    if found.cscv is not None:
        cscv = found.cscv
        low, middle, high = np.quantile(cscv.logits, [0.05, 0.5, 0.95])
        splits = f"{len(cscv.logits):,} splits of {cscv.blocks} blocks"
        slope = "Sharpe ratio out of sample against in sample; at or below 0, choosing by it does harm"
        rows += [
            (
                "PBO",
                f"{cscv.pbo:.1%}",
                f"share of {splits} whose best in one half is no better than the median in the other",
            ),
            (
                "logits",
                f"{low:.2f} {middle:.2f} {high:.2f}",
                "5%, 50% and 95% of its log odds of rank; 0 is the median",
            ),
            ("slope", f"{cscv.slope:.2f}", slope),
            ("losses", f"{cscv.loss:.1%}", "share of splits whose chosen trial lost out of sample"),
        ]
    return pl.DataFrame(rows, schema=["number", "value", "meaning"], orient="row")
