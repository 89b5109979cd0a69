"""The table of choices: the best combination of each training, and its result in the test that follows."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from options_bt.analysis.run_reader import Run
from options_bt.analysis.scores import Floats, Indices, WindowResults, best, oriented
from options_bt.analysis.stitching import annualised
from options_bt.engine.metrics import DAYS_PER_YEAR
from options_bt.job.planner import Plan

ACCOUNT_COLUMNS = ("test_capital", "trades", "wins", "train_total", "test_total", "train_years", "test_years")
"""The columns that only `stitching` needs."""


def choices_table(run: Run, windows: WindowResults, metric: str, chosen: Indices, scores: Floats) -> pl.DataFrame:
    """Return one row for each symbol and window, in the order of the plan.

    Parameters
    ----------
    run : Run
    windows : WindowResults
    metric : str
        The metric to choose by.
    chosen : int array, shape (S, W)
        The chosen combination; -1 for none.
    scores : float array, shape (S, W, C)
        The scores it was chosen by, more is better; NaN where undefined.

    Returns
    -------
    polars.DataFrame
        The columns of `walk_forward.WalkForward.choices`, and `ACCOUNT_COLUMNS`.
    """
    test = windows.scores(metric, windows.test_row)
    test_best = best(test)

    def metric_values(name: str, scores: Floats) -> pl.Series:
        return pl.Series(name, oriented(metric, scores).ravel(), nan_to_null=True)

    return _spans(run.plan).hstack(
        [
            *_axes(windows, chosen),
            metric_values("score", _at(scores, chosen)),
            *_jobs(run, windows, metric, chosen),
            *_axes(windows, test_best, "best_"),
            metric_values("best_metric", _at(test, test_best)),
            *_ranks(test, _at(test, chosen)),
            *_counts(windows),
        ]
    )


def _spans(plan: Plan) -> pl.DataFrame:
    """Return symbol, window and days of each choice."""
    pairs = list(zip(plan.spans[::2], plan.spans[1::2], strict=True))
    rows = [
        (symbol, train.window, train.start, train.end, test.start, test.end)
        for symbol in plan.job.symbols
        for train, test in pairs
    ]
    return pl.DataFrame(rows, ["symbol", "window", "train_start", "train_end", "test_start", "test_end"], orient="row")


def _at(values: NDArray[Any], chosen: Indices) -> NDArray[Any]:
    """Return the values of the choices, shape (S, W); where there is no choice NaN, or -1 for row numbers."""
    none = np.nan if values.dtype.kind == "f" else -1
    taken = np.take_along_axis(values, np.maximum(chosen, 0)[:, :, None], axis=2)[:, :, 0]
    return np.where(chosen >= 0, taken, none)


def _rows(frame: pl.DataFrame, rows: Indices) -> pl.DataFrame:
    """Return these rows of a frame, a row of nulls for -1."""
    index = pl.Series(rows.ravel())
    return frame.select(pl.all().gather(index.set(index < 0, None)))


def _axes(windows: WindowResults, chosen: Indices, prefix: str = "") -> list[pl.Series]:
    return _rows(windows.combinations, chosen).drop("combination").rename(lambda name: prefix + name).get_columns()


def _jobs(run: Run, windows: WindowResults, metric: str, chosen: Indices) -> list[pl.Series]:
    """Return the results of the training and the test job of each choice."""
    train, test = (_rows(windows.results, _at(rows, chosen)) for rows in (windows.train_row, windows.test_row))
    jobs = pl.DataFrame(
        {
            "job": test["job"],
            "train_metric": train[metric].cast(pl.Float64),
            "test_metric": test[metric].cast(pl.Float64),
            "test_pnl": test["total_pnl"],
            "train_total": train["total_return"],
            "test_total": test["total_return"],
            "train_years": _years(train),
            "test_years": _years(test),
            "test_capital": test["capital"],
            "trades": test["trades"],
            "wins": test["wins"],
        }
    )
    returns = (
        annualised(run.job, pl.col(f"{role}_total"), pl.col(f"{role}_years")).alias(f"{role}_return")
        for role in ("train", "test")
    )
    return jobs.with_columns(returns).get_columns()


def _years(jobs: pl.DataFrame) -> pl.Series:
    return ((jobs["end"] - jobs["start"]).dt.total_days() + 1) / DAYS_PER_YEAR


def _ranks(test: Floats, own: Floats) -> list[pl.Series]:
    """Return the rank of each choice among the combinations of its test."""
    better, equal = (test > own[:, :, None]).sum(axis=2), (test == own[:, :, None]).sum(axis=2) - 1
    ranked = (~np.isnan(test)).sum(axis=2)
    with np.errstate(invalid="ignore", divide="ignore"):  # a single combination has no others to beat
        percentile = 1 - (better + equal / 2) / (ranked - 1)
    known = ~np.isnan(own)
    return [
        pl.Series("rank", (better + 1).ravel()).set(pl.Series(~known.ravel()), None),
        pl.Series("ranked", ranked.ravel()),
        pl.Series("percentile", np.where(known & (ranked > 1), percentile, np.nan).ravel(), nan_to_null=True),
    ]


def _counts(windows: WindowResults) -> list[pl.Series]:
    """Return how many jobs of each row failed, and how many have not run."""
    failed = np.append(windows.results["status"] == "failed", False)
    rows = np.concatenate([windows.train_row, windows.test_row], axis=2)
    return [
        pl.Series("failed", failed[rows].sum(axis=2).ravel()),
        pl.Series("missing", (rows < 0).sum(axis=2).ravel()),
    ]
