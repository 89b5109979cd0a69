"""How the results depend on the parameters: heatmaps of any two axes, and the spread over each axis."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import polars as pl

from options_bt.analysis.formatting import PERCENT
from options_bt.engine.metrics import COUNTS
from options_bt.job.objectives import LOWER_IS_BETTER
from options_bt.report.charts import DIVERGING, SEQUENTIAL, heatmap_chart, spread_chart
from options_bt.report.parts import Chart, Choice, Heatmaps, Section, Table, frame_table
from options_bt.report.run_data import HEATMAP_METRICS, RunData

_MOST_VALUES = 60
"""An axis with more values would make an unreadable heatmap."""
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
    cells = choices["cells"][f"{y}|{x}"]["|".join(ALL for _ in choices["filters"])][metric]
    figure = heatmap_chart((x, data.axes[x]), (y, data.axes[y]), cells, choices["formats"][metric])
    title = f"Mean {metric} by {y} and {x}"
    chart = Chart(
        "heatmap", title, f"Heatmap of the mean {metric} by {y} and {x}; the table below has its numbers.", figure
    )
    text = (
        "A cell is the mean over all backtests with these two values. A good cell among bad ones is probably luck; a "
        "good region is stronger evidence."
    )
    return Section("heatmaps", "Heatmaps", (text,), (Heatmaps(chart, choices),))


def heatmap_choices(data: RunData, axes: list[str]) -> dict[str, Any]:
    """Return the values of every heatmap that can be chosen.

    Returns
    -------
    dict
        ``axes`` (name to values), ``filters`` (name to values, the first of which is ``all``), ``formats`` (metric to
        d3-format), ``scales`` of colours, and ``cells``: for ``down|across`` and the values of the filters, joined by
        ``|``, the mean of each metric as rows of cells, null where there is no backtest.
    """
    metrics = list(dict.fromkeys((data.objective, *HEATMAP_METRICS)))
    filters = {name: [ALL, *data.axes[name]] for name in _FILTERS if name in axes}
    cells = {}
    for pair in combinations(axes, 2):
        # A filter over an axis of the heatmap itself has no effect.
        options = [[ALL] if name in pair else values for name, values in filters.items()]
        cells["|".join(pair)] = {
            "|".join(chosen): _cells(data, pair, dict(zip(filters, chosen, strict=True)), metrics)
            for chosen in product(*options)
        }
    return {
        "axes": {name: data.axes[name] for name in axes},
        "filters": filters,
        "formats": {name: ".1%" if name in PERCENT else ".0f" if name in COUNTS else ".2f" for name in metrics},
        "scales": {"diverging": DIVERGING, "sequential": SEQUENTIAL},
        "cells": cells,
    }


def _cells(
    data: RunData, pair: tuple[str, str], chosen: dict[str, str], metrics: list[str]
) -> dict[str, list[list[float | None]]]:
    """Return the mean of each metric for every two values of a pair of axes, over the chosen rows."""
    rows = data.values.filter(pl.lit(True), *(pl.col(name) == one for name, one in chosen.items() if one != ALL))
    means = rows.group_by(pair).agg(pl.col(name).mean() for name in metrics)
    found = {row[:2]: row[2:] for row in means.iter_rows()}
    nothing = (None,) * len(metrics)
    down, across = (data.axes[name] for name in pair)
    return {
        metric: [[_five_digits(found.get((y, x), nothing)[number]) for x in across] for y in down]
        for number, metric in enumerate(metrics)
    }


def _five_digits(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")


def sensitivity(data: RunData) -> Section | None:
    """Return how much the objective depends on each axis; None where there is no axis."""
    rows = data.values.select({*data.axes, data.objective}).drop_nulls(data.objective)
    if not data.axes or rows.height < 2:
        return None
    shares = {name: _explained(rows, name, data.objective) for name in data.axes}
    most = max(shares, key=lambda name: shares[name])
    text = (
        f"The table shows how much of the variance of {data.objective} between the backtests each axis alone explains. "
        f"The largest share is that of {most}: {shares[most]:.0%}."
    )
    counts = [len(values) for values in data.axes.values()]
    table = pl.DataFrame({"axis": list(shares), "values": counts, "share of variance": list(shares.values())})
    panels = tuple((f"by-{name}", name, _spread(data, rows, name)) for name in data.axes)
    parts = (
        frame_table("Variance explained by each axis", table, like={"share of variance": "share"}),
        Choice("axis", "Axis", panels),
    )
    return Section("sensitivity", "Parameter sensitivity", (text,), parts)


def _explained(rows: pl.DataFrame, axis: str, metric: str) -> float:
    """Return the sum of squares between the values of an axis over the total one (eta squared); 0 without variance."""
    value, mean = pl.col(metric), rows[metric].mean()
    own = rows.group_by(axis).agg(pl.len().alias("backtests"), value.mean())
    between = own.select((pl.col("backtests") * (value - mean) ** 2).sum()).item()
    total = rows.select(((value - mean) ** 2).sum()).item()
    return float(between / total) if total > 0 else 0.0


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
    summary = (
        f"Box plot of {metric} for each value of {axis}; the median is best at {best}. The table below has its numbers."
    )
    chart = Chart(f"sensitivity-{axis}", title, summary, spread_chart(axis, metric, spread.head(_MOST_VALUES)))
    return chart, frame_table(title, spread, like=dict.fromkeys(quantities, metric))
