"""The charts as plain plotly.js figures; the page adds the colours of text and background, light or dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from options_bt.report.parts import Figure

COLORS = ("#2a7ac7", "#c2571a", "#15875f", "#b04a8f", "#8a6d1a", "#7560c9", "#c43d4b", "#2b8793")
"""The colours of the series, in order; each stands out from a light and from a dark background."""
DASHES = ("solid", "dash", "dot")
DIVERGING = [[0, "#b2563a"], [0.5, "#f5f2ec"], [1, "#2a6fb0"]]
"""From below zero to above it, safe for colour-blind readers."""
SEQUENTIAL = [[0, "#f5f2ec"], [1, "#2a6fb0"]]
"""For values on one side of zero."""
_MARGIN = {"l": 64, "r": 16, "t": 16, "b": 48}
_LEGEND = {"orientation": "h", "x": 0, "y": 0, "yref": "container", "yanchor": "bottom"}


def label(text: object) -> str:
    """Return text escaped for plotly.js, which would otherwise interpret tags."""
    return escape(str(text), quote=False)


def _figure(traces: list[dict[str, Any]], height: int, **layout: Any) -> Figure:
    shared = {"height": height, "margin": _MARGIN, "colorway": list(COLORS), "legend": _LEGEND}
    return {"data": traces, "layout": shared | layout}


def _title(text: str) -> dict[str, Any]:
    return {"title": {"text": label(text)}, "automargin": True}


def _marker(number: int) -> dict[str, Any]:
    """Return the look of the first or the second series of bars; the second is hatched."""
    return {"color": COLORS[number], "pattern": {"shape": "/" if number else ""}}


def equity_chart(equity: Mapping[str, pl.DataFrame], capital: Mapping[str, float]) -> Figure:
    """Return the equity of some jobs by date, with their drawdowns below.

    Parameters
    ----------
    equity : mapping of str to polars.DataFrame
        The name of each job to its ``date, equity``.
    capital : mapping of str to float
        The capital that each started with, which is its first peak.
    """
    traces: list[dict[str, Any]] = []
    for number, (name, rows) in enumerate(equity.items()):
        dates = [f"{day:%Y-%m-%d}" for day in rows["date"]]
        drawdown = drawdowns(rows["equity"], capital[name])
        line = {"color": COLORS[number % len(COLORS)], "dash": DASHES[number // len(COLORS) % 3], "width": 1.8}
        lines = {"type": "scatter", "mode": "lines", "x": dates, "name": label(name), "line": line, "legendgroup": name}
        upper = {"y": rows["equity"].round(2).to_list(), "hovertemplate": "$%{y:,.0f}"}
        lower = {"y": drawdown.round(5).to_list(), "hovertemplate": "%{y:.2%}", "yaxis": "y2", "showlegend": False}
        traces += [lines | upper, lines | lower]
    return _figure(
        traces,
        520 + 22 * len(equity),
        hovermode="x unified",
        xaxis={"anchor": "y2", "type": "date", "hoverformat": "%Y-%m-%d"},
        yaxis=_title("equity, $") | {"domain": [0.38, 1], "tickformat": ",.0f"},
        yaxis2=_title("drawdown") | {"domain": [0.06, 0.32], "tickformat": ".1%"},
    )


def drawdowns(equity: pl.Series, capital: float) -> pl.Series:
    """Return the drawdowns as negative fractions of the running peak; the capital is the first peak."""
    peak = pl.concat([pl.Series([capital]), equity]).cum_max()[1:]
    return equity / peak - 1


def heatmap_chart(
    x: tuple[str, Sequence[str]], y: tuple[str, Sequence[str]], values: Sequence[Sequence[float | None]], form: str
) -> Figure:
    """Return a heatmap.

    Parameters
    ----------
    x, y : (str, sequence of str)
        The name and values of an axis.
    values : sequence of sequences of float
        One row for each value of `y`; None is an empty cell.
    form : str
        The d3-format of the values.
    """
    found = [value for row in values for value in row if value is not None]
    both = min(found, default=0) < 0 < max(found, default=0)
    trace = {
        "type": "heatmap",
        "x": list(map(label, x[1])),
        "y": list(map(label, y[1])),
        "z": [list(row) for row in values],
        "texttemplate": f"%{{z:{form}}}",
        "hovertemplate": f"{label(x[0])} %{{x}}<br>{label(y[0])} %{{y}}<br>%{{z:{form}}}<extra></extra>",
        "colorscale": DIVERGING if both else SEQUENTIAL,
        "zmid": 0 if both else None,
        "xgap": 2,
        "ygap": 2,
        "hoverongaps": False,
        "showscale": False,
    }
    xaxis = _title(x[0]) | {"type": "category"}
    yaxis = _title(y[0]) | {"type": "category", "autorange": "reversed"}
    return _figure([trace], 110 + max(230, 34 * len(y[1])), xaxis=xaxis, yaxis=yaxis)


def spread_chart(axis: str, metric: str, values: pl.DataFrame) -> Figure:
    """Return a box plot of a metric for each value of an axis, with whiskers to the lowest and highest.

    Parameters
    ----------
    axis, metric : str
    values : polars.DataFrame
        One row for each value of the axis: ``<axis>, lowest, quarter, median, three quarters, highest``.
    """
    trace = {
        "type": "box",
        "x": [label(value) for value in values[axis]],
        "name": label(metric),
        "lowerfence": values["lowest"].to_list(),
        "q1": values["quarter"].to_list(),
        "median": values["median"].to_list(),
        "q3": values["three quarters"].to_list(),
        "upperfence": values["highest"].to_list(),
    }
    xaxis = _title(axis) | {"type": "category"}
    return _figure([trace], 340, showlegend=False, xaxis=xaxis, yaxis=_title(metric))


def profit_chart(profits: Sequence[float]) -> Figure:
    """Return the distribution of the profits and losses of trades, in dollars."""
    sides = {"profits": [one for one in profits if one >= 0], "losses": [one for one in profits if one < 0]}
    width = max((abs(one) for one in profits), default=1.0) / 15 or 1.0
    traces = [
        {
            "type": "histogram",
            "x": values,
            "name": name,
            "marker": _marker(number),
            "xbins": {"start": -15 * width, "end": 15 * width + width, "size": width},
            "hovertemplate": "$%{x}: %{y} trades<extra></extra>",
        }
        for number, (name, values) in enumerate(sides.items())
    ]
    return _figure(traces, 320, barmode="overlay", xaxis=_title("P/L of a trade, $"), yaxis=_title("trades"))


def odds_chart(logits: NDArray[np.float64]) -> Figure:
    """Return the distribution of the log odds of a choice's rank out of sample; at or below 0 is the worse half."""
    end = max(float(np.abs(logits).max()), 0.1) * (1 + 1e-9)
    width = end / 15
    # numpy's bins include their lower end; negating puts 0 into the worse half.
    counts = np.histogram(-logits, bins=np.arange(-15, 16) * width)[0][::-1]
    middles = ((np.arange(-15, 15) + 0.5) * width).round(4)
    sides = {"better half": middles > 0, "worse half": middles <= 0}
    traces = [
        {
            "type": "bar",
            "name": name,
            "x": middles[side].tolist(),
            "y": (counts[side] / len(logits)).round(5).tolist(),
            "width": width,
            "marker": _marker(number),
            "hovertemplate": "%{x:.2f}: %{y:.1%} of the splits<extra></extra>",
        }
        for number, (name, side) in enumerate(sides.items())
    ]
    yaxis = _title("splits") | {"tickformat": ".0%"}
    return _figure(traces, 340, xaxis=_title("log odds of the rank out of sample"), yaxis=yaxis)


def count_chart(counts: Mapping[str, int], what: str) -> Figure:
    """Return a bar chart of counts by name."""
    names = [label(name) for name in counts]
    trace = {
        "type": "bar",
        "orientation": "h",
        "y": names,
        "x": list(counts.values()),
        "text": list(counts.values()),
        "hovertemplate": "%{y}: %{x}<extra></extra>",
    }
    yaxis = {"autorange": "reversed", "automargin": True, "type": "category"}
    return _figure([trace], 110 + 34 * len(names), xaxis=_title(what), yaxis=yaxis)
