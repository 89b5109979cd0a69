from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import mysql.connector
import polars as pl
import pytest
from click.testing import CliRunner
from msgspec import structs

from options_bt.cli import cli
from options_bt.data.sources.factory import open_source
from options_bt.errors import SourceError
from options_bt.job.load import load_job
from options_bt.job.schema import JobFile
from options_bt.runner.preflight import data_checks
from options_bt.runner.preflight import doctor as doctor_module
from options_bt.runner.preflight.checks import Check, verdict
from options_bt.runner.preflight.doctor import doctor, memory_check, workers_check
from options_bt.runner.preflight.estimate import Estimate
from options_bt.runner.run import pull_job
from options_bt.runner.run_folder.folder import RunFolder
from tests.data.servers import SERVERS, Server, free_port
from tests.small_run import SmallRun, contents, job_of

CHAIN = {
    "date": ["2023-01-03", "2023-06-01"],
    "act_symbol": ["SPY", "SPY"],
    "expiration": ["2023-02-17", "2023-07-21"],
    "strike": ["380", "400"],
    "call_put": ["Put", "Call"],
    "bid": ["1.0", "1.1"],
    "ask": ["1.2", "1.3"],
    "delta": ["-0.2", "0.3"],
}
CHAIN_TABLE = """CREATE TABLE option_chain (`date` date, act_symbol varchar(64), expiration date, strike decimal(10,2),
    call_put varchar(64), bid decimal(7,2), ask decimal(7,2), delta decimal(5,4), PRIMARY KEY (`date`, strike))"""
A_ROW = "INSERT INTO option_chain VALUES ('2023-01-03', 'SPY', '2023-02-17', 380, 'Put', 1, 1.2, -0.2)"
INSIDE = {"start": "2023-01-03", "end": "2023-06-01"}


def checked(tmp_path: Path, job: JobFile | None = None, **entries: Any) -> list[Check]:
    """Check a job, and that no check leaves anything behind."""
    before = contents(tmp_path), set(tmp_path.rglob("*"))
    given = job or job_of(**entries)
    checks = list(doctor(lambda: given, runs=tmp_path / "runs", cache=tmp_path / "cache"))
    assert (contents(tmp_path), set(tmp_path.rglob("*"))) == before
    return checks


def of(checks: list[Check], name: str) -> Check:
    (found,) = (check for check in checks if check.name == name)
    return found


def text_of(checks: list[Check]) -> str:
    return "\n".join(map(str, checks))


def faults(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.text for check in checks if check.state == "failed"}


def warnings(checks: list[Check]) -> list[str]:
    """Return the warnings, but for that of a connector without its C extension: it depends on the machine."""
    found = [f"{check.name}: {check.text}" for check in checks if check.state == "warning"]
    return [text for text in found if "reading with the slow" not in text]


def files(folder: Path, **tables: dict[str, Any]) -> str:
    folder.mkdir()
    for name, columns in tables.items():
        pl.DataFrame(columns).write_csv(folder / f"{name}.csv")
    return f"files:{folder}"


# --- the job file ---------------------------------------------------------------------------------


def test_nothing_is_wrong_with_a_job_of_the_demo(tmp_path: Path) -> None:
    checks = checked(tmp_path)
    assert [check.name for check in checks] == [
        *("job file", "source", "period", "SPY", "cache", "runs", "engine", "memory", "workers")
    ]
    assert {check.state for check in checks} == {"ok"}
    assert of(checks, "SPY").text == "quotes, 502 closes in the period, 0 splits"
    assert of(checks, "cache").text.startswith(
        f"{tmp_path}/cache/demo will be created: 0 of 4 symbol-years are cached (0 quotes), 4 to pull, about 8 MB"
    )
    assert verdict(checks) == "0 failed, 0 warnings: ready to run"


