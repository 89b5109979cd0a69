"""`results.parquet`: one row a job, built from the ledger and the plan, column by column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from options_bt.engine.metrics import COUNTS, METRICS
from options_bt.job.parameters import FIELDS, Parameters
from options_bt.job.planner import Plan
from options_bt.job.strategies import Strategy
from options_bt.runner.ledger import Ledger

PLACE = {
    "job": pl.String,
    "symbol": pl.String,
    "window": pl.Int64,
    "role": pl.String,
    "start": pl.Date,
    "end": pl.Date,
    "status": pl.String,
}


def _parameter_types() -> dict[str, type[pl.DataType]]:
    """Give the column type of each parameter, from its type in `Parameters`."""
    types: dict[str, type[pl.DataType]] = {"strategy": pl.String}
    for name, field in FIELDS.items():
        info = msgspec.inspect.type_info(field.type)
        parts = info.types if isinstance(info, msgspec.inspect.UnionType) else (info,)
        kind = next(part for part in parts if not isinstance(part, msgspec.inspect.NoneType))
        match kind:
            case msgspec.inspect.BoolType():
                types[name] = pl.Boolean
            case msgspec.inspect.IntType():
                types[name] = pl.Int64
            case msgspec.inspect.FloatType():
                types[name] = pl.Float64
            case _:
                types[name] = pl.String
    return types


PARAMETER_TYPES = _parameter_types()


def results_table(plan: Plan, ledger: Ledger) -> pl.DataFrame:
    """Give one row for each job that is done or failed, in the order of the plan.

    Returns
    -------
    polars.DataFrame
        ``job, symbol, window, role, start, end, status``, then every parameter, then every metric;
        `status` is ``done`` or ``failed``, a metric is null where it is undefined or the job failed.
    """
    chunks = [_chunk(plan, *rows) for rows in ledger.rows()]
    return pl.concat(chunks) if chunks else _chunk(plan, [], [], [], np.empty((0, len(METRICS))))


def _chunk(
    plan: Plan, positions: list[int], ids: list[str], states: list[str], metrics: NDArray[np.float64]
) -> pl.DataFrame:
    table = {"job": ids, "status": states} | plan_columns(plan, np.array(positions, np.int64))
    frame = pl.DataFrame(
        {name: pl.Series(table[name], dtype=dtype) for name, dtype in (PLACE | PARAMETER_TYPES).items()}
    )
    values = pl.DataFrame(metrics, schema=list(METRICS), nan_to_null=True) if len(ids) else _no_metrics()
    return pl.concat([frame, values.with_columns(pl.col(*COUNTS).cast(pl.Int64))], how="horizontal")


def _no_metrics() -> pl.DataFrame:
    return pl.DataFrame(schema=dict.fromkeys(METRICS, pl.Float64))


def plan_columns(plan: Plan, positions: NDArray[np.int64]) -> dict[str, Sequence[Any]]:
    """Give the symbol, window, role, days, strategy and every parameter of the jobs at these positions."""
    symbol, rest = np.divmod(positions, plan.per_symbol)
    span, combination = np.divmod(rest, plan.per_span)
    columns: dict[str, Sequence[Any]] = {"symbol": _taken(plan.job.symbols, symbol)}
    for name in ("window", "role", "start", "end"):
        columns[name] = _taken([getattr(one, name) for one in plan.spans], span)
    fixed: Parameters = plan.job.params
    for name in FIELDS:
        columns[name] = [getattr(fixed, name)] * len(positions)
    columns["strategy"] = [plan.job.strategy.name] * len(positions)
    for name, values in reversed(plan.job.grid):
        combination, index = np.divmod(combination, len(values))
        shown = [value.name if isinstance(value, Strategy) else value for value in values]
        columns[name] = _taken(shown, index)
    return columns


def _taken(values: Sequence[Any], index: NDArray[np.int64]) -> list[Any]:
    return [values[number] for number in index]
