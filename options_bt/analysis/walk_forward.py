"""Walk-forward analysis: the best parameters of each training, what they earn in the next test, how stable they are."""

from __future__ import annotations

import polars as pl
from msgspec import Struct

from options_bt.analysis.choices import ACCOUNT_COLUMNS, choices_table
from options_bt.analysis.run_reader import Run
from options_bt.analysis.scores import best, known_metric, neighbourhood_means, pooled_over_symbols, window_results
from options_bt.analysis.stability import chosen_values, stability
from options_bt.analysis.stitching import out_of_sample, stitched


class WalkForward(Struct, frozen=True, kw_only=True):
    """The walk-forward analysis of a run with windows.

    Attributes
    ----------
    by : str
        The metric that parameters are chosen by.
    plateau : bool
        Whether they are chosen by its mean over a combination and its neighbours.
    pooled : bool
        Whether all symbols share one choice, by the mean over them.
    axes : tuple of str
        The axes of the grid.
    total, failed, missing : int
        The jobs of the plan, those that failed, and those that have not run.
    choices : polars.DataFrame
        One row for each symbol and window, in the order of the plan: ``symbol, window, train_start, train_end,
        test_start, test_end``; the chosen value of each axis, under its name; ``job``, the id of the test job;
        ``score``, the `by` of the training, or the mean of it, that won; ``train_metric`` and ``test_metric``, the
        `by` of the choice alone; ``train_return`` and ``test_return``, fractions a year; ``test_pnl``, dollars;
        ``best_`` and the name of each axis, with ``best_metric``: the best of the test itself; ``rank`` of the choice
        by `by` in its test, 1 the best, equals sharing the better rank; ``ranked``, the number of combinations with a
        value there; ``percentile``, the share of the others that the choice beats, equals counting half: 1 for the
        best, 0.5 by chance; ``failed`` and ``missing``, the jobs of the row that failed or have not run. All columns
        of the choice are null where no training has a value, and those of its test where that failed or is missing.
    equity : polars.DataFrame
        The equity out of sample, from `stitching.stitched`: ``symbol, window, date, equity, open_positions``; symbol
        is null for all of them together.
    out_of_sample : polars.DataFrame
        One row for each symbol, and a last one, symbol null, for all together: ``symbol, windows`` (tests that
        count; null for all), ``start, end`` (first and last quote day), ``trades, win_rate, total_pnl`` (dollars) and
        the equity metrics of docs/semantics.md; ``in_sample_return`` and ``out_of_sample_return``, fractions a year of
        the choices over their trainings and over their tests, and ``efficiency``, the second over the first, null
        where the first is not above 0. Undefined metrics are null.
    values : polars.DataFrame
        From `stability.chosen_values`: how often each value of each axis was chosen.
    stability : polars.DataFrame
        From `stability.stability`: how often the choice stayed the same, and how far it moved.

    Notes
    -----
    Efficiency is that of R. Pardo, The Evaluation and Optimization of Trading Strategies (2nd ed., 2008), on
    walk-forward analysis: the annualised return out of sample over that in sample.
    """

    by: str
    plateau: bool
    pooled: bool
    axes: tuple[str, ...]
    total: int
    failed: int
    missing: int
    choices: pl.DataFrame
    equity: pl.DataFrame
    out_of_sample: pl.DataFrame
    values: pl.DataFrame
    stability: pl.DataFrame


def walk_forward(run: Run, by: str | None = None, *, plateau: bool = False, pooled: bool = False) -> WalkForward:
    """Choose parameters in each training, and follow them through its test.

    Parameters
    ----------
    run : Run
        Finished or not; missing jobs are counted.
    by : str, optional
        The metric to choose by; the job's objective by default. Less is better for the metrics in
        `job.objectives.LOWER_IS_BETTER`. Undefined values never win; of equals, the first in the plan wins.
    plateau : bool
        Choose by the mean over a combination and its direct neighbours along the ordered axes (numbers, and
        ranges of days to expiration, in the order of the job file), so that a plateau beats a spike.
    pooled : bool
        Make one choice a window for all symbols, by the mean over them; `plateau` then averages these means.

    Raises
    ------
    RunFolderError
        When the run has no windows, or nothing has finished yet.
    InputError
        When `by` is not a metric.

    Examples
    --------
    >>> import options_bt, tempfile
    >>> job = options_bt.load_job("jobs/walk_forward.yaml", symbols=["SPY"])
    >>> with tempfile.TemporaryDirectory() as runs:
    ...     result = walk_forward(options_bt.run(job, workers=1, runs=runs))
    >>> result.choices.select("window", "delta").rows()
    [(1, 0.18), (2, 0.18), (3, 0.15), (4, 0.22)]
    """
    windows = window_results(run)
    metric = known_metric(by or run.job.objective)
    scores = windows.scores(metric, windows.train_row)
    scores = pooled_over_symbols(scores) if pooled else scores
    scores = neighbourhood_means(scores, windows.adjacent) if plateau else scores
    chosen = best(scores)
    choices = choices_table(run, windows, metric, chosen, scores)
    tested = choices.filter(pl.col("test_pnl").is_not_null())
    equity = stitched(run, tested)
    return WalkForward(
        by=metric,
        plateau=plateau,
        pooled=pooled,
        axes=tuple(name for name, _ in run.job.grid),
        total=len(run.plan),
        failed=int(choices["failed"].sum()),
        missing=int(choices["missing"].sum()),
        choices=choices.drop(ACCOUNT_COLUMNS),
        equity=equity,
        out_of_sample=out_of_sample(run.job, tested, equity),
        values=chosen_values(run.plan, chosen),
        stability=stability(run.plan, chosen, windows.adjacent),
    )
