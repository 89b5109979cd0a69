"""How time and memory grow with jobs, symbols, quotes a day and workers: `make bench-growth`.

Saves growth.csv and growth.md beside itself, a picture of each axis in docs/images, and the summary in
docs/performance.md. The largest sizes are arguments.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from math import isnan, log, nan
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import polars as pl

from benchmarks.bench import machine, put_into_page
from benchmarks.chains import YEAR, write_chain
from benchmarks.measuring import MB, OPTIONS_BT, ROOT, observed, run, tenths
from benchmarks.sweep import sweep_file
from options_bt.engine.compiling import warm_up
from options_bt.report.images import draw
from options_bt.report.parts import Chart

POINTS = ROOT / "benchmarks" / "growth.csv"
TEXT = ROOT / "benchmarks" / "growth.md"
IMAGES = ROOT / "docs" / "images"
JOBS = tuple(10**power for power in range(2, 7))
COUNTS = (1, 5, 20, 100, 500)
ROWS = (200, 500, 1000, 2000, 5000, 10_000)
WORKERS = (1, 2, 4)
_SIM = tuple(f"SIM{number:03d}" for number in range(1, 501))

AXES = {
    "jobs": "backtests of 4 symbols, 2 workers",
    "symbols pulled": "simulated symbols, pulled and built into markets",
    "symbols": "simulated symbols, 100 backtests of each, 2 workers",
    "quotes pulled": "quotes a day of a year of one symbol, pulled and built",
    "quotes": "quotes a day of a year of one symbol, 2,000 backtests, 1 worker",
    "workers": "workers, as many backtests of 4 symbols",
}


class Point(NamedTuple):
    """One measurement: seconds from the shell to the written results, and the most memory until then in MB.

    `peak` is what the coordinator held, `whole` what all processes held together, with what they share divided;
    `first` and `last` are the backtests a second of the first and the last tenth of the run, NaN where it is short.
    """

    axis: str
    size: int
    seconds: float
    peak: float
    whole: float
    first: float = nan
    last: float = nan


def ran(axis: str, size: int, job: Path, folder: Path, workers: int) -> Point:
    """Measure a run."""
    told, written = run(job, folder, workers)
    rates = tenths(folder / "runs" / job.stem / "ledger.sqlite")
    peak, whole = told.peak(until=written) / MB, told.peak("whole", written) / MB
    return Point(axis, size, written, peak, whole, *rates)


def pulled(axis: str, size: int, job: Path, folder: Path) -> Point:
    """Measure the pull of a job's data, and the build of its markets."""
    told = observed([OPTIONS_BT, "data", "pull", str(job)], folder)
    return Point(axis, size, told.seconds, told.peak() / MB, told.peak("whole") / MB)


def points(folder: Path, jobs: int, symbols: int, rows: int, workers: int) -> Iterator[Point]:
    """Measure every axis up to a size."""
    ran("", 0, sweep_file(folder, "first", 100), folder, 1)
    for size in (size for size in JOBS if size <= jobs):
        yield ran("jobs", size, sweep_file(folder, "jobs", size), folder, 2)
    for size in (size for size in WORKERS if size <= workers):
        yield ran("workers", size, sweep_file(folder, "workers", min(jobs, 100_000)), folder, size)
    for size in (size for size in COUNTS if size <= symbols):
        place = folder / f"symbols-{size}"
        place.mkdir()
        job = sweep_file(place, "symbols", 100 * size, _SIM[:size], YEAR)
        yield pulled("symbols pulled", size, job, place)
        yield ran("symbols", size, job, place, 2)
    for size in (size for size in ROWS if size <= rows):
        place = folder / f"rows-{size}"
        write_chain(place / "data", size)
        wide: dict[str, Any] = {"source": f"files:{place / 'data'}", "params": {"width": 15}}
        job = sweep_file(place, "rows", 2000, ("SPY",), YEAR, **wide)
        yield pulled("quotes pulled", size, job, place)
        yield ran("quotes", size, job, place, 1)


def summary(table: pl.DataFrame) -> str:
    """Return a table of all points, and in a line each how the last steps of every axis grew."""
    lines = ["| axis | size | seconds | coordinator | all processes |", "| --- | ---: | ---: | ---: | ---: |"]
    for axis, size, seconds, peak, whole, _, _ in table.iter_rows():
        lines.append(f"| {axis} | {size:,} | {seconds:,.1f} | {peak:,.0f} MB | {whole:,.0f} MB |")
    lines.append("")
    for axis in AXES:
        if (line := _growth(axis, table.filter(pl.col("axis") == axis))) is not None:
            lines.append(line)
    return "\n".join([*lines, ""])


