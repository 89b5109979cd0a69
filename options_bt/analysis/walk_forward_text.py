"""A walk-forward analysis as people read it."""

from __future__ import annotations

import polars as pl

from options_bt.analysis.run_reader import Run
from options_bt.analysis.tables import text_table
from options_bt.analysis.walk_forward import WalkForward

ACCOUNT = ("trades", "win_rate", "total_pnl", "cagr", "sharpe", "max_drawdown")
"""The metrics of the printed table of accounts."""


def walk_forward_text(run: Run, answer: WalkForward, most: int | None = None) -> str:
    """Return the answer as text: choices, accounts out of sample, values chosen, stability.

    Parameters
    ----------
    run : Run
    answer : WalkForward
    most : int, optional
        How many choices and how many accounts to list; all by default.
    """
    start, end = answer.out_of_sample.select("start", "end").row(-1)
    blocks = [
        "\n".join([_heading(run, answer), *remarks(answer)]) + "\n",
        _listed(listed_choices(answer), most, f"options-bt walk-forward {run.path}"),
        f"Out of sample{f', {start} to {end}' if start else ''}:\n"
        + _listed(listed_accounts(answer), most, f"options-bt walk-forward {run.path}"),
    ]
    if answer.axes:
        blocks.append("Chosen values:\n" + text_table(listed_values(answer)))
        blocks.append("Successive windows with the same choice:\n" + text_table(listed_stability(answer)))
    return "\n".join(blocks)


def _heading(run: Run, answer: WalkForward) -> str:
    mean = " and its neighbours" if answer.plateau else ""
    mean = f" (mean over the combination{mean}{' and all symbols' if answer.pooled else ''})"
    how = mean if answer.plateau or answer.pooled else ""
    return f"{run.job.name}, chosen in training by {answer.by}{how}, and the test that follows:"


def remarks(answer: WalkForward) -> list[str]:
    """Return a line for each thing that the answer lacks, and how good the choices were."""
    choices = answer.choices
    chosen = choices["score"].count()
    lines = []
    if answer.failed or answer.missing:
        lines.append(f"Of {answer.total} jobs {answer.failed} failed and {answer.missing} were not run yet.")
    if chosen < choices.height:
        lines.append(f"{choices.height - chosen} of {choices.height} trainings have no {answer.by}, and no choice.")
    if (untested := chosen - choices["test_pnl"].count()) > 0:
        lines.append(f"{untested} of {chosen} choices have no test that is done.")
    beaten = choices["percentile"].mean()
    if isinstance(beaten, float):
        lines.append(
            f"A choice beats {beaten:.0%} of the other combinations of its test on average; chance alone gives 50%."
        )
    return lines


def _listed(frame: pl.DataFrame, most: int | None, command: str) -> str:
    if most is None or frame.height <= most:
        return text_table(frame)
    return f"{text_table(frame.head(most))}and {frame.height - most} more: {command}\n"


def listed_choices(answer: WalkForward) -> pl.DataFrame:
    """Return the choices: a row a symbol and window, with what the test gave and what its best would have been."""
    mean = [pl.col("score").alias(f"mean_{answer.by}")] if answer.plateau or answer.pooled else []
    return answer.choices.select(
        "symbol",
        "window",
        pl.format("{}..{}", "train_start", "train_end").alias("train"),
        pl.format("{}..{}", "test_start", "test_end").alias("test"),
        *answer.axes,
        *mean,
        pl.col("train_metric").alias(f"train_{answer.by}"),
        pl.col("test_metric").alias(f"test_{answer.by}"),
        "test_pnl",
        *(f"best_{name}" for name in answer.axes),
        pl.col("best_metric").alias(f"best_{answer.by}"),
        pl.format("{} of {}", "rank", "ranked").alias("rank"),
    )


def listed_accounts(answer: WalkForward) -> pl.DataFrame:
    """Return the accounts, that of all symbols first."""
    accounts = answer.out_of_sample.select(
        pl.col("symbol").fill_null("all"),
        *ACCOUNT,
        pl.col("in_sample_return").alias("in_sample"),
        pl.col("out_of_sample_return").alias("out_of_sample"),
        "efficiency",
    )
    return pl.concat([accounts.tail(1), accounts.head(-1)])


def listed_values(answer: WalkForward) -> pl.DataFrame:
    """Return how often each value was chosen, over all symbols."""
    return _of_all(answer, answer.values)


def _of_all(answer: WalkForward, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows over all symbols; where one choice serves them all, those of any of them."""
    symbol = frame["symbol"][0] if answer.pooled else None
    return frame.filter(pl.col("symbol").eq_missing(symbol)).drop("symbol")


def listed_stability(answer: WalkForward) -> pl.DataFrame:
    """Return in how many pairs of successive windows the choice stayed, and how far it moved, over all symbols."""
    return _of_all(answer, answer.stability).select(
        pl.col("axis").fill_null("all axes"),
        pl.format("{} of {}", "same", "pairs").alias("same"),
        "distance",
    )
