"""Backtests: job specs and a market in, outcomes or metrics out."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from options_bt.data.market.market import Market
from options_bt.engine.encoding import encoded
from options_bt.engine.entry_signals import entry_signals
from options_bt.engine.metrics import METRICS
from options_bt.engine.records import TRADE, Records
from options_bt.engine.workspace import Workspace
from options_bt.job.spec import JobSpec

AT_ONCE = 128
"""Jobs that run together: what each of them writes and reads every day has to stay in a processor's cache."""

_EPOCH = datetime.date(1970, 1, 1).toordinal()


class Outcome(Struct, frozen=True, kw_only=True):
    """The outcome of one backtest.

    Attributes
    ----------
    spec : JobSpec
    day : array of int32
        The quote days of the job, as days since 1970-01-01.
    trades : recarray of engine.records.TRADE
        In the order of their entry.
    equity, margin : array of float64, one element a day
        Dollars.
    open_positions : array of int32, one element a day
    metrics : array of float64
        By METRICS; NaN where one is undefined.
    """

    spec: JobSpec
    day: Any
    trades: Records
    equity: Any
    open_positions: Any
    margin: Any
    metrics: NDArray[np.float64]


_workspace = Workspace()


def run_backtest(spec: JobSpec, market: Market) -> Outcome:
    """Run one backtest.

    Parameters
    ----------
    spec : JobSpec
    market : Market
        Of the spec's symbol.

    Returns
    -------
    Outcome
        With no days, no trades and null metrics where the market has no quotes in the job's days.
    """
    day, metrics = _run([spec], market)
    trades = int(metrics[0, 0])
    return Outcome(
        spec=spec,
        day=day,
        trades=np.recarray(trades, TRADE, buf=_workspace.trades[:trades].copy().data),
        equity=_workspace.equity[0].copy(),
        open_positions=_workspace.open_positions.copy(),
        margin=_workspace.margin.copy(),
        metrics=metrics[0],
    )


def run_metrics(specs: Sequence[JobSpec], market: Market) -> NDArray[np.float64]:
    """Run backtests of one symbol for their metrics alone: the same as those of `run_backtest`, and in less time.

    Parameters
    ----------
    specs : sequence of JobSpec
    market : Market
        Of the specs' symbol.

    Returns
    -------
    array of float64, (specs, len(METRICS))
    """
    of_span = defaultdict(list)
    for index, spec in enumerate(specs):
        of_span[spec.start, spec.end].append(index)
    metrics = np.empty((len(specs), len(METRICS)))
    for same in of_span.values():
        for first in range(0, len(same), AT_ONCE):
            some = same[first : first + AT_ONCE]
            metrics[some] = _run([specs[index] for index in some], market)[1]
    return metrics


def _run(specs: Sequence[JobSpec], market: Market) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Run backtests of the same days in the thread's workspace; return the days and, a row each, their metrics."""
    # Numba takes half a second, which only those pay who run something.
    from options_bt.engine.kernel import simulate
    from options_bt.engine.measures import measure

    spec, jobs = specs[0], len(specs)
    first, end = market.dates.searchsorted(
        (spec.start.toordinal() - _EPOCH, spec.end.toordinal() - _EPOCH + 1)
    ).tolist()
    day = market.dates[first:end]
    signals, calendars = entry_signals(market, specs, first, end)
    rules, arms = encoded(specs, calendars)
    to = _workspace
    to.fit(slots=sum([spec.params.max_positions for spec in specs]), days=len(day), jobs=jobs)
    to.jobs[:] = rules
    simulate(
        market.arrays,
        to.jobs,
        arms,
        signals,
        first,
        to.states,
        to.open_slots,
        to.positions,
        to.equity,
        to.open_positions,
        to.margin,
    )
    metrics = np.empty((jobs, len(METRICS)))
    measure(to.states, to.jobs, to.equity, int(day[-1] - day[0]) if len(day) else 0, to.returns, metrics)
    return day, metrics


def metrics_row(metrics: NDArray[np.float64]) -> dict[str, float | None]:
    """Return a metrics vector by name, undefined ones as None."""
    return {name: None if np.isnan(value) else float(value) for name, value in zip(METRICS, metrics, strict=True)}