def _growth(axis: str, table: pl.DataFrame) -> str | None:
    if table.height < 2:
        return None
    if axis == "workers":
        return _workers(table)
    old, new = (Point(*row) for row in table.tail(2).iter_rows())
    by = new.size / old.size
    line = (
        f"- **{axis}** ({AXES[axis]}): from {old.size:,} to {new.size:,}, {by:g} times as many, the time grew "
        f"{new.seconds / old.seconds:.2f} times (as the power {log(new.seconds / old.seconds) / log(by):.2f}), "
        f"the coordinator's memory {new.peak / old.peak:.2f} times."
    )
    if not isnan(new.first):
        line += f" The last tenth went at {new.last / new.first:.2f} times the speed of the first."
    return line


def _workers(table: pl.DataFrame) -> str:
    one, *others = (Point(*row) for row in table.iter_rows())
    line = f"- **workers** ({AXES['workers']}): " + ", ".join(
        f"{point.size} were {one.seconds / point.seconds:.2f} times as fast as one" for point in others
    )
    if len(others) > 1:  # one worker is in the coordinator's own process
        few, many = others[0], others[-1]
        line += f". Each process above {few.size} took {(many.whole - few.whole) / (many.size - few.size):.0f} MB"
    return f"{line}."


def chart(axis: str, table: pl.DataFrame) -> Chart:
    """Return time, logarithmic, and memory of an axis by size, beside a line of what is linear."""
    sizes, seconds = table["size"].to_list(), table["seconds"].to_list()
    trace = {"type": "scatter", "x": sizes}
    straight = [seconds[-1] * size / sizes[-1] for size in sizes]
    data = [
        trace | {"y": seconds, "name": "seconds", "mode": "lines+markers"},
        trace | {"y": straight, "name": "linear", "mode": "lines", "line": {"dash": "dot", "color": "#888"}},
        trace | {"y": table["peak"].to_list(), "name": "MB of the coordinator", "mode": "lines+markers", "yaxis": "y2"},
    ]
    layout = {
        "height": 320,
        "margin": {"l": 60, "r": 60, "t": 20, "b": 50},
        "plot_bgcolor": "white",
        "xaxis": {"type": "log", "title": {"text": AXES[axis]}, "gridcolor": "#ddd", "tickvals": sizes},
        "yaxis": {"type": "log", "title": {"text": "seconds"}, "gridcolor": "#ddd", "dtick": 1},
        "yaxis2": {
            "title": {"text": "MB"},
            "overlaying": "y",
            "side": "right",
            "rangemode": "tozero",
            "tickmode": "auto",
        },
        "legend": {"orientation": "h", "y": 1.1},
    }
    figure = {"data": data, "layout": layout}
    return Chart(f"growth-{axis.replace(' ', '-')}", f"Growth by {axis}", AXES[axis], figure)


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=JOBS[-1], help="the most backtests")
    parser.add_argument("--symbols", type=int, default=COUNTS[-1], help="the most symbols")
    parser.add_argument("--rows", type=int, default=ROWS[-1], help="the most quotes a day")
    parser.add_argument("--workers", type=int, default=WORKERS[-1], help="the most workers")
    parser.add_argument("--dry", action="store_true", help="print only; save nothing")
    sizes = parser.parse_args()
    warm_up()
    found = []
    with TemporaryDirectory() as folder:
        for point in points(Path(folder), sizes.jobs, sizes.symbols, sizes.rows, sizes.workers):
            print(*point, flush=True)
            found.append(point)
    table = pl.DataFrame(found, orient="row", schema=list(Point._fields))
    if sizes.dry:
        print(summary(table), end="")
    else:
        table.write_csv(POINTS, float_precision=3)
        save(pl.read_csv(POINTS))


def save(table: pl.DataFrame) -> None:
    """Print and save what is told of the saved points, and their pictures."""
    text = f"{summary(table)}\n{machine()}\n"
    print(text, end="")
    TEXT.write_text(f"# What `make bench-growth` measured\n\n{text}")
    put_into_page("growth", text)
    IMAGES.mkdir(exist_ok=True)
    axes = [axis for axis in AXES if table.filter(pl.col("axis") == axis).height]
    draw([chart(axis, table.filter(pl.col("axis") == axis)) for axis in axes], IMAGES, "svg")


if __name__ == "__main__":
    main()
