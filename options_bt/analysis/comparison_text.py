"""A comparison of two runs as text."""

from __future__ import annotations

import polars as pl

from options_bt.analysis.compare import Comparison
from options_bt.analysis.formatting import cell_text, text_table
from options_bt.analysis.ranking import KEY_METRICS
from options_bt.job.objectives import OBJECTIVES


def comparison_text(comparison: Comparison, top: int) -> str:
    """Return a comparison as text, with the first `top` differing cells."""
    compared = comparison.jobs - comparison.not_kept
    scope = ""
    if comparison.not_kept:
        scope = f"; trades and equity were compared for {compared:,} of them (the others are not kept by both runs)"
    if comparison.equal:
        return f"{comparison.jobs} jobs are bit-identical in results{scope or ', trades and equity'}\n"
    lines = [
        f"{len(only)} jobs only in {run}: {', '.join(only[:5])}"
        for run, only in (("A", comparison.only_a), ("B", comparison.only_b))
        if only
    ]
    if comparison.differing_cells:
        cells, jobs = comparison.differing_cells, comparison.differing_jobs
        lines += [f"{cells} cells of {jobs} common jobs differ{scope}", text_table(comparison.cells.head(top))]
    metrics = _metrics_that_differ(comparison.metrics)
    if metrics.height:
        lines += ["Metrics of the common jobs, B against A:", text_table(metrics, right=metrics.columns[1:])]
    return "\n".join(lines).rstrip("\n") + "\n"


def _metrics_that_differ(metrics: pl.DataFrame) -> pl.DataFrame:
    """Return the objectives and key metrics that differ, with their values as text."""
    shown = metrics.filter(pl.col("metric").is_in([*OBJECTIVES, *KEY_METRICS]), pl.col("same") < pl.col("jobs"))
    values = ("mean_a", "mean_b", "difference", "median_a", "median_b")
    texts = (
        pl.Series(name, [cell_text(*pair) for pair in shown.select("metric", name).iter_rows()], pl.String)
        for name in values
    )
    symbols = pl.format("{}:{}", "symbols_better", "symbols_worse").alias("symbols")
    counts = ("better", "worse", "same", symbols, pl.col("chance").round_sig_figs(3))
    return shown.with_columns(texts).select("metric", "jobs", *values, *counts)
