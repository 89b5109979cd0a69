from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import options_bt
from options_bt import api
from options_bt.analysis.run_reader import Run
from options_bt.api import backtest, load_job, open_run, plan, runs_folder
from options_bt.data.cache.cache import cache_folder
from options_bt.engine.metrics import COUNTS, METRICS
from options_bt.errors import InputError, JobFileError, RunFolderError, SourceError
from options_bt.job.strategies import STRATEGIES
from tests.small_run import SmallRun, contents, job_of, with_a_failure

DAYS = ("2023-01-01", "2024-12-31")
OWN: dict[str, Any] = {
    "name": "mine",
    "legs": [
        {"name": "near", "right": "put", "side": "short", "delta": 0.25},
        {"name": "far", "right": "put", "side": "long", "width": 5, "of": "near"},
    ],
}


@pytest.fixture(autouse=True)
def places(small_run: SmallRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty current folder, and the cache of the small run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPTIONS_BT_CACHE", str(small_run.cache))
    monkeypatch.delenv("OPTIONS_BT_RUNS", raising=False)


def same(job: str, result: api.Backtest, run: Run) -> None:
    """Check that a single backtest and the job of a run are the same to the last bit."""
    assert result.job == job
    row = run.results().row(by_predicate=pl.col("job") == job, named=True)
    assert result.metrics == {name: row[name] for name in METRICS}
    assert_frame_equal(result.trades, run.trades(job), check_exact=True)
    assert_frame_equal(result.equity, run.equity(job), check_exact=True)
    assert result.spec.row() | {"role": "full"} == {name: row[name] for name in (*result.spec.row(), "role")}


# one backtest


def test_a_single_backtest_is_the_same_as_the_job_of_a_run(small_run: SmallRun) -> None:
    run = open_run(small_run.path)
    for row in run.results().iter_rows(named=True):
        result = backtest(row["symbol"], row["start"], row["end"], delta=row["delta"], width=5, dte="30-45")
        same(row["job"], result, run)


def test_a_backtest_of_a_named_strategy_is_the_same_as_the_job_of_a_run() -> None:
    grid = {"strategy": ["iron_condor", "short_strangle", "long_call"]}
    run = api.run(job_of(grid=grid, params={"delta": 0.16, "exit_dte": 7}), workers=1)
    for job, strategy in run.results().select("job", "strategy").rows():
        same(job, backtest("SPY", *DAYS, strategy=strategy, delta=0.16, exit_dte=7), run)


def test_days_may_be_dates_or_text(small_run: SmallRun) -> None:
    texts = backtest("SPY", "2023-01-01", "2024-12-31")
    dates = backtest("SPY", date(2023, 1, 1), date(2024, 12, 31))
    assert texts.job == dates.job
    assert texts.metrics == dates.metrics


def test_the_defaults_are_those_of_a_job_file() -> None:
    spec = backtest("SPY", *DAYS).spec
    assert spec == plan(job_of(grid={}))[0]
    assert spec.strategy == STRATEGIES["put_credit_spread"]


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ({"delta": np.float64(0.25)}, {"delta": 0.25}),
        ({"delta": np.float32(0.25)}, {"delta": 0.25}),
        ({"contracts": np.int64(2), "max_positions": np.uint8(3)}, {"contracts": 2, "max_positions": 3}),
        ({"width": np.int32(5)}, {"width": 5.0}),
        ({"dte": np.str_("30-45")}, {"dte": "30-45"}),
        ({"stop_loss": None, "exit_dte": np.int16(7)}, {"stop_loss": None, "exit_dte": 7}),
        ({"delta": np.array(0.25)}, {"delta": 0.25}),
    ],
    ids=str,
)
def test_numpy_scalars_are_taken_as_parameters(given: dict[str, Any], plain: dict[str, Any]) -> None:
    result, expected = backtest("SPY", *DAYS, **given), backtest("SPY", *DAYS, **plain)
    assert result.job == expected.job
    assert result.spec == expected.spec
    assert result.metrics == expected.metrics


@pytest.mark.parametrize("dte", [[np.int64(30), np.int64(45)], {"min": np.int64(30), "max": np.int64(45)}], ids=str)
def test_numpy_scalars_are_taken_within_a_parameter(dte: Any) -> None:
    assert backtest("SPY", *DAYS, dte=dte).spec.params.dte == "30-45"


def test_an_array_is_taken_as_a_list_or_refused_with_what_is_allowed() -> None:
    try:
        result = backtest("SPY", *DAYS, dte=np.array([30, 45]))
    except JobFileError as error:
        assert "params.dte: got " in str(error)
    else:
        assert result.spec.params.dte == "30-45"


