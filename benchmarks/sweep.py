"""A whole sweep from the shell to its written results, against the backtests alone; one worker against two."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import yaml

from benchmarks.measuring import MB, Row, run
from options_bt.data.cache.cache import Cache
from options_bt.data.prepare import Prepared, prepared
from options_bt.data.sources.factory import open_source
from options_bt.engine.backtest import run_metrics
from options_bt.engine.compiling import warm_up
from options_bt.job.load import load_job
from options_bt.job.planner import Plan

SYMBOLS = ("AAPL", "MSFT", "NVDA", "SPY")
CHUNK = 1000
_DTE = ("20-35", "21-30", "25-50", "30-45", "45-60")


def sweep_file(
    folder: Path, name: str, jobs: int, symbols: Sequence[str] = SYMBOLS, first_year: int = 2019, **more: object
) -> Path:
    """Write a job file of about so many backtests, of which metrics alone are kept; return its path.

    The axes are those of a user: delta and days to expiration first, then slippage and profit targets.
    """
    each = max(1, round(jobs / len(symbols)))
    deltas = min(5, each)
    dtes = min(5, max(1, each // deltas))
    slippages = min(100, max(1, each // (deltas * dtes)))
    targets = max(1, round(each / (deltas * dtes * slippages)))
    described = {
        "name": name,
        "source": "demo",
        "symbols": list(symbols),
        "period": {"start": f"{first_year}-01-01", "end": "2024-12-31"},
        "strategy": "put_credit_spread",
        "grid": {
            "delta": [0.15 + 0.025 * n for n in range(deltas)],
            "dte": list(_DTE[:dtes]),
            "profit_target": [0.25 + n / targets / 2 for n in range(targets)],
            "slippage": [n / slippages for n in range(slippages)],
        },
        "run": {"keep": "metrics"},
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(described | more, sort_keys=False))
    return path


def alone(job: Path, cache: Path, workers: int) -> float:
    """Return the seconds that a job's backtests take in so many processes at once: the engine and its metrics, no more.

    Making the specs, opening the markets and the start of the processes are not counted.
    """
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        parts = [pool.submit(_part_alone, job, cache, number, workers) for number in range(workers)]
        return max(part.result() for part in parts)


def _part_alone(job: Path, cache: Path, number: int, workers: int) -> float:
    warm_up()
    plan = Plan(load_job(job))
    took = 0.0
    for place, ready in enumerate(_markets(plan, cache)):
        market, first = ready.open(), place * plan.per_symbol
        for start in range(first + number * CHUNK, first + plan.per_symbol, workers * CHUNK):
            specs = plan[start : min(start + CHUNK, first + plan.per_symbol)]
            began = time.perf_counter()
            run_metrics(specs, market)
            took += time.perf_counter() - began
    return took


def _markets(plan: Plan, cache: Path) -> list[Prepared]:
    store = Cache(cache, open_source(plan.job.source).name)
    return [prepared(store, symbol, plan.years) for symbol in plan.job.symbols]


def sweep_rows(folder: Path, jobs: int) -> list[Row]:
    """Measure a sweep whose data are cached and whose markets are built."""
    job = sweep_file(folder, "sweep", jobs)
    count = len(Plan(load_job(job)))
    run(sweep_file(folder, "first", 100), folder, 1)
    kernel = alone(job, folder / "cache", 2)
    one, one_written = run(job, folder, 1)
    two, two_written = run(job, folder, 2)

    def row(what: str, took: float) -> Row:
        return Row(what, f"{took / kernel:.2f}", f"{took:.1f} s, {count / took:,.0f} a second")

    def memory(what: str, held: float) -> Row:
        return Row(what, "", f"{held / MB:,.0f} MB")

    return [
        row(f"{count:,} backtests of 4 symbols in two processes: the engine and metrics alone", kernel),
        row("`options-bt run` with two workers, from the shell to the written results", two_written),
        row("the same, to its end, with the report", two.seconds),
        row("`options-bt run` with one worker, from the shell to the written results", one_written),
        Row("two workers against one, to the written results", f"{one_written / two_written:.2f} times as fast", ""),
        memory("the coordinator of two workers at most, until the results were written", two.peak(until=two_written)),
        memory("the same, to its end, with the report", two.peak()),
        memory("what each of the two workers had for itself at most", two.peak("below") / 2),
        memory("the one process of one worker at most, until the results were written", one.peak(until=one_written)),
    ]
