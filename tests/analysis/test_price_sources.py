from __future__ import annotations

import polars as pl
import pytest

from options_bt.analysis.price_sources import PriceSources, price_sources, price_sources_text


def results(*rows: tuple[int, float | None, int, int, int]) -> pl.DataFrame:
    names = ["trades", "modelled_exit_rate", "quote_days", "stale_days", "modelled_days"]
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Float64), orient="row")


def test_shares_are_of_all_days_and_of_all_trades() -> None:
    found = price_sources(results((10, 0.5, 100, 0, 50), (30, 0.0, 300, 40, 0), (0, None, 0, 0, 0)))
    assert found == PriceSources(400, 0.1, 0.125, 5 / 40)


def test_without_a_position_there_is_nothing_to_say() -> None:
    assert price_sources(results((0, None, 0, 0, 0))) is None
    assert price_sources(results()) is None


@pytest.mark.parametrize(
    ("stale", "exits", "warns"), [(0.0, 0.0, False), (0.1, 0.5, False), (0.11, 0.0, True), (0.0, 0.51, True)]
)
def test_much_that_is_not_from_quotes_is_warned_of(stale: float, exits: float, warns: bool) -> None:
    text = price_sources_text(PriceSources(1000, stale, 0.0, exits))
    assert ("Warning" in text) == warns
    assert f"{stale:.0%} no price at all" in text
