"""The first section: the verdict, the best, what was run on what data, and how far its prices can be trusted."""

from __future__ import annotations

import polars as pl

from options_bt.analysis.formatting import cell_text, counted, data_text
from options_bt.analysis.overfitting.text import verdict_text
from options_bt.analysis.ranking import KEY_METRICS
from options_bt.job.objectives import LOWER_IS_BETTER
from options_bt.report.parts import Facts, Section
from options_bt.report.quality import refusal_counts
from options_bt.report.run_data import RunData

_SIMULATED = "The prices are simulated: this page shows how the program works, and says nothing about any strategy."


def headline(data: RunData) -> Section:
    """Return the headline."""
    paragraphs = (_verdict(data), *_best(data), _what(data), _prices(data), data_text(data.run.info))
    note = _SIMULATED if data.simulated else ""
    return Section("headline", "In short", tuple(filter(None, paragraphs)), (_facts(data),), note)


def _verdict(data: RunData) -> str:
    if data.overfitting is not None:
        return verdict_text(data.overfitting)
    return (
        f"To see whether the best is better than luck: options-bt overfitting {data.run.path}" if data.finished else ""
    )


def _what(data: RunData) -> str:
    job = data.run.job
    axes = [f"{name} ({', '.join(map(_value, values))})" for name, values in job.grid if len(values) > 1]
    symbols = ", ".join(job.symbols[:8]) + (f" and {len(job.symbols) - 8} more" if len(job.symbols) > 8 else "")
    over = f" over {' and '.join(axes)}" if axes else ""
    windows = f" in {counted(len(data.run.plan.spans) // 2, 'walk-forward window')}" if job.windows else ""
    strategies = dict(job.grid).get("strategy", ())
    strategy = job.strategy.name if not strategies else counted(len(strategies), "strategy").replace("ys", "ies")
    return (
        f"{counted(data.total, 'backtest')} of {strategy} on {symbols}, {job.period.start} to {job.period.end}"
        f"{windows}{over}. {_state(data)}"
    )


def _value(value: object) -> str:
    return str(getattr(value, "name", value))


def _state(data: RunData) -> str:
    left = data.total - data.finished - data.failed
    if left:
        return f"The run is not finished: {counted(left, 'backtest')} to go; {data.failed:,} failed."
    return f"{counted(data.failed, 'backtest')} failed; the others are done." if data.failed else "All are done."


def _best(data: RunData) -> tuple[str, ...]:
    objective = data.objective
    if not data.finished:
        return ("No backtest is done, so there is nothing to rank.",)
    if not data.trade_count:
        reasons = refusal_counts(data)
        why = f" The most frequent reason was {next(iter(reasons))}, see Refusals." if reasons else ""
        return (f"No backtest made a single trade.{why}",)
    if data.median is None:
        return (f"{objective} is undefined for every backtest, so there is no best one.",)
    best = data.top.row(0, named=True)
    others = [name for name in KEY_METRICS[:6] if name != objective and best[name] is not None]
    figures = ", ".join(f"{name} {cell_text(name, best[name])}" for name in [objective, *others])
    text = f"Best by {objective}: {data.name(best['job'])} with {figures}."
    return (text,) if data.finished == 1 else (text, _field(data))


def _field(data: RunData) -> str:
    """Return how the best compares with all the others."""
    objective = data.objective
    losers = data.done.select((pl.col("total_pnl") < 0).sum()).collect().item()
    side = "lowest" if objective in LOWER_IS_BETTER else "highest"
    return (
        f"It is the {side} of {data.finished:,}: their median {objective} is {cell_text(objective, data.median)}, and "
        f"{losers:,} of them lost money."
    )


def _prices(data: RunData) -> str:
    sources = data.price_sources
    if sources is None:
        return ""
    high = " These shares are high: compare with a run with `unquoted: hold` to see how much depends on them."
    advice = high if sources.is_high else ""
    return (
        f"On {sources.stale:.1%} of the days of open positions a leg had neither a quote nor a modelled price, so the "
        f"position kept its last prices and could not be closed; on {sources.modelled:.1%} the price of a leg was "
        f"modelled, and {sources.modelled_exits:.1%} of the trades ended at such a price.{advice}"
    )


def _facts(data: RunData) -> Facts:
    objective = data.objective
    facts = [("backtests done", f"{data.finished:,} of {data.total:,}")]
    if data.finished and data.top[objective][0] is not None:
        facts += [(f"best {objective}", cell_text(objective, data.top[objective][0]))]
        facts += [(f"median {objective}", cell_text(objective, data.median))] if data.finished > 1 else []
    facts += [("trades", f"{data.trade_count:,}")] if data.finished else []
    if sources := data.price_sources:
        facts += [("stale prices", f"{sources.stale:.0%}"), ("modelled exits", f"{sources.modelled_exits:.0%}")]
    return Facts(tuple(facts))
