from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import mysql.connector
import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from options_bt.data.cache.cache import Cache
from options_bt.data.cache.pulling import pull_symbol
from options_bt.data.sources.factory import open_source
from options_bt.data.sources.files import FilesSource
from options_bt.data.sources.mysql import server as mysql_server
from options_bt.data.sources.mysql.dolt import DoltSource
from options_bt.data.sources.source import CHAIN_COLUMNS, GREEKS, Source, require_symbols
from options_bt.errors import SourceError
from tests.data.servers import SERVERS, Server, free_port

pytestmark = pytest.mark.server

PASSWORD = "s3cret/p@ss:w#rd?%"
QUOTED = "s3cret%2Fp%40ss%3Aw%23rd%3F%25"
SYMBOLS = ["A", "AAPL", "BRK.B", "F", "GM", "KO", "MSFT", "NVDA", "SPY", "X"]
DAYS = [date(2023, 1, 2) + timedelta(7 * week + day) for week in range(52) for day in (0, 2, 4)] + [date(2024, 2, 29)]
NUMBERS = ("bid", "ask", "vol", *GREEKS[1:])
SCHEMA = {"date": pl.Date, "expiration": pl.Date, "strike": pl.Float64, "right": pl.String} | dict.fromkeys(
    ("bid", "ask", *GREEKS), pl.Float64
)
KEY = ["date", "expiration", "strike", "right"]
CHAIN_TABLE = """CREATE TABLE option_chain (`date` date NOT NULL, act_symbol varchar(64) NOT NULL,
    expiration date NOT NULL, strike decimal(10,2) NOT NULL, call_put varchar(64) NOT NULL, bid decimal(7,2),
    ask decimal(7,2), vol decimal(5,4), delta decimal(5,4), gamma decimal(5,4), theta decimal(5,4),
    vega decimal(5,4), rho decimal(5,4), PRIMARY KEY (`date`, act_symbol, expiration, strike, call_put))"""
STOCKS_TABLES = (
    """CREATE TABLE ohlcv (`date` date NOT NULL, act_symbol varchar(64) NOT NULL, `open` decimal(14,4),
    high decimal(14,4), low decimal(14,4), `close` decimal(14,4), volume bigint, PRIMARY KEY (`date`, act_symbol))""",
    """CREATE TABLE split (act_symbol varchar(64) NOT NULL, ex_date date NOT NULL, to_factor decimal(10,5) NOT NULL,
    for_factor decimal(10,5) NOT NULL, PRIMARY KEY (act_symbol, ex_date))""",
)


def option_chain() -> pl.DataFrame:
    keys = pl.DataFrame({"date": DAYS})
    for column, values in {
        "act_symbol": SYMBOLS,
        "ahead": [14, 45],
        "strike": [7.5, 100.0, 1234.56],
        "call_put": ["Call", "Put"],
    }.items():
        keys = keys.join(pl.DataFrame({column: values}), how="cross")
    random = np.random.default_rng(1)
    numbers = {
        name: np.round(random.uniform(-1, 1, keys.height), 2 if name in ("bid", "ask") else 4) + 0.0 for name in NUMBERS
    }
    absent = {
        name: random.random(keys.height) < share for name, share in {"vol": 0.2, "delta": 0.1, "ask": 0.01}.items()
    }
    return keys.with_columns(
        expiration=pl.col("date") + pl.duration(days=pl.col("ahead")), **{n: pl.Series(v) for n, v in numbers.items()}
    ).select(
        *("date", "act_symbol", "expiration", "strike", "call_put"),
        *(pl.when(~pl.Series(absent[name])).then(name).alias(name) if name in absent else name for name in NUMBERS),
    )


def ohlcv() -> pl.DataFrame:
    random = np.random.default_rng(2)
    keys = pl.DataFrame({"date": [date(2019, 12, 31), *DAYS]}).join(pl.DataFrame({"act_symbol": SYMBOLS}), how="cross")
    prices = {name: np.round(random.uniform(1, 5000, keys.height), 4) for name in ("open", "high", "low", "close")}
    return keys.with_columns(volume=pl.lit(1000), **{n: pl.Series(v) for n, v in prices.items()}).select(
        "date", "act_symbol", "open", "high", "low", "close", "volume"
    )


