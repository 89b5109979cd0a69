"""A walk-forward analysis as text."""

from __future__ import annotations

import polars as pl

from options_bt.analysis.formatting import text_table
from options_bt.analysis.run_reader import Run
from options_bt.analysis.walk_forward import WalkForward

ACCOUNT = ("trades", "win_rate", "total_pnl", "cagr", "sharpe", "max_drawdown")
"""The metrics in the table of accounts."""


def walk_forward_text(run: Run, result: WalkForward, most: int | None = None) -> str:
    """Return a walk-forward analysis as text: choices, accounts out of sample, chosen values, stability.

    Parameters
    ----------
    run : Run
    result : WalkForward
    most : int, optional
        The most rows of the tables of choices and accounts; all by default.
    """

    def table(frame: pl.DataFrame) -> str:
        if most is None or frame.height <= most:
            return text_table(frame)
        return f"{text_table(frame.head(most))}and {frame.height - most} more: options-bt walk-forward {run.path}\n"

    start, end = result.out_of_sample.select("start", "end").row(-1)
    blocks = [
        "\n".join([_heading(run, result), *remarks(result)]) + "\n",
        table(choices_for_display(result)),
        f"Out of sample{f', {start} to {end}' if start else ''}:\n{table(accounts_for_display(result))}",
    ]
    if result.axes:
        blocks.append("Chosen values:\n" + text_table(values_for_display(result)))
        blocks.append("Successive windows with the same choice:\n" + text_table(stability_for_display(result)))
    return "\n".join(blocks)


def _heading(run: Run, result: WalkForward) -> str:
    means = " and ".join(["neighbours"] * result.plateau + ["symbols"] * result.pooled)
    how = f" (mean over {means})" if means else ""
    return f"{run.job.name}: parameters chosen by {result.by}{how} in training, and their results in the next test:"


def remarks(result: WalkForward) -> list[str]:
    """Return one line for each gap in the results, and one on how good the choices were."""
    choices = result.choices
    chosen = choices["score"].count()
    lines = []
    if result.failed or result.missing:
        lines.append(f"Of {result.total} jobs {result.failed} failed and {result.missing} have not run.")
    if chosen < choices.height:
        lines.append(f"{choices.height - chosen} of {choices.height} trainings have no {result.by}, and so no choice.")
    if (untested := chosen - choices["test_pnl"].count()) > 0:
        lines.append(f"{untested} of {chosen} choices have no finished test.")
    beaten = choices["percentile"].mean()
    if isinstance(beaten, float):
        lines.append(
            f"On average a choice beats {beaten:.0%} of the other combinations in its test; by chance it would be 50%."
        )
    return lines


def choices_for_display(result: WalkForward) -> pl.DataFrame:
    """Return the choices, with their results in the test and the best of the test."""
    mean = [pl.col("score").alias(f"mean_{result.by}")] if result.plateau or result.pooled else []
    return result.choices.select(
        "symbol",
        "window",
        pl.format("{}..{}", "train_start", "train_end").alias("train"),
        pl.format("{}..{}", "test_start", "test_end").alias("test"),
        *result.axes,
        *mean,
        pl.col("train_metric").alias(f"train_{result.by}"),
        pl.col("test_metric").alias(f"test_{result.by}"),
        "test_pnl",
        *(f"best_{name}" for name in result.axes),
        pl.col("best_metric").alias(f"best_{result.by}"),
        pl.format("{} of {}", "rank", "ranked").alias("rank"),
    )


def accounts_for_display(result: WalkForward) -> pl.DataFrame:
    """Return the accounts out of sample, that of all symbols first."""
    accounts = result.out_of_sample.select(
        pl.col("symbol").fill_null("all"),
        *ACCOUNT,
        pl.col("in_sample_return").alias("in_sample"),
        pl.col("out_of_sample_return").alias("out_of_sample"),
        "efficiency",
    )
    return pl.concat([accounts.tail(1), accounts.head(-1)])


def values_for_display(result: WalkForward) -> pl.DataFrame:
    """Return how often each value was chosen, over all symbols."""
    return _over_all_symbols(result, result.values)


def stability_for_display(result: WalkForward) -> pl.DataFrame:
    """Return how often successive windows have the same choice and how far it moves, over all symbols."""
    return _over_all_symbols(result, result.stability).select(
        pl.col("axis").fill_null("all axes"),
        pl.format("{} of {}", "same", "pairs").alias("same"),
        "distance",
    )


def _over_all_symbols(result: WalkForward, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows over all symbols, or those of one symbol where all share its choices."""
    symbol = frame["symbol"][0] if result.pooled else None
    return frame.filter(pl.col("symbol").eq_missing(symbol)).drop("symbol")
