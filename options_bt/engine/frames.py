"""Outcomes as tables: the trades and equity of section 7 of docs/semantics.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from options_bt.engine.backtest import Outcome
from options_bt.engine.records import EXIT_REASONS, TRADE
from options_bt.job.strategies import MAX_LEGS, Arm

JobOutcome = tuple[str, Outcome]
"""A job's id and its outcome."""


def trades_table(outcomes: Sequence[JobOutcome]) -> pl.DataFrame:
    """Return the trades of several jobs, one row each, in the order of the jobs and of their entries.

    Returns
    -------
    polars.DataFrame
        `premium`, `exit_cost` and the legs' prices are dollars per share in the terms of the exit day,
        `fees`, `pnl` and `max_loss` dollars of the whole position. `arm` is null for a strategy without
        arms, `close_entry` and `close_exit` where the day has no close, a leg's `entry_delta` where it
        was unusable.
    """
    trades = np.concatenate([np.empty(0, TRADE), *(outcome.trades for _, outcome in outcomes)])
    counts = [len(outcome.trades) for _, outcome in outcomes]
    strategies = list(dict.fromkeys(outcome.spec.strategy for _, outcome in outcomes))
    arms = [arm for strategy in strategies for arm in strategy.arms]
    # Arms of all strategies stand in one list: a trade's arm counts from its strategy's first.
    first_arm = dict(zip(strategies, np.cumsum([0, *(len(strategy.arms) for strategy in strategies)]), strict=False))
    offsets = np.array([first_arm[outcome.spec.strategy] for _, outcome in outcomes], np.int64)
    arm = trades["arm"] + np.repeat(offsets, np.array(counts, np.int64))
    days = {name: _dates(trades[field]) for name, field in _DATES.items()}
    return pl.DataFrame(
        {
            "job": _repeated([job for job, _ in outcomes], counts),
            "symbol": _repeated([outcome.spec.symbol for _, outcome in outcomes], counts),
            **days,
            "dte": trades["expiration"] - trades["entry_day"],
            "arm": _text([one.name for one in arms], arm),
            "legs": _legs(arms, arm, trades),
            **{name: trades[name] for name in _PRICES},
            "return_on_risk": trades["pnl"] / trades["max_loss"],
            "days_held": trades["exit_day"] - trades["entry_day"],
            "exit_reason": _text(EXIT_REASONS, trades["exit_reason"]),
            **{name: trades[name] for name in _COUNTS},
        },
        nan_to_null=True,
    )


_DATES = {"entry_date": "entry_day", "exit_date": "exit_day", "expiration": "expiration"}
_PRICES = (
    "close_entry",
    "close_exit",
    "contracts",
    "split_factor",
    "premium",
    "exit_cost",
    "fees",
    "pnl",
    "max_loss",
)
_COUNTS = ("quote_days", "stale_days", "modelled_days", "modelled_exit")
_LEG_PRICES = ("strike", "entry_fill", "exit_fill", "entry_delta")


def _legs(arms: Sequence[Arm], arm: NDArray[np.int64], trades: NDArray[np.void]) -> pl.Series:
    """Return the legs of each trade as a list of structs."""
    legs = [leg for one in arms for leg in one.legs]
    sizes = np.array([len(one.legs) for one in arms], np.int64)
    first_leg = np.cumsum(sizes) - sizes
    column = np.arange(MAX_LEGS)
    used = column < sizes[arm][:, None]
    leg = (first_leg[arm][:, None] + column)[used]
    fields = {
        "name": _text([one.name for one in legs], leg),
        "right": _text([one.right for one in legs], leg),
        "side": _text([one.side for one in legs], leg),
        "ratio": pl.Series(np.array([one.ratio for one in legs], np.int64)[leg]),
    } | {name: pl.Series(trades[name][used], nan_to_null=True) for name in _LEG_PRICES}
    rows = pl.DataFrame(fields).to_struct("legs").to_arrow()
    ends = np.concatenate([[0], np.cumsum(sizes[arm])])
    # Not pa.array, which imports pandas where it is installed.
    offsets = pa.Array.from_buffers(pa.int64(), len(ends), [None, pa.py_buffer(ends)])
    return pl.Series("legs", pa.LargeListArray.from_arrays(offsets, rows))


def _text(names: Sequence[str | None], number: NDArray[np.integer[Any]]) -> pl.Series:
    return pl.Series(names, dtype=pl.String).gather(number)


def _repeated(names: Sequence[str], counts: Sequence[int]) -> pl.Series:
    return _text(names, np.repeat(np.arange(len(names)), np.array(counts, np.int64)))


def equity_table(outcomes: Sequence[JobOutcome]) -> pl.DataFrame:
    """Return the equity of several jobs, one row a quote day: date, equity, open_positions, margin (dollars)."""
    days = [len(outcome.day) for _, outcome in outcomes]
    return pl.DataFrame(
        {
            "job": _repeated([job for job, _ in outcomes], days),
            "date": _dates(_joined([outcome.day for _, outcome in outcomes], np.int32)),
            "equity": _joined([outcome.equity for _, outcome in outcomes], np.float64),
            "open_positions": _joined([outcome.open_positions for _, outcome in outcomes], np.int32),
            "margin": _joined([outcome.margin for _, outcome in outcomes], np.float64),
        }
    )


def _joined(arrays: Sequence[NDArray[np.generic]], dtype: type[np.generic]) -> NDArray[np.generic]:
    return np.concatenate(arrays) if arrays else np.empty(0, dtype)


def _dates(day: NDArray[np.generic]) -> pl.Series:
    return pl.Series(np.ascontiguousarray(day, np.int32)).cast(pl.Date)