def test_every_fault_of_a_job_file_is_a_check_and_the_folders_are_checked_still(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("name: bad\nsymbol: [SPY]\nperiod: {start: 2023-01-01, end: 2022-01-01}\ngrid: {delta: [7]}\n")
    answer = CliRunner().invoke(cli, ["doctor", str(path), "--runs", f"{tmp_path}/r", "--cache", f"{tmp_path}/c"])
    lines = answer.output.splitlines()
    assert answer.exit_code == 2
    assert lines[0] == (
        f"failed   job file  {path}: symbol: unknown key (did you mean 'symbols'?); allowed: name, symbols, period, "
        "source, columns, quick, strategy, grid, params, windows, objective, run"
    )
    assert sum(line.startswith("failed   job file") for line in lines) == 4
    assert f"ok       cache     {tmp_path}/c will be created" in lines
    assert f"ok       runs      {tmp_path}/r will be created" in lines
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["none.yaml"], "none.yaml: cannot be read: No such file or directory"),
        (["small.yaml", "--symbol", "SPYY"], '--symbol "SPYY" is not in the job file (did you mean'),
        (["small.yaml", "--set", "delat=1"], "--set delat: expected KEY=VALUE with a known KEY (did you mean 'delta'"),
    ],
    ids=["no file", "symbol", "set"],
)
def test_a_job_that_cannot_be_made_is_a_failed_check(small_run: SmallRun, arguments: list[str], text: str) -> None:
    command = ["doctor", str(small_run.jobfile.with_name(arguments[0])), *arguments[1:]]
    answer = CliRunner().invoke(cli, command)
    assert answer.exit_code == 2
    assert answer.output.startswith("failed   job file ")
    assert text in answer.output


def test_the_command_takes_what_run_takes(small_run: SmallRun, tmp_path: Path) -> None:
    options = ["--quick", "--symbol", "SPY", "--set", "delta=[0.1, 0.2, 0.3]", "--name", "mine", "--workers", "1"]
    places = ["--runs", str(tmp_path / "runs"), "--cache", str(small_run.cache)]
    answer = CliRunner().invoke(cli, ["doctor", str(small_run.jobfile), *options, *places])
    assert answer.exit_code == 0, answer.output
    assert "ok       job file  mine-quick: 3 backtests of 1 symbol, 2023-01-01 to 2024-12-31\n" in answer.output
    assert f"ok       runs      {tmp_path}/runs/mine-quick is free\n" in answer.output
    assert list(tmp_path.iterdir()) == []


# --- the data -------------------------------------------------------------------------------------


def test_each_unknown_symbol_fails_with_the_nearest(tmp_path: Path) -> None:
    found = faults(checked(tmp_path, symbols=["SPYY", "ZXJWV", "SPY"]))
    assert set(found) == {"SPYY", "ZXJWV"}
    assert found["SPYY"].startswith("no quotes (did you mean 'SPY'")
    assert found["ZXJWV"] == "no quotes; fix `symbols` (the source has 510)"


def test_a_period_partly_outside_is_a_warning_with_the_covered_part(tmp_path: Path) -> None:
    check = of(checked(tmp_path, period={"start": "2018-03-01", "end": "2020-12-31"}), "period")
    assert check.state == "warning"
    assert check.text.endswith(
        "has quotes from 2019-01-01 to 2024-12-31; only 2019-01-01 to 2020-12-31 will be backtested"
    )


@pytest.mark.parametrize("years", [(2010, 2012), (2025, 2026)], ids=["before", "after"])
def test_a_period_wholly_outside_fails(tmp_path: Path, years: tuple[int, int]) -> None:
    period = {"start": f"{years[0]}-01-01", "end": f"{years[1]}-12-31"}
    found = faults(checked(tmp_path, period=period))
    assert set(found) == {"period"}
    assert found["period"].endswith(
        "the source has quotes from 2019-01-01 to 2024-12-31; set `period` within these days"
    )


def test_files_without_closes_and_splits(tmp_path: Path) -> None:
    source = files(tmp_path / "data", option_chain=CHAIN)
    checks = checked(tmp_path, source=source, period=INSIDE)
    assert faults(checks) == {}
    assert warnings(checks) == [
        f"source: {tmp_path}/data has no ohlcv.parquet and no ohlcv.csv: closes are implied by put-call parity",
        f"source: {tmp_path}/data has no split.parquet and no split.csv: no position can be followed across a split",
        "SPY: quotes, 0 splits, but no closes in the period: they are implied by put-call parity; "
        "add them to `ohlcv` for exact ones",
    ]


def test_files_with_everything(tmp_path: Path) -> None:
    closes = {"act_symbol": ["SPY"] * 3, "date": ["2022-06-01", "2023-01-03", "2023-01-04"], "close": [1.0, 2.0, 3.0]}
    splits = {"act_symbol": ["SPY"], "ex_date": ["2023-02-01"], "to_factor": [2], "for_factor": [1]}
    source = files(tmp_path / "data", option_chain=CHAIN, ohlcv=closes, split=splits)
    checks = checked(tmp_path, source=source, period=INSIDE)
    assert of(checks, "SPY").text == "quotes, 2 closes in the period, 1 split"
    assert {check.state for check in checks} == {"ok"}


