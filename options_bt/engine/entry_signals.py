"""Entry signals: which arm of a strategy may be entered on which day, by weekdays and predicates over features."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from options_bt.data.market.features import features
from options_bt.data.market.market import Market
from options_bt.job.parameters import WEEKDAYS
from options_bt.job.spec import JobSpec
from options_bt.job.strategies import Strategy

NO_ARM = -1
_MARKETS_KEPT = 8
_ANSWERS_KEPT = 256


Calendar = tuple[Strategy, str | None, str]
"""What says when a job may enter: its strategy's arms, `entry_when` and `entry_every`."""


def entry_signals(
    market: Market, specs: Sequence[JobSpec], first: int, end: int
) -> tuple[NDArray[np.int64], Sequence[int]]:
    """Return the arms that may be entered on the quote days of jobs, and which row of them is each job's.

    Parameters
    ----------
    market : Market
    specs : sequence of JobSpec
    first, end : int
        The jobs' quote days are those with indices in ``range(first, end)``.

    Returns
    -------
    array of int64, (calendars, days)
        As `signals_of`: one row for all jobs that may enter on the same days.
    sequence of int
        Each job's row.
    """
    calendars = [(spec.strategy, spec.params.entry_when, spec.params.entry_every) for spec in specs]
    rows = {calendar: row for row, calendar in enumerate(dict.fromkeys(calendars))}
    if len(rows) == 1:
        return signals_of(market, calendars[0], first, end)[None], [0] * len(specs)
    signals = np.stack([signals_of(market, calendar, first, end) for calendar in rows])
    return signals, [rows[calendar] for calendar in calendars]


def signals_of(market: Market, calendar: Calendar, first: int, end: int) -> NDArray[np.int64]:
    """Return the arm that may be entered on each quote day of a job.

    Parameters
    ----------
    market : Market
    calendar : Calendar
    first, end : int
        The job's quote days are those with indices in ``range(first, end)``.

    Returns
    -------
    array of int64
        Index of the first arm whose predicate is true; NO_ARM on days without one or off `entry_every`.
    """
    known = _predicates_of(market).signals
    key = (*calendar, first, end)
    if key not in known:
        if len(known) == _ANSWERS_KEPT:
            known.clear()
        known[key] = _signals_on(market, *key)
    return known[key]


def _signals_on(
    market: Market, strategy: Strategy, entry_when: str | None, entry_every: str, first: int, end: int
) -> NDArray[np.int64]:
    arms = np.full(end - first, NO_ARM, np.int64)
    for index in reversed(range(len(strategy.arms))):
        when = strategy.arms[index].when
        arms[slice(None) if when is None else true_days(market, when)[first:end]] = index
    if entry_when is not None:
        arms[~true_days(market, entry_when)[first:end]] = NO_ARM
    arms[~_entry_days(market.chain.days.date[first:end], entry_every)] = NO_ARM
    return arms


def _entry_days(day: NDArray[np.int32], entry_every: str) -> NDArray[np.bool_]:
    weekday = (day + 3) % len(WEEKDAYS)  # 1970-01-01 was a Thursday
    if entry_every == "any":
        return np.ones(len(day), bool)
    if entry_every == "first_of_week":
        monday = day - weekday
        return np.concatenate([[True], monday[1:] != monday[:-1]])[: len(day)]
    return np.isin(weekday, [WEEKDAYS.index(name) for name in entry_every.split(",")])


class _Predicates:
    """The feature table of one market, the predicates already evaluated over it, and its entry signals."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._answers: dict[str, NDArray[np.bool_]] = {}
        self.signals: dict[tuple[Strategy, str | None, str, int, int], NDArray[np.int64]] = {}

    @cached_property
    def _table(self) -> pl.LazyFrame:
        return features(self._market).with_row_index("row").lazy()

    def true_days(self, predicate: str) -> NDArray[np.bool_]:
        if predicate not in self._answers:
            # Each day is a group of its own, so that nothing in a predicate can see another day.
            answer = pl.sql_expr(predicate).first().fill_null(False).alias("answer")
            answers = self._table.group_by("row", maintain_order=True).agg(answer).collect()
            self._answers[predicate] = answers["answer"].to_numpy()
        return self._answers[predicate]


_predicates: OrderedDict[tuple[str, str], _Predicates] = OrderedDict()


def true_days(market: Market, predicate: str) -> NDArray[np.bool_]:
    """Return on which quote days of a market a predicate is true; null is not true.

    Feature tables are kept for the markets used last, by fingerprint.
    """
    return _predicates_of(market).true_days(predicate)


def _predicates_of(market: Market) -> _Predicates:
    key = (market.symbol, market.fingerprint)
    if key not in _predicates:
        _predicates[key] = _Predicates(market)
        if len(_predicates) > _MARKETS_KEPT:
            _predicates.popitem(last=False)
    return _predicates[key]
