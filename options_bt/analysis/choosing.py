"""Which parameters win in training: results by symbol, window and combination, and the choice among them."""

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

Values = NDArray[np.float64]


class WindowResults(NamedTuple):
    """The results of a run with windows; S symbols, W windows, C combinations of the grid.

    Attributes
    ----------
    results : polars.DataFrame
        As `Run.results` has them.
    combinations : polars.DataFrame
        A row a combination: its number, and the value of each axis.
    train_row, test_row : int array, shape (S, W, C)
        The row of `results` of each job; -1 for a job that was not run yet.
    links : dict of str to bool array
        For each axis its neighbours: element i says whether values i and i + 1, as the job file writes them,
        stand side by side. None do on an axis without order, and null (a rule that is off) has none.
    """

    results: pl.DataFrame
    combinations: pl.DataFrame
    train_row: NDArray[np.int64]
    test_row: NDArray[np.int64]
    links: dict[str, NDArray[np.bool_]]

    def train(self, column: str) -> Values:
        """Return a column of the training jobs, shape (S, W, C); NaN where it is undefined or the job has no result."""
        return _taken(self.results[column], self.train_row)

    def test(self, column: str) -> Values:
        """Return a column of the test jobs, as `train` does."""
        return _taken(self.results[column], self.test_row)


def _taken(column: pl.Series, rows: NDArray[np.int64]) -> Values:
    values = np.append(column.cast(pl.Float64).to_numpy(), np.nan)
    return values[rows]  # row -1 is the NaN at the end


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
            f"{run.path} has no walk-forward windows; run its job file with windows under another name, "
            "as in windows: {train: 2y, test: 1y}"
        )
    results, combinations = run.results(), _combinations(plan)
    row = np.full(len(plan), -1)
    row[_positions(plan, results, combinations)] = np.arange(results.height)
    # The plan goes through the symbols, their windows, train and test, and last the grid.
    by_role = row.reshape(len(plan.job.symbols), len(plan.spans) // 2, 2, plan.per_span)
    links = {name: _links(name, values) for name, values in plan.job.grid}
    return WindowResults(results, combinations, by_role[:, :, 0], by_role[:, :, 1], links)


def _combinations(plan: Plan) -> pl.DataFrame:
    numbers = np.arange(plan.per_span)
    columns = plan_columns(plan, numbers)
    axes = {name: columns[name] for name, _ in plan.job.grid}
    return pl.DataFrame({"combination": numbers} | axes)


def _positions(plan: Plan, results: pl.DataFrame, combinations: pl.DataFrame) -> NDArray[np.int64]:
    """Return the position in the plan of each row of the results."""
    axes = combinations.columns[1:]
    if axes:
        joined = results.join(combinations, on=axes, how="left", nulls_equal=True, maintain_order="left")
    else:
        joined = results.join(combinations, how="cross")  # with the only one
    symbols = plan.job.symbols
    symbol = pl.col("symbol").replace_strict(symbols, range(len(symbols)), return_dtype=pl.Int64)
    span = 2 * (pl.col("window") - 1) + (pl.col("role") == "test").cast(pl.Int64)
    position = symbol * plan.per_symbol + span * plan.per_span + pl.col("combination")
    return joined.select(position.alias("position"))["position"].to_numpy()


def _links(name: str, values: tuple[object, ...]) -> NDArray[np.bool_]:
    ordered = name == "dte" or PARAMETER_TYPES[name].is_numeric()
    given = [ordered and value is not None for value in values]
    return np.array([first and second for first, second in pairwise(given)], np.bool_)


def known_metric(name: str) -> str:
    """Return the name of a metric.

    Raises
    ------
    InputError
        When it is none.
    """
    if name not in METRICS:
        raise InputError(f"--by: got {name!r}{nearest(name, METRICS)}; allowed: {', '.join(METRICS)}")
    return name


def goodness(metric: str, values: Values) -> Values:
    """Return values of a metric so that more is better."""
    return -values if metric in LOWER_IS_BETTER else values


def pooled_over_symbols(scores: Values) -> Values:
    """Return the mean over the symbols for each of them, shape (S, W, C) as the scores.

    A symbol without any value in a window is none of that window's. Undefined values are left out of the mean; a
    combination that has a value for fewer than half of the window's symbols has no mean.
    """
    defined = ~np.isnan(scores)
    count = defined.sum(axis=0)
    symbols = defined.any(axis=2).sum(axis=0)[:, None]
    enough = (count > 0) & (2 * count >= symbols)
    mean = np.where(enough, np.where(defined, scores, 0).sum(axis=0) / np.maximum(count, 1), np.nan)
    return np.broadcast_to(mean, scores.shape)


def neighbourhood_means(scores: Values, links: dict[str, NDArray[np.bool_]]) -> Values:
    """Return the mean over each combination and its direct neighbours along the ordered axes, shape (S, W, C).

    Undefined neighbours are left out; what is undefined itself stays so.
    """
    sizes = tuple(len(link) + 1 for link in links.values())
    grid = scores.reshape(*scores.shape[:2], *sizes)
    defined = ~np.isnan(grid)
    known = np.where(defined, grid, 0)
    total, count = known.copy(), defined.astype(np.int64)
    for axis, link in enumerate(links.values(), start=2):
        for sums, parts in ((total, known), (count, defined)):
            sums, parts = np.moveaxis(sums, axis, -1), np.moveaxis(parts, axis, -1)
            sums[..., 1:] += parts[..., :-1] * link
            sums[..., :-1] += parts[..., 1:] * link
    mean = np.where(defined, total / np.maximum(count, 1), np.nan)
    return mean.reshape(scores.shape)


def best(scores: Values) -> NDArray[np.int64]:
    """Return the number of the best combination, shape (S, W): of equals the first; -1 where none is defined."""
    defined = ~np.isnan(scores)
    return np.where(defined.any(axis=2), np.where(defined, scores, -np.inf).argmax(axis=2), -1)
