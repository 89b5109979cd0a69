"""Measures speed and memory side by side, and saves a table of ratios: `make bench`.

Figures of one machine say little; what is compared here was measured in one run. The sizes are arguments.
"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numba
import numpy as np
import polars as pl

from benchmarks.alternatives import alternative_rows
from benchmarks.grid import grid_rows
from benchmarks.kernel import kernel_rows, yardstick_rows
from benchmarks.market import market_rows
from benchmarks.measuring import ROOT, Row
from benchmarks.sweep import sweep_rows
from options_bt.engine.compiling import warm_up

TABLE = ROOT / "benchmarks" / "table.md"
PAGE = ROOT / "docs" / "performance.md"
Themes = Mapping[str, Callable[[Path], Iterable[Row]]]


def themes(jobs: int, few: int, many: int, peer: str) -> Themes:
    """Return each part of the table, by its title: a function of a folder to work in."""
    return {
        "The engine": lambda folder: [*yardstick_rows(folder / "cache"), *kernel_rows(folder / "cache")],
        "The grid": grid_rows,
        "A long sweep": lambda folder: sweep_rows(folder, jobs),
        "A market": market_rows,
        "Beside other programs": lambda folder: alternative_rows(folder, few, many, peer),
    }


def table(titled: Mapping[str, Iterable[Row]]) -> str:
    """Return the table as text; it ends with what it was measured on."""
    lines = []
    for title, rows in titled.items():
        lines += [
            f"| {title} | ratio | figure |",
            "| --- | --- | --- |",
            *(f"| {' | '.join(row)} |" for row in rows),
            "",
        ]
    return "\n".join([*lines, machine(), ""])


def machine() -> str:
    """Return processor and versions in a line."""
    versions = f"Python {platform.python_version()}, polars {pl.__version__}, numpy {np.__version__}"
    return f"{versions}, numba {numba.__version__}; {os.cpu_count()} cores, {_processor()}."


def put_into_page(name: str, text: str, page: Path = PAGE) -> None:
    """Replace what a page has between the two marks of a name."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    head, _, rest = page.read_text().partition(begin)
    page.write_text(f"{head}{begin}\n{text}\n{end}{rest.partition(end)[2]}")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=200_000, help="backtests of the long sweep")
    parser.add_argument("--few", type=int, default=15, help="backtests that every program runs, up to fifteen")
    parser.add_argument("--many", type=int, default=15_000, help="backtests that options-bt runs beside them")
    parser.add_argument("--peer", default="", help="an interpreter that has optopsy and pyarrow")
    parser.add_argument("--only", help="the title of the only part to print; nothing is saved")
    sizes = parser.parse_args()
    warm_up()
    with TemporaryDirectory() as folder:
        wanted = themes(sizes.jobs, sizes.few, sizes.many, sizes.peer)
        titled = {title: list(rows(Path(folder))) for title, rows in wanted.items() if sizes.only in (None, title)}
    text = table(titled)
    print(text, end="")
    if sizes.only is None:
        TABLE.write_text(f"# What `make bench` measured\n\n{text}")
        put_into_page("table", text)


if __name__ == "__main__":
    main()
