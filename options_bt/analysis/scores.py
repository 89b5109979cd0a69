"""Results by symbol, window and combination of the grid, as scores from which the best combination is chosen."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from options_bt.analysis.run_reader import Run
from options_bt.engine.metrics import METRICS
from options_bt.errors import InputError, RunFolderError, nearest
from options_bt.job.objectives import LOWER_IS_BETTER
from options_bt.job.planner import Plan
from options_bt.runner.run_folder.results import PARAMETER_TYPES, plan_columns

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


class WindowResults(NamedTuple):
    """The results of a run with windows: S symbols, W windows, C combinations of the grid.

    Attributes
    ----------
    results : polars.DataFrame
        From `Run.results`.
    combinations : polars.DataFrame
        One row for each combination: its number, and the value of each axis.
    train_row, test_row : int array, shape (S, W, C)
        The row of `results` of each job; -1 for a job that has not run.
    adjacent : dict of str to bool array
        For each axis, whether values i and i + 1, in the order of the job file, are neighbours. Values of an axis
        without an order have none, nor has null (a rule that is off).
    """

    results: pl.DataFrame
    combinations: pl.DataFrame
    train_row: Indices
    test_row: Indices
    adjacent: dict[str, NDArray[np.bool_]]

    def scores(self, metric: str, rows: Indices) -> Floats:
        """Return a metric of the jobs in `rows`, more is better; NaN where it is undefined or the job has no result."""
        values = np.append(self.results[metric].cast(pl.Float64).to_numpy(), np.nan)
        return oriented(metric, values[rows])  # row -1 is the NaN at the end


def window_results(run: Run) -> WindowResults:
    """Return the results of a run by symbol, window and combination.

    Raises
    ------
    RunFolderError
        When the run has no windows.
    """
    plan = run.plan
    if plan.job.windows is None:
        raise RunFolderError(
            f"{run.path} has no walk-forward windows; add some to its job file, such as "
            "windows: {train: 2y, test: 1y}, and run it under another name"
        )
    results, combinations = run.results(), _combinations(plan)
    row = np.full(len(plan), -1)
    row[_positions(plan, results, combinations)] = np.arange(results.height)
    # The plan is ordered by symbol, window, role (train, test) and combination.
    by_role = row.reshape(len(plan.job.symbols), len(plan.spans) // 2, 2, plan.per_span)
    adjacent = {name: _adjacent(name, values) for name, values in plan.job.grid}
    return WindowResults(results, combinations, by_role[:, :, 0], by_role[:, :, 1], adjacent)


def _combinations(plan: Plan) -> pl.DataFrame:
    numbers = np.arange(plan.per_span)
    columns = plan_columns(plan, numbers)
    return pl.DataFrame({"combination": numbers} | {name: columns[name] for name, _ in plan.job.grid})


def _positions(plan: Plan, results: pl.DataFrame, combinations: pl.DataFrame) -> Indices:
    """Return the position in the plan of each row of the results."""
    axes = combinations.columns[1:]
    if axes:
        joined = results.join(combinations, on=axes, how="left", nulls_equal=True, maintain_order="left")
    else:
        joined = results.join(combinations, how="cross")  # there is only one combination
    symbols = plan.job.symbols
    symbol = pl.col("symbol").replace_strict(symbols, range(len(symbols)), return_dtype=pl.Int64)
    span = 2 * (pl.col("window") - 1) + (pl.col("role") == "test").cast(pl.Int64)
    position = symbol * plan.per_symbol + span * plan.per_span + pl.col("combination")
    return joined.select(position.alias("position"))["position"].to_numpy()


def _adjacent(name: str, values: tuple[object, ...]) -> NDArray[np.bool_]:
    ordered = name == "dte" or PARAMETER_TYPES[name].is_numeric()
    usable = [ordered and value is not None for value in values]
    return np.array([first and second for first, second in pairwise(usable)], np.bool_)


def known_metric(name: str) -> str:
    """Return the name of a metric.

    Raises
    ------
    InputError
        When there is no such metric.
    """
    if name not in METRICS:
        raise InputError(f"--by: got {name!r}{nearest(name, METRICS)}; allowed: {', '.join(METRICS)}")
    return name


def oriented(metric: str, values: Floats) -> Floats:
    """Return values of a metric with the sign that makes more better, or scores as values of the metric again."""
    return -values if metric in LOWER_IS_BETTER else values


def pooled_over_symbols(scores: Floats) -> Floats:
    """Return the mean over the symbols in the place of each of them, shape (S, W, C) as the scores.

    A symbol without any score in a window does not count there. A mean leaves out undefined scores, and is NaN for a
    combination with scores for fewer than half of the symbols that count.
    """
    defined = ~np.isnan(scores)
    count = defined.sum(axis=0)
    symbols = defined.any(axis=2).sum(axis=0)[:, None]
    enough = (count > 0) & (2 * count >= symbols)
    mean = np.where(enough, np.where(defined, scores, 0).sum(axis=0) / np.maximum(count, 1), np.nan)
    return np.broadcast_to(mean, scores.shape)


def neighbourhood_means(scores: Floats, adjacent: dict[str, NDArray[np.bool_]]) -> Floats:
    """Return the mean over each combination and its direct neighbours along the ordered axes, shape (S, W, C).

    Undefined neighbours are left out; an undefined score stays undefined.
    """
    sizes = tuple(len(flags) + 1 for flags in adjacent.values())
    grid = scores.reshape(*scores.shape[:2], *sizes)
    defined = ~np.isnan(grid)
    known = np.where(defined, grid, 0)
    total, count = known.copy(), defined.astype(np.int64)
    for axis, flags in enumerate(adjacent.values(), start=2):
        for sums, parts in ((total, known), (count, defined)):
            sums, parts = np.moveaxis(sums, axis, -1), np.moveaxis(parts, axis, -1)
            sums[..., 1:] += parts[..., :-1] * flags
            sums[..., :-1] += parts[..., 1:] * flags
    mean = np.where(defined, total / np.maximum(count, 1), np.nan)
    return mean.reshape(scores.shape)


def best(scores: Floats) -> Indices:
    """Return the number of the best combination, shape (S, W); the first of equals, -1 where no score is defined."""
    defined = ~np.isnan(scores)
    return np.where(defined.any(axis=2), np.where(defined, scores, -np.inf).argmax(axis=2), -1)
