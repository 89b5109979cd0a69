"""The figures: numbers against hand-made ones, and text that is no markup."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import pytest

from options_bt.report.charts import (
    drawdowns,
    equity_chart,
    heatmap_chart,
    label,
    odds_chart,
    profit_chart,
    spread_chart,
)
from options_bt.report.jobs import monthly_returns


def test_a_drawdown_is_the_fall_from_the_peak_and_the_capital_is_the_first() -> None:
    falls = drawdowns(pl.Series([90.0, 110.0, 99.0, 120.0]), 100.0)
    assert falls.to_list() == pytest.approx([-0.1, 0.0, -0.1, 0.0])


def test_equity_and_drawdown_share_their_dates_and_their_look() -> None:
    rows = pl.DataFrame({"date": [date(2024, 1, 2), date(2024, 1, 5)], "equity": [100.0, 95.0]})
    upper, lower = equity_chart({"SPY <b>": rows}, {"SPY <b>": 100.0})["data"]
    assert upper["x"] == lower["x"] == ["2024-01-02", "2024-01-05"]
    assert (upper["y"], lower["y"]) == ([100.0, 95.0], [0.0, -0.05])
    assert upper["line"] == lower["line"]
    assert upper["name"] == "SPY &lt;b&gt;"


def test_lines_of_equal_colour_differ_in_their_dashes() -> None:
    rows = pl.DataFrame({"date": [date(2024, 1, 2)], "equity": [100.0]})
    names = [str(number) for number in range(20)]
    traces = equity_chart(dict.fromkeys(names, rows), dict.fromkeys(names, 100.0))["data"]
    looks = {(trace["line"]["color"], trace["line"]["dash"]) for trace in traces}
    assert len(looks) == 20


@pytest.mark.parametrize(("values", "middle"), [([[1.0, 2.0]], None), ([[-1.0, 2.0]], 0), ([[None, None]], None)])
def test_a_heatmap_has_two_colours_only_where_there_are_two_signs(values: list[list[float]], middle: int) -> None:
    (trace,) = heatmap_chart(("x", ["a", "b"]), ("y", ["<c>"]), values, ".2f")["data"]
    assert trace["zmid"] == middle
    assert trace["y"] == ["&lt;c&gt;"]
    assert len(trace["colorscale"]) == (3 if middle == 0 else 2)


def test_a_box_goes_from_quartile_to_quartile() -> None:
    values = {
        "dte": ["a"],
        "lowest": [1.0],
        "quarter": [2.0],
        "median": [3.0],
        "three quarters": [4.0],
        "highest": [5.0],
    }
    (trace,) = spread_chart("dte", "sharpe", pl.DataFrame(values))["data"]
    assert [trace[name] for name in ("lowerfence", "q1", "median", "q3", "upperfence")] == [[1], [2], [3], [4], [5]]


def test_profits_and_losses_are_told_apart_and_all_within_the_bins() -> None:
    profits, losses = profit_chart([-50.0, 0.0, 100.0])["data"]
    assert (profits["x"], losses["x"]) == ([0.0, 100.0], [-50.0])
    assert profits["marker"]["pattern"] != losses["marker"]["pattern"]
    for trace in (profits, losses):
        assert trace["xbins"]["start"] <= min(trace["x"])
        assert max(trace["x"]) < trace["xbins"]["end"]


def test_the_median_rank_counts_as_the_worse_half() -> None:
    better, worse = odds_chart(np.array([-1.0, 0.0, 0.0, 1.0]))["data"]
    assert (sum(better["y"]), sum(worse["y"])) == (0.25, 0.75)
    assert max(worse["x"]) < 0 < min(better["x"])


def test_markup_of_a_text_is_shown_as_it_is() -> None:
    assert label("a < b & <i>") == "a &lt; b &amp; &lt;i&gt;"


def test_after_everything_is_lost_a_month_has_no_return() -> None:
    days = [date(2024, 1, 31), date(2024, 2, 28), date(2024, 3, 28)]
    equity = pl.DataFrame({"date": days, "equity": [50.0, 0.0, 0.0]})
    assert monthly_returns(equity, 100.0).select("Jan", "Feb", "Mar", "Apr", "whole").row(0) == (
        -0.5,
        -1.0,
        None,
        None,
        -1.0,
    )
