"""The table of choices: what won in each training, and how it stands in the test that follows."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from options_bt.analysis.choosing import Values, WindowResults, best, goodness
from options_bt.analysis.run_reader import Run
from options_bt.analysis.stitching import annualised
from options_bt.engine.metrics import DAYS_PER_YEAR
from options_bt.job.planner import Plan

OF_THE_JOBS = ("test_capital", "trades", "wins", "train_total", "test_total", "train_years", "test_years")
"""What a choice has only to be added up."""


def choices_table(
    run: Run, found: WindowResults, metric: str, chosen: NDArray[np.int64], scores: Values
) -> pl.DataFrame:
    """Return a row a symbol and window, in the order of the plan.

    Parameters
    ----------
    run : Run
    found : WindowResults
    metric : str
        What is chosen by.
    chosen : int array, shape (S, W)
        The chosen combination; -1 for none.
    scores : float array, shape (S, W, C)
        What it was chosen by, more is better; NaN where undefined.

    Returns
    -------
    polars.DataFrame
        The columns of `walk_forward.WalkForward.choices`, and `OF_THE_JOBS`.
    """
    test = goodness(metric, found.test(metric))
    own = best(test)
    return _places(run.plan).hstack(
        [
            *_axes(found, chosen),
            pl.Series("score", goodness(metric, _at(scores, chosen)).ravel(), nan_to_null=True),
            *_jobs(run, found, metric, chosen),
            *_axes(found, own, "best_"),
            pl.Series("best_metric", goodness(metric, _at(test, own)).ravel(), nan_to_null=True),
            *_ranks(test, _at(test, chosen)),
            *_counts(found),
        ]
    )


def _places(plan: Plan) -> pl.DataFrame:
    """Return symbol, window and days of each choice."""
    pairs = list(zip(plan.spans[::2], plan.spans[1::2], strict=True))
    return pl.DataFrame(
        [
            (symbol, train.window, train.start, train.end, test.start, test.end)
            for symbol in plan.job.symbols
            for train, test in pairs
        ],
        ["symbol", "window", "train_start", "train_end", "test_start", "test_end"],
        orient="row",
    )


def _at(values: NDArray[Any], chosen: NDArray[np.int64]) -> NDArray[Any]:
    """Return the values of the choices, shape (S, W); NaN, or -1 of rows, where there is none."""
    none = np.nan if values.dtype.kind == "f" else -1
    taken = np.take_along_axis(values, np.maximum(chosen, 0)[:, :, None], axis=2)[:, :, 0]
    return np.where(chosen >= 0, taken, none)


def _rows(frame: pl.DataFrame, rows: NDArray[np.int64]) -> pl.DataFrame:
    """Return these rows of a frame, one of nulls for -1."""
    index = pl.Series(rows.ravel())
    return frame.select(pl.all().gather(index.set(index < 0, None)))


def _axes(found: WindowResults, chosen: NDArray[np.int64], prefix: str = "") -> list[pl.Series]:
    return _rows(found.combinations, chosen).drop("combination").rename(lambda name: prefix + name).get_columns()


def _jobs(run: Run, found: WindowResults, metric: str, chosen: NDArray[np.int64]) -> list[pl.Series]:
    """Return what the training and the test job of each choice gave."""
    train = _rows(found.results, _at(found.train_row, chosen))
    test = _rows(found.results, _at(found.test_row, chosen))
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
            **{name: test[name] for name in ("trades", "wins")},
        }
    )
    returns = (
        annualised(run.job, pl.col(f"{role}_total"), pl.col(f"{role}_years")).alias(f"{role}_return")
        for role in ("train", "test")
    )
    return jobs.with_columns(returns).get_columns()


def _years(jobs: pl.DataFrame) -> pl.Series:
    return ((jobs["end"] - jobs["start"]).dt.total_days() + 1) / DAYS_PER_YEAR


def _ranks(test: Values, own: Values) -> list[pl.Series]:
    """Return where the choices stand among the combinations of their tests."""
    better, equal = (test > own[:, :, None]).sum(axis=2), (test == own[:, :, None]).sum(axis=2) - 1
    ranked = (~np.isnan(test)).sum(axis=2)
    with np.errstate(invalid="ignore", divide="ignore"):  # the only one has no others to beat
        percentile = 1 - (better + equal / 2) / (ranked - 1)
    known = ~np.isnan(own)
    rank = pl.Series("rank", (better + 1).ravel())
    return [
        rank.set(pl.Series(~known.ravel()), None),
        pl.Series("ranked", ranked.ravel()),
        pl.Series("percentile", np.where(known & (ranked > 1), percentile, np.nan).ravel(), nan_to_null=True),
    ]


def _counts(found: WindowResults) -> list[pl.Series]:
    """Return how many jobs of each choice failed, and how many were not run yet."""
    failed = np.append(found.results["status"] == "failed", False)
    rows = np.concatenate([found.train_row, found.test_row], axis=2)
    return [
        pl.Series("failed", failed[rows].sum(axis=2).ravel()),
        pl.Series("missing", (rows < 0).sum(axis=2).ravel()),
    ]