def test_a_strategy_may_be_a_mapping_as_in_a_job_file() -> None:
    result = backtest("SPY", *DAYS, strategy=OWN, width=5)
    run = api.run(job_of(strategy=OWN, params={"width": 5}, grid={}), workers=1)
    (job,) = run.results()["job"]
    same(job, result, run)
    assert result.metrics["trades"] > 0
    assert {leg["name"] for legs in result.trades["legs"] for leg in legs} == {"near", "far"}


def test_metrics_are_plain_numbers_and_the_counts_are_whole() -> None:
    metrics = backtest("SPY", *DAYS, min_credit=1000).metrics
    assert list(metrics) == list(METRICS)
    assert (metrics["trades"], metrics["total_pnl"], metrics["win_rate"], metrics["sharpe"]) == (0, 0.0, None, None)
    for name, value in metrics.items():
        assert type(value) is int if name in COUNTS else value is None or type(value) is float


def test_the_tables_of_a_backtest_without_trades_have_their_columns(small_run: SmallRun) -> None:
    result = backtest("SPY", *DAYS, min_credit=1000)
    run = open_run(small_run.path)
    assert result.trades.schema == run.trades().schema
    assert result.trades.height == 0
    assert result.equity.schema == run.equity().schema
    assert result.equity["equity"].unique().to_list() == [100_000.0]


def test_a_backtest_says_what_it_is() -> None:
    result = backtest("SPY", *DAYS)
    metrics = result.metrics
    assert repr(result) == (
        f"<Backtest SPY put_credit_spread: {metrics['trades']} trades, P/L {metrics['total_pnl']:,.2f}>"
    )


def test_the_same_question_is_answered_from_the_cache_without_writing_anything(small_run: SmallRun) -> None:
    first = backtest("SPY", *DAYS)
    before = contents(small_run.cache)
    assert backtest("SPY", *DAYS).job == first.job
    assert contents(small_run.cache) == before
    assert list(Path().iterdir()) == []


def test_the_seed_of_the_simulated_market_makes_other_data() -> None:
    one = backtest("SPY", "2019-01-01", "2019-06-30", cache="mine")
    other = backtest("SPY", "2019-01-01", "2019-06-30", cache="mine", source="demo?seed=2")
    assert one.job != other.job
    assert one.spec == other.spec
    assert len(list(Path("mine").iterdir())) == 2


def test_real_quotes_are_read_from_files(real_data: Path) -> None:
    quotes = pl.read_parquet(real_data / "option_chain.parquet", columns=["act_symbol", "date"])
    symbol, first, last = quotes["act_symbol"][0], quotes["date"].min(), quotes["date"].max()
    assert isinstance(first, date)
    assert isinstance(last, date)
    result = backtest(symbol, first, last, source=f"files:{real_data}", cache="mine", strategy="short_put", dte="7-60")
    assert 0 < result.equity.height <= quotes.filter(act_symbol=symbol)["date"].n_unique()
    assert result.trades.height == result.metrics["trades"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"delta": 2}, ["params.delta: got 2; allowed: a number above 0 and at most 1"]),
        ({"delta": [0.1, 0.2]}, ["params.delta: got [0.1,0.2]; allowed: a number above 0 and at most 1"]),
        ({"detla": 0.2}, ["params.detla: unknown key (did you mean 'delta'", "; allowed: delta, delta_tolerance, "]),
        ({"strategy": "short_putt"}, ["strategy: got \"short_putt\" (did you mean 'short_put'", "; allowed: "]),
        ({"symbol": "no ticker"}, ['symbols[0]: got "no ticker"; allowed: a ticker such as AAPL or BRK.B']),
        ({"end": "2022-01-01"}, ["period.end: got 2022-01-01; allowed: 2023-01-01 or later"]),
        ({"start": "yesterday"}, ['period.start: got "yesterday"; allowed: a date such as 2019-01-01']),
        ({"source": "mongo:x"}, ['source: got a source of kind "mongo"; allowed: demo, files:PATH or mysql://']),
        ({"delta": 2, "width": -1, "typo": 1}, ["3 faults", "params.delta", "params.width", "params.typo"]),
        ({"contracts": np.True_}, ["params.contracts: got true; allowed: a whole number "]),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_every_wrong_argument_is_named_with_what_is_allowed(arguments: dict[str, Any], expected: list[str]) -> None:
    with pytest.raises(JobFileError) as caught:
        backtest(**{"symbol": "SPY", "start": DAYS[0], "end": DAYS[1], "cache": "mine"} | arguments)
    message = str(caught.value)
    assert message.startswith("backtest(): ")
    for part in expected:
        assert part in message
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"symbol": "SPYY"}, "SPYY: no quotes (did you mean 'SPY'"),
        ({"source": "files:nowhere"}, "there is no folder nowhere"),
        ({"start": "2001-01-01", "end": "2002-01-01"}, "has quotes from 2019-01-01 to 2024-12-31"),
    ],
    ids=["symbol", "folder", "days"],
)
def test_data_that_cannot_be_had_is_told_and_nothing_is_written(arguments: dict[str, Any], expected: str) -> None:
    with pytest.raises(SourceError) as caught:
        backtest(**{"symbol": "SPY", "start": DAYS[0], "end": DAYS[1], "cache": "mine"} | arguments)
    assert expected in str(caught.value)
    assert list(Path().iterdir()) == []