def test_files_without_deltas(tmp_path: Path) -> None:
    source = files(tmp_path / "data", option_chain={name: values for name, values in CHAIN.items() if name != "delta"})
    assert warnings(checked(tmp_path, source=source, period=INSIDE))[0] == (
        f"source: {tmp_path}/data: option_chain has no column 'delta': legs chosen by delta find no quote"
    )


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"date": ["01/03/2023", "06/01/2023"]},
            "column 'date' starts with '01/03/2023'; allowed: dates as YYYY-MM-DD",
        ),
        ({"strike": ["$380", "$400"]}, "column 'strike' starts with '$380'; allowed: numbers"),
    ],
    ids=["dates", "numbers"],
)
def test_a_column_that_cannot_be_read_fails(tmp_path: Path, change: dict[str, Any], text: str) -> None:
    source = files(tmp_path / "data", option_chain=CHAIN | change)
    assert faults(checked(tmp_path, source=source)) == {"source": f"{tmp_path}/data/option_chain.csv: {text}"}


def test_numbers_as_dates_fail(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    pl.DataFrame(CHAIN | {"expiration": [20230217, 20230721]}).write_parquet(tmp_path / "data/option_chain.parquet")
    found = faults(checked(tmp_path, source=f"files:{tmp_path}/data"))
    assert "column 'expiration' starts with 20230217; allowed: dates as YYYY-MM-DD" in found["source"]


def test_files_that_lack_something_fail_and_the_rest_is_checked(tmp_path: Path) -> None:
    assert "there is no folder" in faults(checked(tmp_path, source=f"files:{tmp_path}/none"))["source"]
    source = files(tmp_path / "data", option_chain={name: values for name, values in CHAIN.items() if name != "bid"})
    checks = checked(tmp_path, source=source)
    assert "option_chain.csv has no column 'bid'" in faults(checks)["source"]
    assert [check.name for check in checks if check.state == "ok"] == [
        *("job file", "cache", "runs", "engine", "memory", "workers")
    ]
    assert warnings(checks) == ["symbols: not checked without a source: period, symbols, closes and splits"]


def test_files_without_a_date_fail(tmp_path: Path) -> None:
    source = files(tmp_path / "data", option_chain=CHAIN | {"date": [None, None]})
    assert "the source has no dated quotes" in faults(checked(tmp_path, source=source))["period"]


@pytest.fixture(scope="module", params=[pytest.param(kind, marks=pytest.mark.server) for kind in SERVERS])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with SERVERS[request.param]() as server:
        server.execute("CREATE DATABASE options", "CREATE DATABASE odd", "CREATE DATABASE stocks")
        server.execute(CHAIN_TABLE, A_ROW, database="options")
        wrong = CHAIN_TABLE.replace("bid decimal(7,2)", "bidd int").replace("expiration date", "expiration int")
        server.execute(wrong, database="odd")
        server.execute("CREATE TABLE split (act_symbol varchar(9), ex_date date, to_factor date)", database="odd")
        server.execute(
            "CREATE TABLE ohlcv (`date` date, act_symbol varchar(64), close decimal(14,4), PRIMARY KEY (`date`))",
            "INSERT INTO ohlcv VALUES ('2023-01-03', 'SPY', 380.82)",
            database="stocks",
        )
        server.execute("CREATE USER 'reader'@'%' IDENTIFIED BY 's3cret'", "GRANT SELECT ON *.* TO 'reader'@'%'")
        yield server


def test_a_server_that_has_all_but_splits(server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    checks = checked(tmp_path, source=f"mysql://reader:s3cret@127.0.0.1:{server.port}", period=INSIDE)
    assert faults(checks) == {}
    assert warnings(checks) == [
        f"source: 127.0.0.1:{server.port}: database 'stocks' has no table 'split'; it has: ohlcv. "
        "Without split no position can be followed across a split",
        "period: 2023-01-03 to 2023-06-01 is only partly covered: the source has quotes from 2023-01-03 to "
        "2023-01-03; only 2023-01-03 to 2023-01-03 will be backtested",
    ]
    assert of(checks, "SPY").text == "quotes, 1 close in the period, 0 splits"
    assert "no splits" not in caplog.text


def test_what_a_source_logs_is_a_warning(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mysql.connector, "connect", partial(mysql.connector.connect, use_pure=True))
    checks = checked(tmp_path, source=f"mysql://reader:s3cret@127.0.0.1:{server.port}", period=INSIDE)
    assert "reading with the slow MySQLConnection" in next(c.text for c in checks if c.state == "warning")
    assert capsys.readouterr() == ("", "")


def test_every_wrong_column_of_a_server_is_named(server: Server) -> None:
    source = open_source(f"mysql://reader:s3cret@127.0.0.1:{server.port}?options=odd&stocks=odd")
    with pytest.raises(SourceError) as raised:
        source.problems()
    at = f"database odd at 127.0.0.1:{server.port}"
    number = "int(11)" if server.kind == "mariadb" else "int"
    has = "date, act_symbol, expiration, strike, call_put, bidd, ask, delta"
    assert str(raised.value) == (
        f"source: {at}: option_chain has no column 'bid' (did you mean 'bidd'?); it has: {has}; "
        f"{at}: option_chain: column 'expiration' has the type {number}; allowed: date; "
        f"{at}: split has no column 'for_factor' (did you mean 'to_factor'?); it has: act_symbol, ex_date, to_factor; "
        f"{at}: split: column 'to_factor' has the type date; allowed: decimal or another number"
    )


@pytest.mark.parametrize(
    ("user", "query", "text"),
    [
        ("reader:s3cret", "?options=nix", "there is no database 'nix'"),
        ("reader:s3cret", "?options=stocks", "database 'stocks' has no table 'option_chain'; it has: ohlcv"),
        ("reader:s3crit", "", "the server rejects user 'reader' with this password"),
    ],
    ids=["database", "table", "password"],
)
def test_what_a_server_lacks(server: Server, tmp_path: Path, user: str, query: str, text: str) -> None:
    checks = checked(tmp_path, source=f"mysql://{user}@127.0.0.1:{server.port}{query}")
    assert text in faults(checks)["source"]
    assert set(faults(checks)) == {"source"}
    assert "s3c" not in text_of(checks)


def test_no_server(tmp_path: Path) -> None:
    port = free_port()
    checks = checked(tmp_path, source=f"mysql://me:s3cret@127.0.0.1:{port}")
    assert set(faults(checks)) == {"source"}
    assert f"no server answers; start one with `dolt sql-server --port {port}`" in faults(checks)["source"]
    assert "s3cret" not in text_of(checks)


# --- the folders ----------------------------------------------------------------------------------


def read_only(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Make a folder and all below it read-only, for root too."""
    real = os.access

    def access(path: Path, mode: int) -> bool:
        below = Path(path) == folder or folder in Path(path).parents
        return real(path, mode) and not (below and mode & os.W_OK)

    monkeypatch.setattr(os, "access", access)


def test_folders_that_cannot_be_written_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_only(monkeypatch, tmp_path)
    advice = "change its permissions, or choose another folder with"
    assert faults(checked(tmp_path)) == {
        name: f"{tmp_path} is not writable; {advice} --{name} or {variable}"
        for name, variable in (("cache", "OPTIONS_BT_CACHE"), ("runs", "OPTIONS_BT_RUNS"))
    }


def test_files_in_the_place_of_folders_fail(tmp_path: Path) -> None:
    for name in ("cache", "runs"):
        (tmp_path / name).write_text("")
    found = faults(checked(tmp_path))
    assert set(found) == {"cache", "runs"}
    assert found["runs"].startswith(f"{tmp_path}/runs is a file, not a folder; move it")


def test_a_whole_cache_that_cannot_be_written_is_a_warning(
    small_run: SmallRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = load_job(small_run.jobfile, quick=True)
    read_only(monkeypatch, small_run.cache)
    checks = list(doctor(lambda: job, runs=tmp_path, cache=small_run.cache))
    assert faults(checks) == {}
    assert "all data is cached, but a market may have to be built" in of(checks, "cache").text
    more = structs.replace(job, symbols=("SPY", "MSFT"))
    assert set(faults(list(doctor(lambda: more, runs=tmp_path, cache=small_run.cache)))) == {"cache"}


def test_a_disk_without_room_for_the_pull_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage(NamedTuple):
        free: int

    monkeypatch.setattr(data_checks, "disk_usage", lambda path: Usage(5_000_000))
    text = faults(checked(tmp_path))["cache"]
    assert "4 to pull, about 8 MB, 5 MB free; free some space" in text


def run_check(small_run: SmallRun, runs: Path, **overrides: Any) -> Check:
    job = structs.replace(load_job(small_run.jobfile, quick=True), **overrides)
    before = contents(runs)
    checks = list(doctor(lambda: job, runs=runs, cache=small_run.cache))
    assert contents(runs) == before
    return of(checks, "runs")


def test_the_run_folder_of_the_same_job(small_run: SmallRun, tmp_path: Path) -> None:
    path = small_run.copy(tmp_path)
    assert str(run_check(small_run, tmp_path)).endswith("holds this run, finished: its results will be printed")
    (path / "results.parquet").unlink()
    assert str(run_check(small_run, tmp_path)).endswith("holds this run, unfinished: it will resume")
    assert run_check(small_run, tmp_path, name="other").text == f"{tmp_path}/other is free"


def test_the_run_folder_of_another_job_or_of_other_data_fails(small_run: SmallRun, tmp_path: Path) -> None:
    path = small_run.copy(tmp_path)
    check = run_check(small_run, tmp_path, symbols=("SPY",), grid=())
    assert check.state == "failed"
    assert check.text.startswith(f"{path} holds a run that differs in symbols, grid; use --fresh to start over")
    folder = RunFolder(path)
    old = folder.info()
    folder.create(structs.replace(old, fingerprints=old.fingerprints | {"NVDA": "other"}))
    assert "differs in the data of NVDA;" in run_check(small_run, tmp_path).text


def test_a_run_folder_that_cannot_be_read_fails(small_run: SmallRun, tmp_path: Path) -> None:
    (small_run.copy(tmp_path) / "run.json").write_text("{")
    check = run_check(small_run, tmp_path)
    assert (check.state, "use --fresh to start over" in check.text) == ("failed", True)


def test_a_run_folder_in_use_fails(small_run: SmallRun, tmp_path: Path) -> None:
    folder = RunFolder(small_run.copy(tmp_path))
    folder.claim()
    try:
        check = run_check(small_run, tmp_path)
    finally:
        folder.release()
    assert (check.state, "is in use by another options-bt" in check.text) == ("failed", True)
    assert run_check(small_run, tmp_path).state == "ok"


def test_the_run_folder_is_checked_where_the_source_is_away(tmp_path: Path) -> None:
    source = files(tmp_path / "data", option_chain=CHAIN)
    job = job_of(source=source, period=INSIDE)
    pull_job(job, tmp_path / "cache", shown=False)
    (tmp_path / "data" / "option_chain.csv").unlink()
    assert of(checked(tmp_path, job), "runs").text == f"{tmp_path}/runs/two is free"


# --- the machine ----------------------------------------------------------------------------------


def engine_with(monkeypatch: pytest.MonkeyPatch, warm_up: Callable[[], None]) -> Check:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "0")
    monkeypatch.setattr("options_bt.engine.compiling.warm_up", warm_up)
    return doctor_module.engine_check()


def test_the_engine_is_compiled_or_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "0")
    assert doctor_module.engine_check() == Check("ok", "engine", "compiled")
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert doctor_module.engine_check().state == "warning"


def test_an_engine_that_cannot_be_compiled_fails_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing() -> None:
        raise RuntimeError("no locator available")

    check = engine_with(monkeypatch, failing)
    assert check.state == "failed"
    assert check.text.startswith("cannot be compiled: RuntimeError: no locator available; reinstall numba")


def test_an_engine_that_cannot_be_cached_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def warning() -> None:
        logging.getLogger("options_bt.engine.compiling").warning("The compiled engine could not be kept in %s", "x")

    assert engine_with(monkeypatch, warning) == Check(
        "warning", "engine", "compiled; The compiled engine could not be kept in x"
    )
    assert capsys.readouterr() == ("", "")


def test_memory_and_workers() -> None:
    needs = (500_000_000, 2_000_000_000, 8_000_000_000)
    checks = [memory_check(Estimate(1.0, 1, need), free=1_000_000_000, total=4_000_000_000) for need in needs]
    assert [check.state for check in checks] == ["ok", "warning", "failed"]
    assert [workers_check(Estimate(1.0, count, 1), 4).state for count in (1, 4, 5)] == ["ok", "ok", "warning"]


def test_a_line_holds_one_check() -> None:
    assert str(Check("failed", "source", "two\n  lines")) == "failed   source    two lines"
    assert verdict([Check("failed", "a", "b"), Check("warning", "a", "b")]) == (
        "1 failed, 1 warning: fix the failed checks and rerun doctor"
    )


def test_one_day_of_overlap_is_covered() -> None:
    job = job_of(period={"start": "2023-01-01", "end": "2023-01-05"})
    extent = date(2023, 1, 5), date(2024, 1, 1)
    assert data_checks.period_check(job.period, extent).text.endswith(
        "only 2023-01-05 to 2023-01-05 will be backtested"
    )
