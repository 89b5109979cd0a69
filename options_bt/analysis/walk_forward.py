"""Walk-forward analysis: what won in training, what it earned in the test that follows, and how far to trust it."""

from __future__ import annotations

import polars as pl
from msgspec import Struct

from options_bt.analysis.choices import OF_THE_JOBS, choices_table
from options_bt.analysis.choosing import (
    best,
    goodness,
    known_metric,
    neighbourhood_means,
    pooled_over_symbols,
    window_results,
)
from options_bt.analysis.run_reader import Run
from options_bt.analysis.stability import chosen_values, stability
from options_bt.analysis.stitching import out_of_sample, stitched


class WalkForward(Struct, frozen=True, kw_only=True):
    """The answer of a run with windows. `by` stands for the metric that is chosen by.

    Attributes
    ----------
    by : str
        The metric that the parameters are chosen by.
    plateau : bool
        Whether by its mean over a combination and its neighbours.
    pooled : bool
        Whether one choice serves all symbols, by the mean over them.
    axes : tuple of str
        The axes of the grid.
    total, failed, missing : int
        Jobs of the plan; how many of them failed, and were not run yet.
    choices : polars.DataFrame
        A row a symbol and window, in the order of the plan: ``symbol, window, train_start, train_end, test_start,
        test_end``; the value of each axis in the choice, under its name; ``job``, the id of its test job;
        ``score``, what was compared in training (`by`, or its mean), ``train_metric`` and ``test_metric`` (`by`
        of the choice alone), ``train_return`` and ``test_return`` (fractions a year), ``test_pnl`` (dollars);
        ``best_`` and the name of each axis, with ``best_metric``: the best of the test itself;
        ``rank``, that of the choice among the combinations of the test by `by`, 1 the best, equals sharing the
        better one; ``ranked``, how many have a value there; ``percentile``, the share of the others that the
        choice beats, equals counting half: 1 the best, 0.5 what chance gives. ``failed`` and ``missing`` count jobs of
        the row. Where no training has a value there is no choice and all of it is null, as `score` is only then;
        where its test failed or is missing, all of the test is.
    equity : polars.DataFrame
        Out of sample, as `stitching.stitched` gives it: ``symbol, window, date, equity, open_positions``;
        symbol null for all of them together.
    out_of_sample : polars.DataFrame
        A row a symbol, and a last one, symbol null, for all together: ``symbol, windows`` (tests in it; null for
        all), ``start, end`` (first and last quote day), ``trades, win_rate, total_pnl`` (dollars) and the metrics of
        an equity as in docs/semantics.md; ``in_sample_return`` and ``out_of_sample_return``, fractions a year of
        the choices over their trainings and over their tests, and ``efficiency``, the second over the first; null
        where the first is not above 0. A metric is null where it is undefined.
    values : polars.DataFrame
        As `stability.chosen_values` gives it: how often each value of each axis was chosen.
    stability : polars.DataFrame
        As `stability.stability` gives it: how often the choice stayed, and how far it moved.

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
        Finished or not; what is missing is counted.
    by : str, optional
        Metric to choose by; the job's objective by default. Less is better where
        `job.objectives.LOWER_IS_BETTER` says so. Undefined values never win; of equals the first in the plan does.
    plateau : bool
        Choose by the mean over a combination and its direct neighbours along the ordered axes (numbers, and
        ranges of days to expiration, in the order of the job file), so that a plateau wins over a spike.
    pooled : bool
        Choose once a window for all symbols, by the mean over them; with `plateau`, the neighbours' means are of these.

    Returns
    -------
    WalkForward

    Raises
    ------
    RunFolderError
        When the run has no windows, or nothing is finished yet.
    InputError
        When `by` is no metric.

    Examples
    --------
    >>> import options_bt, tempfile
    >>> job = options_bt.load_job("jobs/walk_forward.yaml", symbols=["SPY"])
    >>> with tempfile.TemporaryDirectory() as runs:
    ...     answer = walk_forward(options_bt.run(job, workers=1, runs=runs))
    >>> answer.choices.select("window", "delta").rows()
    [(1, 0.18), (2, 0.18), (3, 0.15), (4, 0.22)]
    """
    found = window_results(run)
    metric = known_metric(by or run.job.objective)
    train = goodness(metric, found.train(metric))
    scores = pooled_over_symbols(train) if pooled else train
    scores = neighbourhood_means(scores, found.links) if plateau else scores
    chosen = best(scores)
    choices = choices_table(run, found, metric, chosen, scores)
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
        choices=choices.drop(OF_THE_JOBS),
        equity=equity,
        out_of_sample=out_of_sample(run.job, tested, equity),
        values=chosen_values(run.plan, chosen),
        stability=stability(run.plan, chosen, found.links),
    )
