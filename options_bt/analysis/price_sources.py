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
"""Over rows of `Run.results`: of the days of open positions, and of the trades; NaN where there are none."""


class PriceSources(NamedTuple):
    """What the prices of a run's positions came from.

    Attributes
    ----------
    quote_days : int
        Quote days on which positions were held, over all jobs.
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
        """Whether so much is not from quotes that results deserve a second look."""
        return self.stale > STALE_HIGH or self.modelled_exits > MODELLED_HIGH


def price_sources(results: pl.DataFrame | pl.LazyFrame) -> PriceSources | None:
    """Return what the prices of these jobs came from; None where no position was held.

    Parameters
    ----------
    results : polars.DataFrame or LazyFrame
        Rows of `Run.results`.
    """
    shares = results.lazy().select(pl.col("quote_days").sum(), **SHARES).collect().row(0)
    return PriceSources(*shares) if shares[0] else None


def price_sources_text(sources: PriceSources) -> str:
    """Return what the prices came from as a line for people, with advice where too little is from quotes."""
    text = (
        f"Prices: of {sources.quote_days:,} position-days {sources.modelled:.0%} have a modelled leg and "
        f"{sources.stale:.0%} no price at all; {sources.modelled_exits:.0%} of exits are at modelled prices"
    )
    return (
        f"{text}.\nWarning: that is much; docs/modelled-quotes.md says what it does to results"
        if sources.is_high
        else text
    )
