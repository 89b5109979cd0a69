"""Outcomes as tables: the trades and equity of section 7 of docs/semantics.md."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from options_bt.engine.backtest import Outcome
from options_bt.engine.records import EXIT_REASONS
from options_bt.job.strategies import Strategy

Identified = tuple[str, Outcome]
"""A job's id and its outcome."""

_LEG_PRICES = ("strike", "entry_fill", "exit_fill", "entry_delta")


def trades_table(outcomes: Sequence[Identified]) -> pl.DataFrame:
    """Give the trades of several jobs, one row each, in the order of the jobs and of their entries.

    Returns
    -------
    polars.DataFrame
        `premium`, `exit_cost` and the legs' prices are dollars per share in the terms of the exit day,
        `fees`, `pnl` and `max_loss` dollars of the whole position. `arm` is null for a strategy without
        arms, `close_entry` and `close_exit` where the day has no close, a leg's `entry_delta` where it
        was unusable.
    """
    tables = [_trades(job, outcome) for job, outcome in outcomes]
    return pl.concat(tables) if tables else pl.DataFrame()


def _trades(job: str, outcome: Outcome) -> pl.DataFrame:
    trades, strategy = outcome.trades, outcome.spec.strategy
    n = len(trades)
    names = np.array([arm.name for arm in strategy.arms], dtype=object)
    return pl.DataFrame(
        {
            "job": pl.Series([job] * n, dtype=pl.String),
            "symbol": pl.Series([outcome.spec.symbol] * n, dtype=pl.String),
            "entry_date": _dates(trades.entry_day),
            "exit_date": _dates(trades.exit_day),
            "expiration": _dates(trades.expiration),
            "dte": trades.expiration - trades.entry_day,
            "arm": pl.Series(names[trades.arm].tolist(), dtype=pl.String),
            "legs": pl.Series(_legs(strategy, outcome)),
            "close_entry": trades.close_entry,
            "close_exit": trades.close_exit,
            "contracts": trades.contracts,
            "split_factor": trades.split_factor,
            "premium": trades.premium,
            "exit_cost": trades.exit_cost,
            "fees": trades.fees,
            "pnl": trades.pnl,
            "max_loss": trades.max_loss,
            "return_on_risk": trades.pnl / trades.max_loss,
            "days_held": trades.exit_day - trades.entry_day,
            "exit_reason": pl.Series([EXIT_REASONS[reason] for reason in trades.exit_reason], dtype=pl.String),
            "stale_days": trades.stale_days,
            "modelled_days": trades.modelled_days,
        },
        nan_to_null=True,
    )


def _legs(strategy: Strategy, outcome: Outcome) -> pl.Series:
    """Give the legs of each trade as a list of structs."""
    trades = outcome.trades
    sizes = np.array([len(arm.legs) for arm in strategy.arms])[trades.arm]
    used = np.arange(trades.row.shape[1]) < sizes[:, None]
    legs = [leg for arm in trades.arm for leg in strategy.arms[arm].legs]
    fields: dict[str, pa.Array] = {
        "name": pa.array([leg.name for leg in legs], pa.string()),
        "right": pa.array([leg.right for leg in legs], pa.string()),
        "side": pa.array([leg.side for leg in legs], pa.string()),
        "ratio": pa.array([leg.ratio for leg in legs], pa.int64()),
    } | {name: pa.array(trades[name][used], pa.float64(), from_pandas=True) for name in _LEG_PRICES}
    structs = pa.StructArray.from_arrays(list(fields.values()), names=list(fields))
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]), pa.int64())
    return pl.Series("legs", pa.LargeListArray.from_arrays(offsets, structs))


def equity_table(outcomes: Sequence[Identified]) -> pl.DataFrame:
    """Give the equity of several jobs, one row a quote day: date, equity, open_positions, margin (dollars)."""
    days = [len(outcome.day) for _, outcome in outcomes]
    return pl.DataFrame(
        {
            "job": pl.Series(np.repeat(np.array([job for job, _ in outcomes], dtype=object), days), dtype=pl.String),
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
