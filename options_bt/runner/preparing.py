"""From a plan to its markets: open the source, pull what the cache lacks, build what is not built yet."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

from options_bt.data.cache.cache import Cache
from options_bt.data.prepare import Prepared, covered_years, missing_data, prepared, pull
from options_bt.data.sources.factory import open_source
from options_bt.data.sources.source import Source, require_symbols
from options_bt.errors import SourceError
from options_bt.job.planner import Plan
from options_bt.job.predicates import history_columns
from options_bt.runner.progress import Progress
from options_bt.runner.summary import Times

logger = logging.getLogger(__name__)


def open_data(plan: Plan, cache: Path) -> tuple[Source, Cache]:
    """Return the source of a plan and its cache; nothing is written.

    Raises
    ------
    SourceError
        When the source cannot be read, lacks a symbol, or has no quotes in the plan's years.
    """
    source = open_source(plan.job.source, plan.job.columns)
    require_symbols(source, plan.job.symbols)
    covered_years(source, plan.years)
    return source, Cache(cache, source.name)


def prepare_markets(
    plan: Plan, source: Source, cache: Cache, *, show_progress: bool = False
) -> tuple[list[Prepared], Times]:
    """Return a market for each symbol of a plan, in its order, and the seconds that pulling and building took.

    Raises
    ------
    SourceError
        When the source cannot be read, or a predicate needs a table that it lacks.
    StorageError
        When the cache cannot be written.
    """
    began = time.monotonic()
    symbols, years = plan.job.symbols, plan.years
    missing = missing_data(source, cache, symbols, years)
    if missing:
        logger.info("Pulling %s from %s", _listed(list(missing)), source.label)
        with Progress("pull", sum(map(len, missing.values())), "symbol-year", shown=show_progress) as progress:
            pull(source, cache, list(missing), years, progress.advance_by_rows)
    pulled = time.monotonic()
    markets = [prepared(cache, symbol, years) for symbol in symbols]
    _require_history(plan, markets)
    return markets, Times(pull=pulled - began, build=time.monotonic() - pulled)


def _require_history(plan: Plan, markets: Sequence[Prepared]) -> None:
    """Refuse predicates on a volatility history that a symbol lacks: they would hold on none of its days."""
    columns = sorted({column for predicate in plan.predicates for column in history_columns(predicate)})
    without = [market.symbol for market in markets if not len(market.open().history)] if columns else []
    if without:
        raise SourceError(
            f"predicates use {', '.join(columns)}, but the source has no volatility_history for {_listed(without)}; "
            "use iv_30, iv_rank or iv_percentile, which are computed from the chain"
        )


def _listed(symbols: Sequence[str]) -> str:
    more = f" and {len(symbols) - 8} more" if len(symbols) > 8 else ""
    return ", ".join(symbols[:8]) + more
