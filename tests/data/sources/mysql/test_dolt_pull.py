from __future__ import annotations

import logging
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import mysql.connector
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from options_bt.analysis.formatting import data_text
from options_bt.analysis.run_reader import open_run
from options_bt.data.cache.cache import Cache
from options_bt.data.inventory import verified
from options_bt.data.prepare import pull
from options_bt.data.sources.mysql import access, dolt
from options_bt.data.sources.mysql import server as mysql_server
from options_bt.data.sources.mysql.access import DateRange, Scan, Table, scan_is_faster
from options_bt.data.sources.mysql.address import parse_address
from options_bt.data.sources.mysql.dolt import DoltSource
from options_bt.job.load import load_job
from options_bt.runner.run import run_job
from options_bt.runner.run_folder.folder import RunInfo
from tests.data.servers import SERVERS, Server
from tests.data.sources.mysql.test_dolt import CHAIN_TABLE, STOCKS_TABLES

pytestmark = pytest.mark.server

SYMBOLS = [f"S{number}" for number in range(8)]
YEARS = [2022, 2023]
DAYS = [date(2022, 11, 1) + timedelta(2 * number) for number in range(60)]
KEY = ["date", "expiration", "strike", "right"]


def quotes(days: Sequence[date], symbols: Sequence[str], bid: float = 1.0) -> list[tuple[object, ...]]:
    return [
        (day, symbol, day + timedelta(30), strike, right, bid, bid + 0.1, 0.2, 0.3, None, None, None, None)
        for day in days
        for symbol in symbols
        for strike in (90, 100.5)
        for right in ("Call", "Put")
    ]


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with SERVERS[request.param]() as server:
        server.execute("CREATE DATABASE options", "CREATE DATABASE stocks", "CREATE DATABASE rates")
        volatility = (
            "CREATE TABLE volatility_history (`date` date, act_symbol varchar(64), hv_current decimal(5,4), "
            "iv_current decimal(5,4), iv_year_high_date date, PRIMARY KEY (`date`, act_symbol))"
        )
        dividend = (
            "CREATE TABLE dividend (act_symbol varchar(64), ex_date date, amount decimal(10,5), "
            "PRIMARY KEY (act_symbol, ex_date))"
        )
        treasury = "CREATE TABLE us_treasury (`date` date PRIMARY KEY, `1_month` decimal(5,2), `10_year` decimal(5,2))"
        server.execute(CHAIN_TABLE, volatility, database="options")
        server.execute(*STOCKS_TABLES, dividend, database="stocks")
        server.execute(treasury, "INSERT INTO us_treasury VALUES ('2023-01-03', 4.17, NULL)", database="rates")
        server.insert("options", "option_chain", quotes(DAYS, SYMBOLS))
        days = [(day, symbol) for day in DAYS for symbol in SYMBOLS]
        server.insert("options", "volatility_history", [(*key, 0.2, None, "2022-01-03") for key in days])
        server.insert("stocks", "ohlcv", [(*key, 100, 101, 99, 100.25, 5) for key in days])
        server.execute("INSERT INTO dividend VALUES ('S1', '2022-12-01', 0.75)", database="stocks")
        if server.kind == "dolt":
            for name in ("options", "stocks", "rates"):
                server.execute("CALL DOLT_COMMIT('-Am', 'first')", database=name)
        yield server


def source_of(server: Server, query: str = "") -> DoltSource:
    return DoltSource(f"mysql://root@127.0.0.1:{server.port}{query}")


def pulled(server: Server, folder: Path, symbols: Sequence[str] = SYMBOLS, query: str = "") -> Cache:
    source = source_of(server, query)
    cache = Cache(folder, source.name)
    pull(source, cache, symbols, YEARS, lambda symbol_years, rows, what: None)
    return cache


def contents(cache: Cache) -> dict[str, str]:
    return {path: file.content for manifest in cache.manifests() for path, file in manifest.files()}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, list[date]]]:
    """Which symbols were looked up in which table on which days."""
    calls: list[tuple[str, str, list[date]]] = []
    original = access.rows_on

    def spying(server: Any, table: Table, symbol: str, days: Any) -> pl.DataFrame:
        listed = list(days)
        calls.append((table.name, symbol, listed))
        return original(server, table, symbol, listed)

    monkeypatch.setattr(dolt, "rows_on", spying)
    return calls


# --- Look-ups and scans ----------------------------------------------------------------------------


