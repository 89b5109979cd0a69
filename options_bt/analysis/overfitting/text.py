"""The overfitting statistics as people read them."""

from __future__ import annotations

import numpy as np
import polars as pl

from options_bt.analysis.overfitting.of_run import LEVEL, Overfitting
from options_bt.analysis.overfitting.verdict import MIN_DAYS, MIN_TRADES
from options_bt.analysis.tables import text_table

_OPENING = {"better_than_luck": "Better than luck", "unclear": "Not clear", "likely_luck": "Likely luck"}


def sentence(found: Overfitting) -> str:
    """Return the verdict in one or two sentences, with what was tested and the numbers behind it."""
    if not found.top.height:
        return f"Too little data: none of {_counted(found.trials, 'trial')} has a Sharpe ratio."
    best = found.top.row(0, named=True)
    if found.verdict == "too_little_data":
        return (
            f"Too little data: {_counted(found.trials, 'trial')} on {_counted(found.days, 'day')}, the best with "
            f"{_counted(best['trades'], 'trade')}; a verdict needs {MIN_DAYS} days and {MIN_TRADES} trades."
        )
    among, luck = "the only trial", "0"
    if found.trials > 1:
        among = f"the best of {found.trials:,} trials, worth {found.effective_trials:,.1f} independent ones,"
        luck = f"{found.luck:.2f}, what luck alone is expected to give"
    choice = ""
    if found.cscv is not None:
        choice = (
            f", and what half of the history chose was no better than the median after in {found.cscv.pbo:.0%} (PBO)"
        )
    return (
        f"{_OPENING[found.verdict]}: {among} has a Sharpe ratio of {best['sharpe']:.2f} over {found.years:.1f} years, "
        f"and a probability of {best['dsr']:.1%} that the true one is above {luck} (deflated Sharpe ratio). "
        f"Luck looks as good in {found.p_value:.1%} of drawn histories (SPA){choice}."
    )


def overfitting_text(found: Overfitting) -> str:
    """Return the statistics as text: the sentence, a table of the numbers, a table of the best trials."""
    parts = [sentence(found), text_table(numbers_table(found))]
    if found.top.height:
        rounded = found.top.with_columns(pl.col("sharpe_low", "sharpe_high", "track_years").round(2))
        parts.append(f"The best by Sharpe ratio, with {LEVEL:.0%} intervals:\n{text_table(rounded)}")
    return "\n".join(parts)


def numbers_table(found: Overfitting) -> pl.DataFrame:
    """Return ``number, value, what it is``: each statistic as text, with a plain-word explanation."""
    rows = [
        ("trials", f"{found.trials:,}", "combinations on symbols, all their backtests done"),
        ("left out", f"{found.left_out:,}", "combinations with a backtest that failed or has not run"),
        ("without Sharpe", f"{found.without_sharpe:,}", "trials whose equity did not move"),
        ("days", f"{found.days:,}", "quote days that the returns are of" + _years(found)),
    ]
    if found.luck is not None:
        rows += [
            ("effective trials", f"{found.effective_trials:,.1f}", "independent trials that they are worth"),
            ("Sharpe by luck", f"{found.luck:.2f}", "what the best of these is expected to have by luck alone"),
            ("DSR", f"{found.top['dsr'][0]:.1%}", "probability that the true Sharpe ratio of the best is above that"),
        ]
    if found.correlation is not None:
        meaning = (
            f"the same with {found.trials_by_correlation:,.1f} trials, by a mean correlation of {found.correlation:.2f}"
        )
        rows.append(("DSR of the paper", f"{found.dsr_by_correlation:.1%}", meaning))
    if found.p_value is not None:
        meaning = f"Hansen's test: small where no luck explains the best; blocks of {found.block_length} days"
        rows.append(("SPA p-value", f"{found.p_value:.3f}", meaning))
    if found.cscv is not None:
        cscv = found.cscv
        low, middle, high = np.quantile(cscv.logits, [0.05, 0.5, 0.95])
        splits = f"{len(cscv.logits):,} splits of {cscv.blocks} blocks"
        rows += [
            ("PBO", f"{cscv.pbo:.1%}", f"share of {splits} whose best half-way is at or below the median after"),
            (
                "logits",
                f"{low:.2f} {middle:.2f} {high:.2f}",
                "5%, 50% and 95% of the log odds of its rank; 0 is the median",
            ),
            (
                "slope",
                f"{cscv.slope:.2f}",
                "Sharpe ratio out of sample over that in sample; at or below 0, a choice by it harms",
            ),
            ("losses", f"{cscv.loss:.1%}", "share of splits whose chosen trial lost out of sample"),
        ]
    return pl.DataFrame(rows, schema=["number", "value", "what it is"], orient="row")


def _years(found: Overfitting) -> str:
    return f", {found.years:.1f} years" if found.years is not None else ""


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
