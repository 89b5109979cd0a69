"""How the results depend on the parameters: heatmaps of any two axes, and the spread over each."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations, product
from typing import Any

import polars as pl

from options_bt.analysis.tables import PERCENT
from options_bt.engine.metrics import COUNTS
from options_bt.job.objectives import LOWER_IS_BETTER
from options_bt.report.charts import DIVERGING, SEQUENTIAL, heatmap_chart, spread_chart
from options_bt.report.parts import Chart, Choice, Heatmaps, Section, Table, frame_table
from options_bt.report.run_data import CELLS, RunData

_MOST_VALUES = 60
"""An axis of more values makes no heatmap that anyone could read."""
_FILTERS = ("symbol", "role")
ALL = "all"


def heatmaps(data: RunData) -> Section | None:
    """Return the heatmaps of every two axes, for all symbols and for each; None where there are no two axes."""
    axes = [name for name, values in data.axes.items() if len(values) <= _MOST_VALUES]
    axes.sort(key=lambda name: name in ("symbol", "window", "role"))  # those of the grid first
    if len(axes) < 2 or not data.finished:
        return None
    choices = heatmap_choices(data, axes)
    x, y, metric = axes[1], axes[0], data.objective
    values = choices["cells"][f"{y}|{x}"][_key(dict.fromkeys(choices["filters"], ALL))][metric]
    figure = heatmap_chart((x, choices["axes"][x]), (y, choices["axes"][y]), values, choices["formats"][metric])
    title = f"Mean {metric} by {y} and {x}"
    chart = Chart("heatmap", title, f"Heatmap of the mean {metric} by {y} and {x}; its numbers are below it.", figure)
    text = (
        "A cell is the mean over all backtests with these two values. A good cell among bad ones is likely luck; "
        "a good region is more than that."
    )
    return Section("heatmaps", "Heatmaps", (text,), (Heatmaps(chart, choices),))


def heatmap_choices(data: RunData, axes: list[str]) -> dict[str, Any]:
    """Return the values of every heatmap that can be chosen.

    Returns
    -------
    dict
        ``axes`` (name to its values), ``filters`` (name to its values, the first of which is ``all``), ``formats``
        (metric to d3-format), ``scales`` of colours, and ``cells``: for ``down|across`` and the values of the filters,
        joined by ``|``, the mean of each metric as rows of cells, null where there is no backtest.
    """
    metrics = list(dict.fromkeys((data.objective, *CELLS)))
    values = {name: data.axes[name] for name in axes}
    filters = {name: [ALL, *values[name]] for name in _FILTERS if name in axes}
    cells = {f"{y}|{x}": _tables(data.values, (y, x), values, filters, metrics) for y, x in combinations(axes, 2)}
    formats = {name: ".1%" if name in PERCENT else ".0f" if name in COUNTS else ".2f" for name in metrics}
    scales = {"diverging": DIVERGING, "sequential": SEQUENTIAL}
    return {"axes": values, "filters": filters, "formats": formats, "scales": scales, "cells": cells}


def _key(chosen: dict[str, str]) -> str:
    return "|".join(chosen.values())


def _tables(
    rows: pl.DataFrame,
    pair: tuple[str, str],
    values: dict[str, list[str]],
    filters: dict[str, list[str]],
    metrics: list[str],
) -> dict[str, dict[str, list[list[float | None]]]]:
    """Return the tables of a pair of axes for each choice of the filters that are none of the two."""
    free = {name: options if name not in pair else [ALL] for name, options in filters.items()}
    tables = {}
    for options in product(*free.values()):
        chosen = dict(zip(free, options, strict=True))
        given = [pl.col(name) == value for name, value in chosen.items() if value != ALL]
        means = rows.filter(pl.lit(True), *given).group_by(pair).agg(pl.col(name).mean() for name in metrics)
        found = {row[:2]: row[2:] for row in means.iter_rows()}
        tables[_key(chosen)] = {
            metric: [[_short(found.get((y, x)), number) for x in values[pair[1]]] for y in values[pair[0]]]
            for number, metric in enumerate(metrics)
        }
    return tables


def _short(row: Iterable[float | None] | None, number: int) -> float | None:
    value = tuple(row)[number] if row is not None else None
    return None if value is None else float(f"{value:.5g}")


def sensitivity(data: RunData) -> Section | None:
    """Return how much the objective depends on each axis; None where there is no axis."""
    rows = data.values.select({*data.axes, data.objective}).drop_nulls(data.objective)
    if not data.axes or rows.height < 2:
        return None
    shares = {name: _explained(rows, name, data.objective) for name in data.axes}
    most = max(shares, key=lambda name: shares[name])
    text = (
        f"The table says how much of the variance of {data.objective} between the backtests goes with each axis alone. "
        f"It is most for {most}: {shares[most]:.0%}."
    )
    table = pl.DataFrame(
        {
            "axis": list(shares),
            "values": [len(values) for values in data.axes.values()],
            "share of variance": list(shares.values()),
        }
    )
    panels = tuple((f"by-{name}", name, _spread(data, rows, name)) for name in data.axes)
    parts = (
        frame_table("Axes by what they explain", table, like={"share of variance": "win_rate"}),
        Choice("axis", "Axis", panels),
    )
    return Section("sensitivity", "Parameter sensitivity", (text,), parts)


def _explained(rows: pl.DataFrame, axis: str, metric: str) -> float:
    """Return the sum of squares between the values of an axis over the whole one (eta squared); 0 without any."""
    value, mean = pl.col(metric), rows[metric].mean()
    own = rows.group_by(axis).agg(pl.len().alias("backtests"), value.mean())
    between = own.select((pl.col("backtests") * (value - mean) ** 2).sum()).item()
    whole = rows.select(((value - mean) ** 2).sum()).item()
    return float(between / whole) if whole > 0 else 0.0


def _spread(data: RunData, rows: pl.DataFrame, axis: str) -> tuple[Chart, Table]:
    value, metric = pl.col(data.objective), data.objective
    quantities = {
        "lowest": value.min(),
        "quarter": value.quantile(0.25, "linear"),
        "median": value.median(),
        "three quarters": value.quantile(0.75, "linear"),
        "highest": value.max(),
    }
    spread = rows.group_by(axis).agg(pl.len().alias("backtests"), **quantities)
    spread = spread.sort(axis).cast({axis: pl.String})
    best = spread.sort("median", descending=metric not in LOWER_IS_BETTER)[axis][0]
    title = f"{metric} by {axis}"
    summary = f"Box plot of {metric} for each value of {axis}; the median is best at {best}. Its numbers are below it."
    chart = Chart(f"sensitivity-{axis}", title, summary, spread_chart(axis, metric, spread.head(_MOST_VALUES)))
    return chart, frame_table(title, spread, like=dict.fromkeys(quantities, metric))
