"""How much of a run was priced from quotes, how much from the model, and how much not at all."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

STALE_HIGH = 0.10
"""Share of position-days without any price above which a run warns."""

MODELLED_HIGH = 0.50
"""Share of exits at modelled prices above which a run warns."""

SHARES = {
    "stale": pl.col("stale_days").sum() / pl.col("quote_days").sum(),
    "modelled": pl.col("modelled_days").sum() / pl.col("quote_days").sum(),
    "modelled exits": (pl.col("modelled_exit_rate") * pl.col("trades")).sum() / pl.col("trades").sum(),
}
"""Expressions over rows of `Run.results`: shares of position-days and of trades; NaN where there are none."""


class PriceSources(NamedTuple):
    """Where the prices of a run's positions came from.

    Attributes
    ----------
    quote_days : int
        Position-days: quote days on which a position was held, over all jobs.
    stale, modelled : float
        Shares of them on which a position kept its last marks, and on which a leg had a modelled price.
    modelled_exits : float
        Share of all trades that were closed at modelled prices.
    """

    quote_days: int
    stale: float
    modelled: float
    modelled_exits: float

    @property
    def is_high(self) -> bool:
        """Whether so many prices are not quotes that the results need a second look."""
        return self.stale > STALE_HIGH or self.modelled_exits > MODELLED_HIGH


def price_sources(results: pl.DataFrame | pl.LazyFrame) -> PriceSources | None:
    """Return where the prices of these jobs came from; None where no position was held.

    Parameters
    ----------
    results : polars.DataFrame or LazyFrame
        Rows of `Run.results`.
    """
    shares = results.lazy().select(pl.col("quote_days").sum(), **SHARES).collect().row(0)
    return PriceSources(*shares) if shares[0] else None


def price_sources_text(sources: PriceSources) -> str:
    """Return where the prices came from in one line, with a warning where too few are quotes."""
    text = (
        f"Prices: of {sources.quote_days:,} position-days {sources.modelled:.0%} have a modelled leg and "
        f"{sources.stale:.0%} no price at all; {sources.modelled_exits:.0%} of exits are at modelled prices"
    )
    warning = ".\nWarning: these shares are high; docs/modelled-quotes.md explains what that does to results"
    return text + warning if sources.is_high else text
