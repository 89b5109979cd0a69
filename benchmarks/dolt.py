"""Benchmark of the `mysql://` source against a real Dolt server: `make bench-dolt FOLDER=/a/folder/with/2/GB/free`.

Makes a database of ten million quotes of 600 symbols on 938 days once in the folder (15 minutes, 2 GB), serves it on
loopback, and compares access paths, transfers and memory side by side. `dolt` must be on the PATH.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from options_bt.data.cache.cache import Cache
from options_bt.data.prepare import pull
from options_bt.data.sources.mysql.access import DateRange, Table, date_condition, rows_on
from options_bt.data.sources.mysql.address import parse_address
from options_bt.data.sources.mysql.dolt import DoltSource
from options_bt.data.sources.mysql.server import Server
from options_bt.data.sources.schemas import CHAIN, CHAIN_GREEKS, Schema

TABLE = Path(__file__).with_name("dolt.md")
PORT = 33098
YEARS = range(2019, 2025)
DAYS = [day for day in DateRange(date(2019, 1, 1), date(2024, 12, 29)).dates() if day.weekday() in (0, 2, 4)]
BIG = [f"B{number:03}" for number in range(40)]
SMALL = [f"S{number:03}" for number in range(560)]
FOUR = [*BIG[:3], SMALL[100]]
MONTH, YEAR = DateRange(date(2021, 3, 1), date(2021, 3, 31)), DateRange(date(2021, 1, 1), date(2021, 12, 31))
CHAIN_SQL = """CREATE TABLE option_chain (date date NOT NULL, act_symbol varchar(64) NOT NULL, expiration date NOT NULL,
    strike decimal(7,2) NOT NULL, call_put varchar(64) NOT NULL, bid decimal(7,2), ask decimal(7,2), vol decimal(5,4),
    delta decimal(5,4), gamma decimal(5,4), theta decimal(5,4), vega decimal(5,4), rho decimal(5,4),
    PRIMARY KEY (date, act_symbol, expiration, strike, call_put))"""


# --- The database ----------------------------------------------------------------------------------


def quotes(day: date, random: np.random.Generator) -> pl.DataFrame:
    """Return the quotes of a day: 80 for each big symbol, 14 for each small one."""
    friday = day + timedelta((4 - day.weekday()) % 7 + 7)
    keys = [
        (symbol, friday + timedelta(14 * expiration), 90.0 + strike, right)
        for symbols, expirations, strikes in ((BIG, 4, 10), (SMALL, 1, 7))
        for symbol in symbols
        for expiration in range(expirations)
        for strike in range(strikes)
        for right in ("Call", "Put")
    ]
    frame = pl.DataFrame(keys, schema=["act_symbol", "expiration", "strike", "call_put"], orient="row")
    bid = np.round(random.uniform(0.05, 8, len(keys)), 2)
    greeks = {name: np.round(random.uniform(0.01, 0.9, len(keys)), 4) for name in CHAIN_GREEKS}
    return frame.select(
        pl.lit(day).alias("date"), pl.all(), pl.Series("bid", bid), pl.Series("ask", bid + 0.1).round(2)
    ).with_columns(**{name: pl.Series(values) for name, values in greeks.items()})


def make_database(folder: Path) -> None:
    """Write the quotes as CSV, import and commit them, unless that was done before."""
    clone = folder / "options"
    if (clone / ".complete").exists():
        return
    shutil.rmtree(clone, ignore_errors=True)
    clone.mkdir(parents=True)
    random = np.random.default_rng(1)
    with (folder / "chain.csv").open("wb") as file:
        for number, day in enumerate(DAYS):
            quotes(day, random).write_csv(file, include_header=not number)
    dolt(folder, "config", "--global", "--add", "user.name", "bench")
    dolt(folder, "config", "--global", "--add", "user.email", "bench@localhost")
    for arguments in (
        ("init",),
        ("sql", "-q", CHAIN_SQL),
        ("table", "import", "-u", "option_chain", str(folder / "chain.csv")),
        ("add", "-A"),
        ("commit", "-m", "quotes"),
    ):
        dolt(folder, *arguments, cwd=clone)
    (folder / "chain.csv").unlink()
    (clone / ".complete").touch()


def dolt(folder: Path, *arguments: str, cwd: Path | None = None) -> bytes:
    """Run dolt with a home folder of its own; return its output."""
    environment = os.environ | {"HOME": str(folder), "DOLT_ROOT_PATH": str(folder)}
    command = ["dolt", *arguments]
    return subprocess.run(command, cwd=cwd or folder, env=environment, check=True, capture_output=True).stdout


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the database on loopback; yield its URL."""
    command = ["dolt", "sql-server", "--host=127.0.0.1", f"--port={PORT}", f"--data-dir={folder}"]
    environment = os.environ | {"HOME": str(folder), "DOLT_ROOT_PATH": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        time.sleep(5)
        yield f"mysql://root@127.0.0.1:{PORT}"
    finally:
        process.terminate()
        process.wait()


# --- Measurements ----------------------------------------------------------------------------------

Row = tuple[str, int, float]
"""A name, the number of rows, seconds."""


def timed(name: str, read: Callable[[], int]) -> Row:
    """Return how many rows a function reads and how long it takes."""
    started = time.perf_counter()
    rows = read()
    row = name, rows, time.perf_counter() - started
    print(f"{name}: {rows:,} rows, {row[2]:.1f} s", flush=True)
    return row


def access_paths(url: str) -> tuple[list[Row], list[Row]]:
    """Measure ways to read four symbols for a year, and ways to read all symbols for a month."""
    table = Table("options", "option_chain", {**CHAIN, **CHAIN_GREEKS})
    all_columns: Schema = {"act_symbol": pl.String, **table.schema}

    def where(condition: str, *parameters: str, server: Server | None = None) -> int:
        server = server or Server(parse_address(url))
        return server.frame(table.database, table.name, all_columns, condition, *parameters).height

    def lookups(symbols: Sequence[str], days: DateRange) -> int:
        server = Server(parse_address(url))
        return sum(rows_on(server, table, symbol, days.dates()).height for symbol in symbols)

    def union(symbols: Sequence[str], days: DateRange) -> int:
        select = "SELECT * FROM option_chain WHERE date = '{}' AND act_symbol = '{}'"
        server = Server(parse_address(url))
        sql = [" UNION ALL ".join(select.format(day, symbol) for day in days.dates()) for symbol in symbols]
        return sum(len(server.query(table.database, text)) for text in sql)

    def threads(count: int, tasks: Sequence[Callable[[], int]]) -> int:
        with ThreadPoolExecutor(count) as pool:
            return sum(pool.map(lambda task: task(), tasks))

    between = f"date BETWEEN '{YEAR.first}' AND '{YEAR.last}'"
    listed = ", ".join(f"'{symbol}'" for symbol in FOUR)
    few = [
        timed("range of dates and the symbols", lambda: where(f"{between} AND act_symbol IN ({listed})")),
        timed("union of a SELECT per day and symbol", lambda: union(FOUR, YEAR)),
        timed(
            "look-ups, all symbols in one query",
            lambda: where(f"{date_condition(YEAR.dates())} AND act_symbol IN ({listed})"),
        ),
        timed("look-ups, a query per symbol", lambda: lookups(FOUR, YEAR)),
        timed(
            "the same over two connections",
            lambda: threads(2, [lambda symbol=symbol: lookups([symbol], YEAR) for symbol in FOUR]),  # type: ignore[misc]  # a lambda's default has no type
        ),
    ]
    halves = [DateRange(MONTH.first, date(2021, 3, 15)), DateRange(date(2021, 3, 16), MONTH.last)]
    many = [
        timed("look-ups, a query per symbol", lambda: lookups([*BIG, *SMALL], MONTH)),
        timed("scan by range of dates", lambda: where(f"date BETWEEN '{MONTH.first}' AND '{MONTH.last}'")),
        timed("scan by list of days", lambda: where(date_condition(MONTH.dates()))),
        timed(
            "the same over two connections",
            lambda: threads(2, [lambda half=half: where(date_condition(half.dates())) for half in halves]),  # type: ignore[misc]  # likewise
        ),
    ]
    return few, many


def growth(url: str) -> list[Row]:
    """Measure the look-ups of four symbols over one, two and six years of the same table."""
    source = DoltSource(url)
    return [
        timed(
            f"{years} year{'' if years == 1 else 's'}",
            lambda years=years: sum(  # type: ignore[misc]  # likewise
                frame.height for symbol in FOUR for _, frame in source.chain(symbol, YEARS[:years])
            ),
        )
        for years in (1, 2, 6)
    ]


def transfers(url: str, folder: Path) -> list[Row]:
    """Measure three readers of the same rows, a month of all symbols."""
    sql = f"SELECT * FROM option_chain WHERE {date_condition(MONTH.dates())}"

    def ours() -> int:
        table = Table("options", "option_chain", {"act_symbol": pl.String, **CHAIN, **CHAIN_GREEKS})
        frames = Server(parse_address(url)).frames(
            table.database, table.name, table.schema, date_condition(MONTH.dates())
        )
        return sum(frame.height for frame in frames)

    def csv() -> int:
        data = dolt(folder, "sql", "-r", "csv", "-q", sql, cwd=folder / "options")
        return pl.read_csv(data).height

    def connectorx() -> int:
        program = (
            "import connectorx, sys; print(connectorx.read_sql(sys.argv[1], sys.argv[2], return_type='polars').height)"
        )
        command = [sys.executable, "-c", program, f"mysql://root@127.0.0.1:{PORT}/options", sql]
        return int(subprocess.run(command, check=True, capture_output=True).stdout)

    rows = [timed("options-bt, to frames", ours), timed("`dolt sql -r csv`, read by polars", csv)]
    if importlib.util.find_spec("connectorx"):
        rows.append(timed("connectorx, to polars", connectorx))
    return rows


def memory(url: str) -> list[tuple[str, int, int]]:
    """Measure the peak memory of a process that pulls every symbol into a cache, by the number of rows."""
    found = []
    for years in (YEARS[:1], YEARS[:2], YEARS):
        with TemporaryDirectory() as cache:
            command = [sys.executable, __file__, "--pull", url, cache, *map(str, years)]
            rows, peak = map(int, subprocess.run(command, check=True, capture_output=True).stdout.split())
            print(f"pull of {rows:,} rows: {peak:,} kB", flush=True)
            found.append((f"{len(years)} of 6 years, 600 symbols", rows, peak))
    return found


def pull_all(url: str, cache: str, years: Sequence[int]) -> None:
    """Pull every symbol; print the rows and the peak memory in kilobytes."""
    if sys.platform == "win32":
        raise SystemExit("the peak memory is not measured on Windows")
    source = DoltSource(url)
    total = 0

    def progress(symbol_years: float, rows: int, note: str) -> None:
        nonlocal total
        total += rows

    pull(source, Cache(Path(cache), source.name), source.symbols(), years, progress)
    print(total, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


# --- The table -------------------------------------------------------------------------------------


def table_of(title: str, rows: Sequence[Row]) -> list[str]:
    """Return a Markdown table; the ratio is that to the first row's time per row."""
    first = rows[0][2] / rows[0][1]
    lines = ["", f"## {title}", "", "| how | rows | seconds | rows/s | times as fast as the first |"]
    lines.append("| --- | ---: | ---: | ---: | ---: |")
    for name, count, seconds in rows:
        ratio = first / (seconds / count)
        lines.append(f"| {name} | {count:,} | {seconds:.1f} | {count / seconds:,.0f} | {ratio:.2f} |")
    return lines


def main(folder: Path) -> None:
    """Measure, print and save."""
    logging.getLogger("options_bt").setLevel(logging.ERROR)  # else one line for every slow connection
    folder.mkdir(parents=True, exist_ok=True)
    make_database(folder)
    with served(folder) as url:
        few, many = access_paths(url)
        lines = ["# Results of `make bench-dolt`"]
        lines += table_of("Four symbols, one year, of 600 symbols on 938 days", few)
        lines += table_of("Every symbol, one month", many)
        lines += table_of("Look-ups of four symbols, by years", growth(url))
        lines += table_of("Readers of the same rows, one month of every symbol", transfers(url, folder))
        lines += ["", "## Memory of a pull of every symbol", "", "| pull | rows | peak MB |", "| --- | ---: | ---: |"]
        lines += [f"| {name} | {rows:,} | {peak / 1024:,.0f} |" for name, rows, peak in memory(url)]
    version = dolt(folder, "version").decode().splitlines()[0]
    lines += ["", f"{version}, {os.cpu_count()} cores, server and client on one machine."]
    TABLE.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    if sys.argv[1] == "--pull":
        pull_all(sys.argv[2], sys.argv[3], [int(year) for year in sys.argv[4:]])
    else:
        main(Path(sys.argv[1]))
