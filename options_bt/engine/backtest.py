"""Backtests: job specs and a market in, outcomes or metrics out."""

from __future__ import annotations

import datetime
import threading
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from options_bt.data.market import Market
from options_bt.engine.encoding import encoded
from options_bt.engine.entry_days import arms_of_days
from options_bt.engine.metrics import METRICS, all_metrics
from options_bt.engine.native import simulate
from options_bt.engine.records import POSITION, POSITION_WORDS, STATE, TRADE, TRADE_WORDS, Records
from options_bt.job.spec import JobSpec

AT_ONCE = 128
"""Jobs that go through the days together: what each of them writes and reads every day has to stay in a cache."""

_EPOCH = datetime.date(1970, 1, 1).toordinal()


class Outcome(Struct, frozen=True, kw_only=True):
    """What one backtest gave.

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


class _Room(threading.local):
    """Where a thread's backtests write what is not kept: memory that was had once costs nothing more, and new much."""

    def __init__(self) -> None:
        self._held = self._of_positions(0)
        self._days = self._of_days(0)

    def positions(self, count: int) -> tuple[NDArray[np.int64], NDArray[np.void], NDArray[np.int64]]:
        """Give room for so many positions at least: their book, their records, and these as words."""
        if len(self._held[0]) < count:
            self._held = self._of_positions(count)
        return self._held

    def days(self, count: int) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]:
        """Give room for trades, open positions and margin of so many days at least."""
        if len(self._days[0]) < count:
            self._days = self._of_days(count)
        return self._days

    @staticmethod
    def _of_positions(count: int) -> tuple[NDArray[np.int64], NDArray[np.void], NDArray[np.int64]]:
        positions = np.empty(count, POSITION)
        return np.empty(count, np.int64), positions, positions.view(np.int64).reshape(-1, POSITION_WORDS)

    @staticmethod
    def _of_days(count: int) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]:
        return np.empty((count, TRADE_WORDS), np.int64), np.empty(count, np.int32), np.empty(count)


_room = _Room()


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
    day, equity, metrics = _run([spec], market)
    trades, open_positions, margin = _room.days(len(day))
    return Outcome(
        spec=spec,
        day=day,
        trades=trades[: int(metrics[0, 0])].copy().view(TRADE)[:, 0].view(np.recarray),
        equity=equity[0],
        open_positions=open_positions[: len(day)].copy(),
        margin=margin[: len(day)].copy(),
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
            metrics[some] = _run([specs[index] for index in some], market)[2]
    return metrics


def _run(
    specs: Sequence[JobSpec], market: Market
) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.float64]]:
    """Run backtests of the same days; give the days and, a row each, equity and metrics."""
    chain, spec = market.chain, specs[0]
    date = chain.days["date"]
    first, end = date.searchsorted((spec.start.toordinal() - _EPOCH, spec.end.toordinal() - _EPOCH + 1)).tolist()
    day = date[first:end]
    arm_today, calendars = arms_of_days(market, specs, first, end)
    jobs, arms = encoded(specs, calendars)
    states = np.zeros(len(specs), STATE)
    equity = np.empty((len(specs), len(day)))
    trades, open_positions, margin = _room.days(len(day))
    simulate(
        chain,
        jobs,
        arms,
        arm_today,
        first,
        states,
        _room.positions(sum(spec.params.max_positions for spec in specs)),
        trades,
        equity,
        open_positions,
        margin,
    )
    span = int(day[-1] - day[0]) if len(day) else 0
    return day, equity, all_metrics(states, jobs, equity, span)


def metrics_row(metrics: NDArray[np.float64]) -> dict[str, float | None]:
    """Give a metrics vector by name, undefined ones as None."""
    return {name: None if np.isnan(value) else float(value) for name, value in zip(METRICS, metrics, strict=True)}
