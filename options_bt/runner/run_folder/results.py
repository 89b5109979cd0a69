"""`results.parquet`: one row a job, built from the ledger and the plan, column by column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from options_bt.engine.metrics import COUNTS, METRICS
from options_bt.job.parameters import FIELDS
from options_bt.job.planner import Plan
from options_bt.job.strategies import Strategy
from options_bt.runner.run_folder.ledger import CHUNK, Ledger
from options_bt.storage import new_file

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
    """Return the column type of each parameter, from its type in `Parameters`."""
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
    """Return one row for each job that is done or failed, in the order of the plan.

    Returns
    -------
    polars.DataFrame
        ``job, symbol, window, role, start, end, status``, then every parameter, then every metric;
        `status` is ``done`` or ``failed``, a metric is null where it is undefined or the job failed.
    """
    return pl.concat(_chunks(plan, ledger))


def write_results(plan: Plan, ledger: Ledger, path: Path) -> None:
    """Write what `results_table` gives as Parquet, without ever having more of it in memory than a chunk.

    Raises
    ------
    StorageError
        When the disk refuses; `path` is then as it was.
    """
    chunks = _chunks(plan, ledger)
    with new_file(path) as temporary:
        if len(plan) <= CHUNK:
            pl.concat(chunks).write_parquet(temporary, compression="zstd")
            return
        import pyarrow as pa  # its import takes longer than writing what is small
        import pyarrow.parquet as pq

        first = next(chunks).to_arrow()
        with pq.ParquetWriter(temporary, first.schema, compression="zstd") as writer:
            writer.write_table(first)
            for chunk in chunks:
                writer.write_table(chunk.to_arrow())
    pa.default_memory_pool().release_unused()  # what follows, as a report, does not come on top of it


def _chunks(plan: Plan, ledger: Ledger) -> Iterator[pl.DataFrame]:
    """Yield the rows chunk by chunk; one chunk without rows where there are none."""
    rows = ledger.rows()
    yield _chunk(plan, *next(rows, ([], [], [], np.empty((0, len(METRICS))))))
    for more in rows:
        yield _chunk(plan, *more)


def _chunk(
    plan: Plan, positions: list[int], ids: list[str], states: list[str], metrics: NDArray[np.float64]
) -> pl.DataFrame:
    jobs = {"job": pl.Series(ids, dtype=pl.String), "status": pl.Series(states, dtype=pl.String)}
    table = jobs | plan_columns(plan, np.array(positions, np.int64))
    frame = pl.DataFrame({name: table[name] for name in PLACE | PARAMETER_TYPES})
    values = pl.DataFrame(metrics, schema=list(METRICS), nan_to_null=True) if len(ids) else _no_metrics()
    return pl.concat([frame, values.with_columns(pl.col(*COUNTS).cast(pl.Int64))], how="horizontal")


def _no_metrics() -> pl.DataFrame:
    return pl.DataFrame(schema=dict.fromkeys(METRICS, pl.Float64))


def plan_columns(plan: Plan, positions: NDArray[np.int64]) -> dict[str, pl.Series]:
    """Return the symbol, window, role, days, strategy and every parameter of the jobs at these positions."""
    symbol, rest = np.divmod(positions, plan.per_symbol)
    span, combination = np.divmod(rest, plan.per_span)
    columns = {"symbol": _taken("symbol", plan.job.symbols, symbol)}
    for name in ("window", "role", "start", "end"):
        columns[name] = _taken(name, [getattr(one, name) for one in plan.spans], span)
    everywhere = np.zeros_like(positions)
    fixed = {"strategy": plan.job.strategy.name} | {name: getattr(plan.job.params, name) for name in FIELDS}
    for name, value in fixed.items():
        columns[name] = _taken(name, [value], everywhere)
    for name, values in reversed(plan.job.grid):
        combination, index = np.divmod(combination, len(values))
        shown = [value.name if isinstance(value, Strategy) else value for value in values]
        columns[name] = _taken(name, shown, index)
    return columns


def _taken(name: str, values: Sequence[Any], index: NDArray[np.int64]) -> pl.Series:
    return pl.Series(name, values, dtype=(PLACE | PARAMETER_TYPES)[name]).gather(index)