def split() -> pl.DataFrame:
    days, to, per = [date(2020, 8, 31), date(2023, 7, 3)], [4.0, 1.5], [1.0, 10.0]
    return pl.DataFrame({"act_symbol": ["AAPL", "AAPL"], "ex_date": days, "to_factor": to, "for_factor": per})


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with SERVERS[request.param]() as server:
        quoted = PASSWORD.replace("'", "''")
        databases = ("options", "stocks", "bare", "odd", "vacant", "history")
        server.execute(*(f"CREATE DATABASE `{name}`" for name in databases))
        server.execute(CHAIN_TABLE, database="options")
        server.execute(CHAIN_TABLE, database="vacant")
        server.execute(*STOCKS_TABLES, database="stocks")
        server.execute(
            CHAIN_TABLE.replace("vega decimal(5,4), ", ""),
            "INSERT INTO option_chain (`date`, act_symbol, expiration, strike, call_put, bid, ask) "
            "VALUES ('2023-01-02', 'A', '2023-02-17', 5, ' PUT', 1, 2), "
            "('2023-01-02', 'A', '2023-02-17', 5, 'Swap', 1, 2)",
            "CREATE TABLE ohlcv (`date` date, act_symbol varchar(64), last_price decimal(14,4))",
            "CREATE TABLE history (`date` date)",
            database="odd",
        )
        server.execute(
            CHAIN_TABLE.replace("bid decimal(7,2)", "bidd decimal(7,2)"), "CREATE TABLE note (a int)", database="bare"
        )
        server.execute(
            CHAIN_TABLE,
            "CREATE TABLE volatility_history (`date` date, act_symbol varchar(64), PRIMARY KEY (`date`, act_symbol))",
            "INSERT INTO volatility_history VALUES ('2023-01-02', 'OLD'), ('2023-01-04', 'NEW')",
            "INSERT INTO option_chain (`date`, act_symbol, expiration, strike, call_put) "
            "VALUES ('2023-01-05', 'NEWEST', '2023-02-17', 5, 'Put')",
            database="history",
        )
        server.insert("options", "option_chain", option_chain().rows())
        server.insert("stocks", "ohlcv", ohlcv().rows())
        server.insert("stocks", "split", split().rows())
        server.execute(
            f"CREATE USER 'reader'@'%' IDENTIFIED BY '{quoted}'",
            f"CREATE USER 'narrow'@'%' IDENTIFIED BY '{quoted}'",
            *(f"GRANT SELECT ON `{name}`.* TO 'reader'@'%'" for name in databases),
            "GRANT SELECT ON `options`.* TO 'narrow'@'%'",
        )
        yield server


def url(server: Server, query: str = "", user: str = "reader", password: str = QUOTED) -> str:
    return f"mysql://{user}:{password}@127.0.0.1:{server.port}{query}"


@pytest.fixture
def source(server: Server) -> DoltSource:
    return DoltSource(url(server))


def rejection(text: str) -> str:
    """Return the error of asking for quotes, after a look for the password in it and in all that led to it."""
    with pytest.raises(SourceError) as raised:
        list(DoltSource(text).chain("A", [2023]))
    shown = "".join(traceback.format_exception(raised.value))
    error: BaseException | None = raised.value
    while error is not None:
        shown += repr(error)
        error = error.__context__
    assert "s3cret" not in shown and "w#rd" not in shown and "w%23rd" not in shown
    return str(raised.value)


def expected(symbol: str, year: int) -> pl.DataFrame:
    return (
        option_chain()
        .filter(pl.col("act_symbol") == symbol, pl.col("date").dt.year() == year)
        .rename({"vol": "iv"})
        .with_columns(right=pl.col("call_put").str.to_lowercase())
        .select(CHAIN_COLUMNS)
    )


def test_quotes_are_what_was_inserted(source: DoltSource) -> None:
    for symbol in ("A", "BRK.B"):
        frames = dict(source.chain(symbol, [2022, 2023, 2024]))
        assert sorted(frames) == [2023, 2024]
        for year, frame in frames.items():
            assert frame.schema == SCHEMA
            assert_frame_equal(frame.sort(KEY), expected(symbol, year).sort(KEY), check_exact=True)
    assert all(frames[2023][name].null_count() > 10 for name in ("iv", "delta"))
    assert list(source.chain("NONE", [2023])) == []


def test_closes_and_splits_are_what_was_inserted(source: DoltSource) -> None:
    closes = ohlcv().filter(act_symbol="AAPL").select("date", "close")
    assert_frame_equal(source.closes("AAPL").sort("date"), closes, check_exact=True)
    assert_frame_equal(source.splits("AAPL").sort("ex_date"), split().drop("act_symbol"), check_exact=True)
    assert source.splits("A").schema == split().drop("act_symbol").schema
    assert source.closes("NONE").is_empty()