def test_a_scan_gives_what_look_ups_give(server: Server, tmp_path: Path) -> None:
    direct, scanned = source_of(server), source_of(server)
    scanned.prefetch(dict.fromkeys(SYMBOLS, YEARS), tmp_path, lambda symbol_years, rows: None)
    assert sorted(path.name for path in tmp_path.glob("*/*")) == ["ohlcv", "option_chain", "volatility_history"]
    for symbol in (SYMBOLS[0], SYMBOLS[-1], "NONE"):
        for (year, ours), (other, theirs) in zip(
            scanned.chain(symbol, YEARS), direct.chain(symbol, YEARS), strict=True
        ):
            assert year == other and ours.height > 0
            assert_frame_equal(ours.sort(KEY), theirs.sort(KEY), check_exact=True)
        assert_frame_equal(scanned.closes(symbol), direct.closes(symbol), check_exact=True)
        assert_frame_equal(
            scanned.optional_tables(symbol)["volatility"],
            direct.optional_tables(symbol)["volatility"],
            check_exact=True,
        )


def test_all_symbols_are_scanned_and_few_are_looked_up(
    server: Server, tmp_path: Path, asked: list[tuple[str, str, list[date]]]
) -> None:
    everything = pulled(server, tmp_path / "all")
    assert asked == []
    assert not (everything.folder / "scan").exists()
    assert scan_is_faster(4, 100_000, 2_000) is False
    assert scan_is_faster(1_900, 100_000, 2_000) is True
    alone = [pulled(server, tmp_path / "each", [symbol]) for symbol in SYMBOLS]
    assert contents(alone[0]) == contents(everything)


def test_progress_ends_at_the_whole_and_counts_every_row_once(server: Server, tmp_path: Path) -> None:
    source = source_of(server)
    reported: list[tuple[float, int, str]] = []
    pull(source, Cache(tmp_path, source.name), SYMBOLS, YEARS, lambda *what: reported.append(what))
    assert sum(share for share, _, _ in reported) == pytest.approx(len(SYMBOLS) * len(YEARS))
    assert sum(rows for _, rows, _ in reported) == len(quotes(DAYS, SYMBOLS))


