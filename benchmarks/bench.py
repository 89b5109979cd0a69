"""Measures speed in one run and saves it as a table of ratios: `make bench`.

Timings of one machine say little; what is compared here was measured side by side, the best of several goes each.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.yardstick import yardstick
from options_bt.analysis.opened import open_run
from options_bt.data.cache import Cache
from options_bt.data.prepare import prepared, pull
from options_bt.data.source import open_source
from options_bt.engine.backtest import run_backtest, run_metrics
from options_bt.engine.frames import equity_table, trades_table
from options_bt.engine.warm_up import warm_up
from options_bt.job.load import load_job
from options_bt.job.planner import Plan

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "benchmarks" / "table.md"
COLUMNS = ("date", "expiration", "strike", "right", "bid", "ask", "delta", "iv")
GOES = 5
HUNDRED = (
    "delta=[0.12, 0.15, 0.18, 0.20, 0.22, 0.25, 0.28, 0.30, 0.32, 0.35]",
    "dte=[21-30, 30-45, 45-60, 25-40, 35-50, 20-50, 30-60, 40-60, 21-45, 28-42]",
)
"""A grid of a hundred jobs."""


def seconds(action: Callable[[], object], goes: int = GOES) -> float:
    """Give the shortest of several goes."""
    best = float("inf")
    for _ in range(goes):
        started = time.perf_counter()
        action()
        best = min(best, time.perf_counter() - started)
    return best


def kernel_rows(folder: Path) -> list[tuple[str, str, str]]:
    """Measure single backtests on the sparse and the dense market, in this process."""
    rows = []
    for text in ("demo", "demo?profile=dense"):
        source = open_source(text)
        plan = Plan(load_job(ROOT / "jobs" / "grid.yaml", symbols=["SPY"]))
        store = Cache(folder / "cache", source.name)
        pull(source, store, ["SPY"], plan.years, lambda symbol_years, count, what: None)
        market = prepared(store, "SPY", plan.years).open()
        outcomes = [(str(number), run_backtest(spec, market)) for number, spec in enumerate(plan)]
        alone = seconds(lambda plan=plan, market=market: [run_backtest(spec, market) for spec in plan])  # type: ignore[misc]  # a lambda's defaults have no type
        tables = seconds(lambda outcomes=outcomes: (trades_table(outcomes), equity_table(outcomes)))  # type: ignore[misc]  # likewise
        rate, trades = len(plan) / alone, sum(len(outcome.trades) for _, outcome in outcomes)
        what = f"{text}: {market.rows:,} quotes, {trades // len(plan)} trades a backtest"
        rows.append((what, f"{rate:,.0f} backtests/s on one core", f"{1e6 * alone / len(plan):,.0f} us each"))
        rows.append((f"{text}: their tables", f"{tables / alone:.2f} x the backtests", ""))
    return rows


def yardstick_rows(folder: Path) -> list[tuple[str, str, str]]:
    """Measure the engine against the yardstick on the dense market; both must make the same trades."""
    source = open_source("demo?profile=dense")
    plan = Plan(load_job(ROOT / "jobs" / "grid.yaml", symbols=["SPY"], overrides=["unquoted=hold"]))
    store = Cache(folder / "cache", source.name)
    pull(source, store, ["SPY"], plan.years, lambda symbol_years, count, what: None)
    market = prepared(store, "SPY", plan.years).open()
    outcomes = [run_backtest(spec, market) for spec in plan]
    for outcome in outcomes:
        profits, equity = yardstick(outcome.spec, market)
        if not (np.allclose(profits, outcome.trades.pnl) and np.allclose(equity, outcome.equity)):
            raise SystemExit("the yardstick makes other trades than the engine")
    hundred = Plan(load_job(ROOT / "jobs" / "grid.yaml", symbols=["SPY"], overrides=["unquoted=hold", *HUNDRED]))
    specs = list(hundred)
    alone, whole, together = (
        1e6 * seconds(action) / len(specs)
        for action in (
            lambda: [yardstick(spec, market) for spec in specs],
            lambda: [run_backtest(spec, market).metrics for spec in specs],
            lambda: run_metrics(specs, market),
        )
    )
    return [
        (
            f"a hard-wired put spread in numba, without rules, counters or metrics: {len(specs)} dense backtests",
            "1",
            f"{alone:.0f} us each",
        ),
        ("the engine, the same trades, one backtest at a time", f"{whole / alone:.2f}", f"{whole:.0f} us each"),
        ("the engine, all of them together", f"{together / alone:.2f}", f"{together:.0f} us each"),
    ]


def grid_rows(folder: Path) -> list[tuple[str, str, str]]:
    """Measure the warm grid from the shell against a fresh Python that reads the same columns."""
    command = [
        str(Path(sys.executable).parent / "options-bt"),
        "run",
        str(ROOT / "jobs" / "grid.yaml"),
        "--fresh",
        "-q",
    ]
    places = {"OPTIONS_BT_RUNS": str(folder / "runs"), "OPTIONS_BT_CACHE": str(folder / "cache")}

    def run(*more: str) -> None:
        subprocess.run([*command, *more], env=os.environ | places, check=True, capture_output=True)

    run()
    files = sorted(str(path) for path in (folder / "cache" / "demo" / "chain").glob("*/*.parquet"))
    read = f"import polars as pl; [pl.read_parquet(f, columns={list(COLUMNS)}) for f in {files}]"
    reading = seconds(lambda: subprocess.run([sys.executable, "-c", read], check=True))
    one = seconds(lambda: run("--workers", "1"))
    two = seconds(lambda: run("--workers", "2"))
    again = seconds(
        lambda: subprocess.run([*command[:3], "-q"], env=os.environ | places, check=True, capture_output=True)
    )
    jobs = open_run(folder / "runs" / "grid").results().height
    return [
        (f"a fresh Python that imports polars and reads the {len(files)} files of the grid", "1", f"{reading:.2f} s"),
        (f"the warm grid, {jobs} backtests, in one process", f"{one / reading:.2f}", f"{one:.2f} s"),
        ("the same with two worker processes", f"{two / reading:.2f}", f"{two:.2f} s"),
        ("the same when everything is done already", f"{again / reading:.2f}", f"{again:.2f} s"),
    ]


def sweep_rows(folder: Path) -> list[tuple[str, str, str]]:
    """Measure a sweep of some thousand jobs with one and two workers."""
    job = ROOT / "jobs" / "grid.yaml"
    axes = ["--set", f"slippage={[n / 20 for n in range(20)]}", "--set", "profit_target=[0.25, 0.5, 0.75]"]
    places = {"OPTIONS_BT_RUNS": str(folder / "runs"), "OPTIONS_BT_CACHE": str(folder / "cache")}
    command = [
        str(Path(sys.executable).parent / "options-bt"),
        "run",
        str(job),
        *axes,
        "--name",
        "sweep",
        "--fresh",
        "-q",
    ]

    def run(workers: str) -> None:
        subprocess.run([*command, "--workers", workers], env=os.environ | places, check=True, capture_output=True)

    one, two = seconds(lambda: run("1"), 2), seconds(lambda: run("2"), 2)
    jobs = open_run(folder / "runs" / "sweep").results().height
    return [
        (f"a sweep of {jobs:,} backtests with all trades and equity, one process", "1", f"{jobs / one:,.0f} a second"),
        ("the same with two workers", f"{one / two:.2f} times as fast", f"{jobs / two:,.0f} a second"),
    ]


def main() -> None:
    """Measure, print and save."""
    warm_up()
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            *yardstick_rows(Path(folder)),
            *kernel_rows(Path(folder)),
            *grid_rows(Path(folder)),
            *sweep_rows(Path(folder)),
        ]
    lines = ["# What `make bench` measured", "", "| what | ratio or rate | time |", "| --- | --- | --- |"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    lines += [
        "",
        f"Python {platform.python_version()}, polars {pl.__version__}, {os.cpu_count()} cores, {_processor()}.",
    ]
    text = "\n".join(lines) + "\n"
    TABLE.write_text(text)
    print(text, end="")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


if __name__ == "__main__":
    main()