def test_symbols_and_extent(source: DoltSource, server: Server) -> None:
    assert source.symbols() == SYMBOLS
    assert source.extent() == (DAYS[0], DAYS[-1])
    with pytest.raises(SourceError, match=r"APPL: no quotes \(did you mean 'AAPL'\?\)"):
        require_symbols(source, ["APPL"])
    empty = DoltSource(url(server, "?options=vacant"))
    assert empty.extent() is None and empty.symbols() == [] and list(empty.chain("A", [2023])) == []


def test_symbols_come_from_the_small_table_and_the_last_date(server: Server) -> None:
    assert DoltSource(url(server, "?options=history")).symbols() == ["NEW", "NEWEST", "OLD"]


def test_the_cache_holds_the_same_as_from_files(source: DoltSource, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for name, table in {"option_chain": option_chain(), "ohlcv": ohlcv(), "split": split()}.items():
        table.write_parquet(folder / f"{name}.parquet")
    sources: list[Source] = [source, FilesSource(str(folder), {})]
    pulled = [
        pull_symbol(Cache(tmp_path / "cache", place.name), place, "AAPL", [2023, 2024], lambda year, rows: None)
        for place in sources
    ]
    ours, theirs = ([(path, file.rows, file.content) for path, file in manifest.files()] for manifest in pulled)
    assert ours == theirs
    assert pulled[0].years[2023].rows == expected("AAPL", 2023).height


def test_a_year_is_read_by_look_ups(server: Server) -> None:
    query = "SELECT bid FROM option_chain WHERE date IN ('2023-01-02', '2023-01-04') AND act_symbol = 'KO'"
    if server.kind == "dolt":
        plan = str(server.execute(f"EXPLAIN PLAN {query}", database="options"))
        assert "IndexedTableAccess" in plan and plan.count("[KO, KO]") == 2
    else:
        (row,) = server.execute(f"EXPLAIN {query}", database="options")
        assert row[3] == "range" and row[5] == "PRIMARY" and int(row[8]) < 50


def test_the_version_changes_with_the_data(server: Server) -> None:
    before = DoltSource(url(server)).version
    row = ["2024-03-01", "A", "2024-03-15", "5", "Put", *[None] * 8]
    server.insert("options", "option_chain", [row])
    try:
        assert DoltSource(url(server)).version != before
    finally:
        server.execute("DELETE FROM option_chain WHERE `date` = '2024-03-01'", database="options")
    assert DoltSource(url(server)).version == before
    names = [part.partition(":")[0] for part in before.split()]
    assert names == (["option_chain", "ohlcv", "split"] if server.kind == "dolt" else ["unversioned-2024-02-29"])


@pytest.mark.parametrize(
    ("query", "user"), [("?stocks=nowhere", "reader"), ("", "narrow"), ("?stocks=vacant", "reader")]
)
def test_without_stocks_there_are_no_closes_and_one_warning(
    server: Server, query: str, user: str, caplog: pytest.LogCaptureFixture
) -> None:
    source = DoltSource(url(server, query, user))
    for _ in range(2):
        assert source.closes("AAPL").is_empty() and source.closes("AAPL").schema == {
            "date": pl.Date,
            "close": pl.Float64,
        }
        assert source.splits("AAPL").is_empty()
    assert source.version
    assert [sum(text in line for line in caplog.messages) for text in ("no closes", "no splits")] == [1, 1]
    assert "s3cret" not in caplog.text


def test_columns_that_are_missing(server: Server) -> None:
    assert "option_chain has no column 'bid' (did you mean 'bidd'" in (text := rejection(url(server, "?options=bare")))
    assert "act_symbol, expiration, strike, call_put, bidd, ask" in text
    odd = DoltSource(url(server, "?options=odd&stocks=odd"))
    (frame,) = (frame for _, frame in odd.chain("A", [2023]))
    assert frame.schema == SCHEMA and frame["vega"].null_count() == 2
    assert frame["right"].to_list() == ["put", None]
    with pytest.raises(SourceError, match=r"ohlcv has no column 'close'.*it has: date, act_symbol, last_price"):
        odd.closes("A")


def test_problems(server: Server) -> None:
    assert DoltSource(url(server)).problems() == []
    with pytest.raises(SourceError) as raised:
        DoltSource(url(server, "?options=bare&stocks=odd")).problems()
    at = f"at 127.0.0.1:{server.port}"
    assert (
        f"source: database bare {at}: option_chain has no column 'bid' (did you mean 'bidd'?); it has: date, "
        in str(raised.value)
    )
    assert f"database odd {at}: ohlcv has no column 'close'; it has: date, act_symbol, last_price" in str(raised.value)


def test_problems_without_stocks(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    source = DoltSource(url(server, user="narrow"))
    first, second = source.problems()
    assert first.endswith(". Without ohlcv closes are implied by put-call parity")
    assert second.endswith(". Without split no position can be followed across a split")
    assert source.closes("A").is_empty() and source.splits("A").is_empty()
    assert "Without" not in caplog.text and "no table" not in caplog.text


def test_a_table_that_is_missing(server: Server) -> None:
    text = rejection(url(server, "?options=stocks"))
    assert "database 'stocks' has no table 'option_chain'; it has: ohlcv, split" in text
    for ask in (DoltSource.extent, DoltSource.symbols, lambda source: source.version):
        with pytest.raises(SourceError, match="no table 'option_chain'"):
            ask(DoltSource(url(server, "?options=stocks")))


def test_a_database_that_is_missing(server: Server) -> None:
    for user in ("reader", "narrow"):
        text = rejection(url(server, "?options=nowhere", user))
        assert "no database 'nowhere'" in text and "options=NAME" in text


@pytest.mark.parametrize(("user", "password"), [("reader", "s3cretw%23rd"), ("nobody", QUOTED)])
def test_a_user_or_password_that_is_wrong(server: Server, user: str, password: str) -> None:
    assert f"127.0.0.1:{server.port}: the server rejects user '{user}'" in rejection(url(server, "", user, password))


def test_the_password_may_come_from_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"mysql://reader@127.0.0.1:{server.port}"
    monkeypatch.delenv("MYSQL_PWD", raising=False)
    assert "with no password (put one in the URL or in MYSQL_PWD)" in rejection(text)
    monkeypatch.setenv("MYSQL_PWD", PASSWORD)
    assert DoltSource(text).extent() == (DAYS[0], DAYS[-1])
    assert "s3cret" not in repr(vars(DoltSource(text)))


def test_the_password_may_come_from_the_option_file(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = f"mysql://reader@127.0.0.1:{server.port}"
    monkeypatch.delenv("MYSQL_PWD", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".my.cnf").write_text(f"!includedir /etc\n[client]\nuser=other\npassword='{PASSWORD}'\nquick\n")
    assert DoltSource(text).extent() == (DAYS[0], DAYS[-1])
    (tmp_path / ".my.cnf").write_text(f"password={PASSWORD}\n")
    with pytest.raises(SourceError, match=r"\.my\.cnf is not a MySQL option file") as raised:
        DoltSource(text)
    assert "s3cret" not in str(raised.value)


def test_the_slow_class_reads_the_same_and_is_named(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(mysql.connector, "connect", partial(mysql.connector.connect, use_pure=True))
    source = DoltSource(url(server))
    (frame,) = (frame for _, frame in source.chain("KO", [2023]))
    assert_frame_equal(frame.sort(KEY), expected("KO", 2023).sort(KEY), check_exact=True)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "reading with the slow MySQLConnection" in caplog.text


def test_a_connection_that_was_ended_is_made_again(server: Server) -> None:
    source = DoltSource(url(server))
    assert source.extent()
    for (process,) in server.execute("SELECT id FROM information_schema.processlist WHERE user = 'reader'"):
        server.execute(f"KILL {process}")
    assert source.extent()


def test_no_server() -> None:
    port = free_port()
    text = rejection(f"mysql://reader:{QUOTED}@127.0.0.1:{port}")
    assert f"127.0.0.1:{port}: no server answers; start one with `dolt sql-server --port {port}`" in text
    assert "no server answers" in rejection(f"mysql://reader:{QUOTED}@no-such-host.invalid")


@pytest.mark.parametrize(
    "text",
    [
        "mysql://reader:s3cret@127.0.0.1:port",
        "mysql://reader:s3cret@127.0.0.1:99999",
        "mysql://reader:s3cret@",
        "mysql://:s3cret@127.0.0.1",
        "mysql://127.0.0.1:3306",
        "mysql://reader:s3cret@[::1",
        "mysql://reader:s3cret/rest@127.0.0.1",
        "mysql://reader:s3cret#rest@127.0.0.1",
        "mysql://reader:a@b?s3cret=1@127.0.0.1",
        "mysql://reader:s3cret@127.0.0.1/options",
        "mysql:reader:s3cret@127.0.0.1",
        "mysql://reader:s3cret@127.0.0.1?option=a",
        "mysql://reader:s3cret@127.0.0.1?options=",
        "mysql://reader:s3cret@127.0.0.1?options=a`b",
        "mysql://reader:s3cret@127.0.0.1?options=..",
    ],
)
def test_a_url_that_is_malformed(text: str) -> None:
    assert "mysql://user[:password]@host[:port][?options=NAME&stocks=NAME&rates=NAME&as_of=REVISION" in rejection(text)


def test_names_hold_place_and_databases_but_no_secret() -> None:
    plain = open_source("mysql://me@127.0.0.1")
    assert (plain.name, plain.label) == ("mysql-127.0.0.1-3306-options", "database options at 127.0.0.1:3306")
    other = DoltSource(f"mysql://me:{QUOTED}@[::1]:3307?options=a-b&stocks=c")
    assert (other.name, other.label) == ("mysql-__1-3307-a-b+c", "database a-b at [::1]:3307")
    assert "me" not in other.name
    for shown in (repr(other), repr(vars(other)), other.name, other.label):
        assert "s3cret" not in shown


@pytest.mark.parametrize("code", [2006, 2013, 2055])
def test_a_connection_that_ends_during_a_query(server: Server, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    source = DoltSource(url(server))
    assert source.extent()

    def ended(self: object, size: int) -> None:
        raise mysql.connector.OperationalError(errno=code, msg=f"lost, {PASSWORD}")

    monkeypatch.setattr(mysql_server, "RETRY_WAITS", (0.01, 0.01))
    with server.connected() as connection:
        monkeypatch.setattr(type(connection.cursor(raw=True)), "fetchmany", ended)
    with pytest.raises(
        SourceError, match="lost connection to the server; check its log, then rerun the command"
    ) as raised:
        source.closes("A")
    assert "s3cret" not in str(raised.value)
    monkeypatch.undo()
    assert source.closes("A").height


def test_a_connection_that_drops_is_made_again_after_a_wait(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    source = DoltSource(url(server))
    whole = source.closes("A")
    monkeypatch.setattr(mysql_server, "RETRY_WAITS", (0.01, 0.02, 0.03))
    with server.connected() as connection:
        cursor = type(connection.cursor(raw=True))
    original, calls = cursor.fetchmany, 0

    def dropping(self: Any, size: int) -> Any:
        nonlocal calls
        calls += 1
        if calls in (1, 2):
            raise mysql.connector.OperationalError(errno=2013, msg="Lost connection")
        return original(self, size)

    monkeypatch.setattr(cursor, "fetchmany", dropping)
    assert source.closes("A").equals(whole)
    waits = [record.getMessage() for record in caplog.records if "trying again in" in record.getMessage()]
    assert [message.rpartition("trying again in ")[2] for message in waits] == ["0.01 s", "0.02 s"]


def test_a_revision_of_dolt_is_read_as_it_was(server: Server) -> None:
    if server.kind != "dolt":
        for key in ("as_of", "stocks_as_of"):
            source = DoltSource(url(server, f"?{key}=v1"))
            if key == "as_of":
                with pytest.raises(SourceError, match=r"no commit, branch or tag 'v1'.*only Dolt has them"):
                    source.extent()
            else:
                assert source.splits("A").height == 0
        return
    server.execute("CREATE DATABASE pinned")
    row = "INSERT INTO option_chain (`date`, act_symbol, expiration, strike, call_put) VALUES "
    server.execute(
        CHAIN_TABLE,
        row + "('2023-01-02', 'A', '2023-02-17', 5, 'Put')",
        "CALL DOLT_COMMIT('-Am', 'one')",
        "CALL DOLT_TAG('v1')",
        "CALL DOLT_BRANCH('old/one')",
        row + "('2023-01-04', 'A', '2023-02-17', 5, 'Put')",
        "CALL DOLT_COMMIT('-Am', 'two')",
        database="pinned",
    )
    server.execute("GRANT SELECT ON `pinned`.* TO 'reader'@'%'")
    (commit,) = server.execute("SELECT commit_hash FROM dolt_log ORDER BY date LIMIT 1 OFFSET 1", database="pinned")
    newest = DoltSource(url(server, "?options=pinned"))
    assert newest.extent() == (date(2023, 1, 2), date(2023, 1, 4))
    for revision in ("v1", "old/one", commit[0]):
        pinned = DoltSource(url(server, f"?options=pinned&as_of={revision}"))
        assert pinned.extent() == (date(2023, 1, 2), date(2023, 1, 2))
        assert pinned.version != newest.version
        assert pinned.name != newest.name
        assert "/" not in pinned.name
        (quotes,) = (frame for _, frame in pinned.chain("A", [2023]))
        assert quotes.height == 1
    with pytest.raises(SourceError, match="no commit, branch or tag 'v2'"):
        DoltSource(url(server, "?options=pinned&as_of=v2")).extent()
