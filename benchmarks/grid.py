"""The warm grid from the shell, against a fresh Python that reads the same columns."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.measuring import OPTIONS_BT, ROOT, Row, observed, run
from options_bt.analysis.run_reader import open_run
from options_bt.data.market.building import MARKET_COLUMNS


def grid_rows(folder: Path, rounds: int = 5) -> list[Row]:
    """Measure the grid of `jobs/grid.yaml` when its market is built, with one and two workers, and when all is done."""
    command = [OPTIONS_BT, "run", str(ROOT / "jobs" / "grid.yaml"), "-q"]

    def best(*more: str) -> float:
        return min(observed([*command, *more], folder).seconds for _ in range(rounds))

    def best_until_written(workers: int) -> float:
        return min(run(ROOT / "jobs" / "grid.yaml", folder, workers)[1] for _ in range(rounds))

    observed([*command, "--fresh"], folder)
    files = sorted(str(path) for path in (folder / "cache" / "demo" / "chain").glob("*/*.parquet"))
    read = f"import polars as pl; [pl.read_parquet(f, columns={list(MARKET_COLUMNS)}) for f in {files}]"
    reading = min(observed([sys.executable, "-c", read], folder).seconds for _ in range(rounds))
    one, two, whole, again = best_until_written(1), best_until_written(2), best("--fresh"), best()
    jobs = open_run(folder / "runs" / "grid").results().height

    def row(what: str, took: float) -> Row:
        return Row(what, f"{took / reading:.2f}", f"{took:.2f} s")

    return [
        row(f"a fresh Python that imports polars and reads the {len(files)} files of the grid", reading),
        row(f"the warm grid, {jobs} backtests, in one process, until its results are written", one),
        row("the same with two worker processes", two),
        row("the same in one process, with its report", whole),
        row("the same when everything is done already", again),
    ]