# runs


def test_a_run_gives_its_results_trades_and_equity(small_run: SmallRun) -> None:
    run = options_bt.run(load_job(small_run.jobfile, quick=True), workers=1, runs="mine")
    assert run.path == Path("mine/small-quick")
    known = open_run(small_run.path)
    assert_frame_equal(run.results(), known.results(), check_exact=True)
    assert_frame_equal(run.trades(), known.trades(), check_exact=True)
    assert_frame_equal(run.equity(), known.equity(), check_exact=True)
    assert run.results()["job"].to_list() == known.results()["job"].to_list()


def test_a_run_goes_on_where_it_was_or_begins_anew() -> None:
    run = options_bt.run(job_of(), workers=1)
    ledger = (run.path / "ledger.sqlite").read_bytes()
    options_bt.run(job_of(), workers=1)
    assert (run.path / "ledger.sqlite").read_bytes() == ledger
    with pytest.raises(RunFolderError, match="differs in params"):
        options_bt.run(job_of(params={"width": 7}), workers=1)
    other = options_bt.run(job_of(params={"width": 7}), workers=1, fresh=True)
    assert other.results()["width"].unique().to_list() == [7.0]
    assert len(list(Path("runs").glob("two*"))) == 2


def test_a_run_with_failures_is_given_all_the_same(small_run: SmallRun) -> None:
    with_a_failure(job_of(), Path("runs"), small_run.cache)
    run = options_bt.run(job_of(), workers=1)
    assert run.results()["status"].to_list() == ["done", "failed"]
    assert [failure.error.splitlines()[-1] for failure in run.failures()] == ["ZeroDivisionError: a fault of the test"]


def test_a_run_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    options_bt.run(job_of(), workers=1)
    assert capfd.readouterr() == ("", "")


def test_the_places_are_arguments_or_variables_or_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTIONS_BT_RUNS", "b/runs")
    monkeypatch.setenv("OPTIONS_BT_CACHE", "b/cache")
    assert (runs_folder(), cache_folder()) == (Path("b/runs"), Path("b/cache"))
    assert (runs_folder("a"), cache_folder(Path("a"))) == (Path("a"), Path("a"))
    for empty in ("unset", ""):
        monkeypatch.setenv("OPTIONS_BT_RUNS", empty)
        monkeypatch.setenv("OPTIONS_BT_CACHE", empty)
        if empty == "unset":
            monkeypatch.delenv("OPTIONS_BT_RUNS")
            monkeypatch.delenv("OPTIONS_BT_CACHE")
        assert (runs_folder(), cache_folder()) == (Path("runs"), Path("cache"))


def test_runs_and_backtests_use_the_places_of_the_variables(
    small_run: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTIONS_BT_RUNS", "b/runs")
    monkeypatch.setenv("OPTIONS_BT_CACHE", "b/cache")
    run = options_bt.run(job_of(period={"start": "2019-01-01", "end": "2019-03-31"}), workers=1)
    assert run.path == Path("b/runs/two")
    backtest("NVDA", "2019-01-01", "2019-03-31")
    assert {path.stem for path in Path("b/cache/demo/manifest").iterdir()} == {"SPY", "NVDA"}
    assert [path.name for path in Path().iterdir()] == ["b"]


def test_a_plan_has_a_length_and_specs() -> None:
    sweep = options_bt.plan(job_of(symbols=["SPY", "NVDA"]))
    assert len(sweep) == 4
    assert [(spec.symbol, spec.params.delta) for spec in sweep[1:3]] == [("SPY", 0.25), ("NVDA", 0.15)]


def test_no_run_and_no_job_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="is not a run folder"):
        options_bt.open_run(tmp_path / "nothing")
    with pytest.raises(InputError, match="cannot be read"):
        options_bt.load_job(tmp_path / "nothing.yaml")


# the package


def test_the_package_offers_the_five_steps() -> None:
    assert options_bt.__all__ == api.__all__[1:] == ["backtest", "load_job", "open_run", "plan", "run"]
    for name in options_bt.__all__:
        assert getattr(options_bt, name) is getattr(api, name)
        assert getattr(options_bt, name).__doc__
    with pytest.raises(AttributeError, match="module 'options_bt' has no attribute 'nothing'"):
        _ = options_bt.nothing


def test_importing_the_package_imports_no_heavy_room() -> None:
    heavy = {"polars", "numba", "numpy", "tqdm", "mysql.connector"}
    code = f"import options_bt, options_bt.cli, sys; print(*sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
