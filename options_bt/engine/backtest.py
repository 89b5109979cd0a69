"""One backtest: a job spec and a market in, an outcome out."""

from __future__ import annotations

import datetime
import threading
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from options_bt.data.market import Market
from options_bt.engine.encoding import encoded_arms, encoded_rules
from options_bt.engine.entry_days import arm_of_day
from options_bt.engine.kernel import simulate
from options_bt.engine.metrics import METRICS, equity_metrics, trade_metrics
from options_bt.engine.records import REFUSALS, TRADE, Records
from options_bt.job.spec import JobSpec

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
    """Where the kernel writes a thread's trades: memory that was had once costs nothing more, and new memory much."""

    def __init__(self) -> None:
        self._trades: Records = np.empty(0, TRADE).view(np.recarray)

    def of(self, days: int) -> Records:
        """Give room for a trade on each of so many days at least."""
        if len(self._trades) < days:
            self._trades = np.empty(days, TRADE).view(np.recarray)
        return self._trades


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
    params = spec.params
    chain = market.chain
    date = chain.days.date
    first, end = date.searchsorted((spec.start.toordinal() - _EPOCH, spec.end.toordinal() - _EPOCH + 1))
    day = date[first:end]
    n = len(day)
    arms = encoded_arms(spec.strategy, params.delta, params.width, params.width_pct, params.moneyness)
    trades = _room.of(n)
    equity, margin, open_positions = np.empty(n), np.empty(n), np.empty(n, np.int32)
    refused = np.zeros(len(REFUSALS), np.int64)
    count = simulate(
        chain,
        encoded_rules(params),
        arms,
        arm_of_day(market, spec.strategy, params.entry_when, params.entry_every, first, end),
        first,
        trades,
        equity,
        open_positions,
        margin,
        refused,
        np.empty(params.max_positions, np.int64),
    )
    span = int(day[-1] - day[0]) if n else 0
    metrics = np.concatenate(
        [
            trade_metrics(trades, count),
            equity_metrics(equity, open_positions, span, params.capital, params.risk_free),
            refused,
        ]
    )
    return Outcome(
        spec=spec,
        day=day,
        trades=trades[:count].copy(),
        equity=equity,
        open_positions=open_positions,
        margin=margin,
        metrics=metrics,
    )


def metrics_row(metrics: NDArray[np.float64]) -> dict[str, float | None]:
    """Give a metrics vector by name, undefined ones as None."""
    return {name: None if np.isnan(value) else float(value) for name, value in zip(METRICS, metrics, strict=True)}