def test_a_connection_that_drops_in_a_scan_costs_the_month(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Table("options", "option_chain", {"date": pl.Date, "bid": pl.Float64})
    monkeypatch.setattr(mysql_server, "RETRY_WAITS", (0.01,))
    monkeypatch.setattr(mysql_server, "FETCHED_ROWS", 100)
    with server.connected() as connection:
        cursor = type(connection.cursor(raw=True))
    original, calls = cursor.fetchmany, 0

    def dropping(self: Any, size: int) -> Any:
        nonlocal calls
        calls += 1
        if calls == 9:
            raise mysql.connector.OperationalError(errno=2013, msg="Lost connection")
        return original(self, size)

    monkeypatch.setattr(cursor, "fetchmany", dropping)
    scan = Scan(mysql_server.Server(parse_address(f"mysql://root@127.0.0.1:{server.port}")), table, tmp_path)
    scan.read_year(2022, DateRange(DAYS[0], DAYS[-1]).within(2022), lambda share, rows: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2022-11.parquet", "2022-12.parquet"]
    whole = sum(day.year == 2022 for day in DAYS) * 4
    assert [scan.rows(symbol, 2022).height for symbol in SYMBOLS] == [whole] * len(SYMBOLS)


# --- Other tables ----------------------------------------------------------------------------------


def test_what_else_there_is_comes_along(server: Server, tmp_path: Path) -> None:
    cache = pulled(server, tmp_path, ["S1"])
    manifest = cache.manifest("S1")
    assert manifest is not None and set(manifest.optional_tables) == {"dividends", "volatility"}
    dividends = pl.read_parquet(cache.folder / "dividends/S1.parquet")
    assert dividends.rows() == [(date(2022, 12, 1), 0.75)]
    volatility = pl.read_parquet(cache.folder / "volatility/S1.parquet")
    assert volatility.height == len(DAYS) and volatility["hv_current"].unique().to_list() == [0.2]
    assert volatility["iv_current"].null_count() == volatility["iv_year_high"].null_count() == len(DAYS)
    rates = pl.read_parquet(cache.folder / "rates.parquet")
    assert rates.select("date", "1_month", "10_year").rows() == [(date(2023, 1, 3), 4.17, None)]
    assert source_of(server, "?rates=nowhere").rates() is None
    (cache.folder / "rates.parquet").write_bytes(b"broken")
    assert [path for path, _ in verified(tmp_path)[2]] == [str(cache.folder / "rates.parquet")]
    pulled(server, tmp_path, ["S2"])
    assert verified(tmp_path)[2] == []


# --- Versions --------------------------------------------------------------------------------------


of_dolt = pytest.mark.parametrize("server", ["dolt"], indirect=True)


@pytest.fixture
def history(server: Server) -> Iterator[Server]:
    """A Dolt server whose tables are afterwards as they were before."""
    ((before,),) = server.execute("SELECT HASHOF('HEAD')", database="options")
    yield server
    server.execute(f"CALL DOLT_RESET('--hard', '{before}')", database="options")


def commit(server: Server, *statements: str) -> str:
    server.execute(*statements, "CALL DOLT_COMMIT('-Am', 'more')", database="options")
    ((name,),) = server.execute("SELECT HASHOF('HEAD')", database="options")
    return str(name)


@of_dolt
def test_only_the_dates_that_changed_are_read(
    history: Server, tmp_path: Path, asked: list[tuple[str, str, list[date]]], caplog: pytest.LogCaptureFixture
) -> None:
    symbols = SYMBOLS[:2]
    cache = pulled(history, tmp_path, symbols)
    first = cache.manifest("S1")
    asked.clear()
    changed, gone, new = DAYS[5], DAYS[40], DAYS[-1] + timedelta(3)
    history.insert("options", "option_chain", quotes([new], ["S0"]))
    after = commit(
        history,
        f"UPDATE option_chain SET bid = 0.5 WHERE `date` = '{changed}' AND act_symbol = 'S0' AND strike = 90",
        f"DELETE FROM option_chain WHERE `date` = '{gone}' AND act_symbol = 'S0'",
    )
    pulled(history, tmp_path, symbols)
    chain = [(symbol, days) for table, symbol, days in asked if table == "option_chain"]
    assert chain == [("S0", [changed, gone, new]), ("S1", [])]
    assert [line for line in caplog.messages if "rewritten" in line] == [
        f"S0: the source has rewritten 1 cached date: {changed}; results on the old quotes differ",
        f"S0: the source has rewritten 1 cached date: {gone}; results on the old quotes differ",
    ]
    now = cache.manifest("S0"), cache.manifest("S1")
    assert first and now[0] and now[1]
    assert [manifest.revision for manifest in now if manifest] == [after, after]
    assert first.revision != after and first.years == now[1].years
    assert contents(cache) == contents(pulled(history, tmp_path / "fresh", symbols))
    assert verified(tmp_path)[2] == []


@of_dolt
def test_an_unchanged_table_is_not_read(
    history: Server, tmp_path: Path, asked: list[tuple[str, str, list[date]]]
) -> None:
    cache = pulled(history, tmp_path, ["S0"])
    asked.clear()
    pulled(history, tmp_path, ["S0"])
    assert asked == []
    manifest = cache.manifest("S0")
    ((commit_hash, table_hash),) = history.execute(
        "SELECT HASHOF('HEAD'), dolt_hashof_table('option_chain')", database="options"
    )
    assert manifest is not None
    assert manifest.revision == commit_hash
    assert manifest.version.startswith(f"option_chain:{table_hash} volatility_history:")


@of_dolt
def test_a_revision_that_is_gone_is_pulled_as_a_whole(history: Server, tmp_path: Path) -> None:
    cache = pulled(history, tmp_path, ["S0"])
    path = cache.folder / "manifest" / "S0.json"
    manifest = cache.manifest("S0")
    assert manifest is not None
    path.write_text(path.read_text().replace(manifest.revision, "0" * 32))
    commit(history, "UPDATE option_chain SET bid = 0.5 WHERE act_symbol = 'S0'")
    pulled(history, tmp_path, ["S0"])
    assert contents(cache) == contents(pulled(history, tmp_path / "fresh", ["S0"]))


@of_dolt
def test_uncommitted_changes_are_read_and_have_no_revision(history: Server, tmp_path: Path) -> None:
    history.execute("UPDATE option_chain SET bid = 0.25 WHERE act_symbol = 'S0'", database="options")
    cache = pulled(history, tmp_path, ["S0"])
    manifest = cache.manifest("S0")
    assert manifest is not None and manifest.revision == ""
    assert cache.chain(manifest, YEARS)["bid"].unique().to_list() == [0.25]


@of_dolt
def test_a_pinned_version_stays_as_it_was(history: Server, tmp_path: Path) -> None:
    history.execute("CALL DOLT_TAG('of-test')", database="options")
    before = contents(pulled(history, tmp_path / "before", ["S0"]))
    commit(history, "UPDATE option_chain SET bid = 0.5 WHERE act_symbol = 'S0'")
    pinned = contents(pulled(history, tmp_path / "pinned", ["S0"], "?as_of=of-test"))
    assert pinned == before != contents(pulled(history, tmp_path / "now", ["S0"]))
    history.execute("CALL DOLT_TAG('-d', 'of-test')", database="options")


# --- Kills and company -----------------------------------------------------------------------------

_PULL = """
import sys
from pathlib import Path
from options_bt.data.cache.cache import Cache
from options_bt.data.sources.mysql.address import parse_address
from options_bt.data.sources.mysql.dolt import DoltSource
from options_bt.data.prepare import pull
source = DoltSource(sys.argv[1])
print("ready", flush=True)
pull(source, Cache(Path(sys.argv[2]), source.name), sys.argv[3].split(","), [2022, 2023], lambda *reported: None)
"""


def pulling(server: Server, folder: Path, symbols: Sequence[str]) -> subprocess.Popen[bytes]:
    arguments = [f"mysql://root@127.0.0.1:{server.port}", str(folder), ",".join(symbols)]
    process = subprocess.Popen([sys.executable, "-c", _PULL, *arguments], stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline() == b"ready\n"
    return process


@pytest.mark.parametrize("count", [2, 8])
def test_a_pull_that_is_killed_again_and_again_ends_as_an_undisturbed_one(
    server: Server, tmp_path: Path, count: int
) -> None:
    moments, symbols = random.Random(count), SYMBOLS[:count]
    undisturbed = pulled(server, tmp_path / "undisturbed", symbols)
    cache = Cache(tmp_path / "killed", undisturbed.folder.name)
    for _ in range(5):
        process = pulling(server, tmp_path / "killed", symbols)
        time.sleep(moments.uniform(0, 0.4))
        process.kill()
        process.wait()
        assert verified(tmp_path / "killed")[2] == []
    pulled(server, tmp_path / "killed", symbols)
    assert contents(cache) == contents(undisturbed)
    assert verified(tmp_path / "killed")[2] == []
    assert list(cache.folder.rglob("*.tmp")) == []


def test_two_pulls_at_once_do_each_other_no_harm(server: Server, tmp_path: Path) -> None:
    undisturbed = pulled(server, tmp_path / "undisturbed")
    both = [pulling(server, tmp_path / "both", symbols) for symbols in (SYMBOLS[:6], SYMBOLS[2:])]
    assert [process.wait(60) for process in both] == [0, 0]
    cache = Cache(tmp_path / "both", undisturbed.folder.name)
    assert contents(cache) == contents(undisturbed)
    assert verified(tmp_path / "both")[2] == []


def test_a_pull_that_waits_for_another_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    holder = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import sys, time\nfrom pathlib import Path\nfrom options_bt.data.cache.cache import Cache\n"
            "with Cache(Path(sys.argv[1]), 'x').locked():\n    print(1, flush=True)\n    time.sleep(0.5)\n",
            str(tmp_path),
        ],
        stdout=subprocess.PIPE,
    )
    assert holder.stdout and holder.stdout.readline()
    with Cache(tmp_path, "x").locked():
        pass
    assert caplog.messages == [f"Another pull is writing to {tmp_path / 'x'}; waiting for it"]
    holder.wait()


# --- A run -----------------------------------------------------------------------------------------


def test_a_run_records_the_commit_and_the_closes_that_are_implied(server: Server, tmp_path: Path) -> None:
    def info(query: str) -> RunInfo:
        job = tmp_path / "job.yaml"
        job.write_text(
            f"name: job\nsource: mysql://root@127.0.0.1:{server.port}{query}\nsymbols: [S0]\n"
            "period: {start: 2022-11-01, end: 2023-02-01}\nstrategy: short_put\n"
        )
        summary = run_job(load_job(job), runs=tmp_path / f"runs{query}", cache=tmp_path / "cache", shown=False)
        return open_run(summary.path).info

    traded, implied = info(""), info("?stocks=nowhere")
    assert (len(traded.source_revision) == 32) == (server.kind == "dolt")
    assert traded.implied_closes == {} and "implied" not in data_text(traded)
    assert implied.implied_closes == {"S0": len(DAYS)}
    assert data_text(implied).splitlines()[1] == f"Closes implied by put-call parity: S0 on {len(DAYS)} days"
    if server.kind == "dolt":
        ((commit_hash,),) = server.execute("SELECT HASHOF('HEAD')", database="options")
        assert traded.source_revision == commit_hash
        assert data_text(traded) == f"Data: database options at 127.0.0.1:{server.port}, commit {commit_hash}"
