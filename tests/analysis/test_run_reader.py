from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from options_bt.analysis.run_reader import Run, open_run
from options_bt.data.cache.cache import Cache
from options_bt.data.prepare import prepared
from options_bt.engine.metrics import METRICS
from options_bt.errors import RunFolderError
from options_bt.job.load import load_job
from options_bt.job.parameters import FIELDS
from options_bt.job.planner import Plan
from options_bt.runner.run_folder.folder import RunFolder
from options_bt.runner.run_folder.ledger import Ledger
from tests.small_run import SmallRun, contents, finished, job_of, with_a_failure

TRADE_COLUMNS = [
    "job",
    "symbol",
    "entry_date",
    "exit_date",
    "expiration",
    "dte",
    "arm",
    "legs",
    "close_entry",
    "close_exit",
    "contracts",
    "split_factor",
    "premium",
    "exit_cost",
    "fees",
    "pnl",
    "max_loss",
    "return_on_risk",
    "days_held",
    "exit_reason",
    "quote_days",
    "stale_days",
    "modelled_days",
    "modelled_exit",
]


@pytest.fixture
def run(small_run: SmallRun) -> Run:
    return open_run(small_run.path)


@pytest.fixture(scope="module")
def failing(small_run: SmallRun, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """SPY's delta 0.25 failed; SPY's delta 0.15 and both of NVDA are done."""
    return with_a_failure(job_of(symbols=["SPY", "NVDA"]), tmp_path_factory.mktemp("runs"), small_run.cache)


def unfinished(path: Path, batches: Iterable[int]) -> Run:
    """What is on the disk of a run when only these batches were entered."""
    kept = ", ".join(map(str, batches)) or "-1"
    with closing(sqlite3.connect(path / "ledger.sqlite")) as connection:
        connection.execute(f"DELETE FROM batch WHERE number NOT IN ({kept})")
        connection.execute(f"DELETE FROM job WHERE batch NOT IN ({kept})")
        connection.commit()
    (path / "results.parquet").unlink()
    return open_run(path)


def test_the_job_and_the_plan_are_those_that_were_run(small_run: SmallRun, run: Run) -> None:
    job = load_job(small_run.jobfile, quick=True)
    assert run.job == job
    assert list(run.plan) == list(Plan(job))
    assert run.path == small_run.path
    assert run.info.source == "demo: simulated market (sparse, seed 1)"


def test_a_run_is_opened_by_text_or_path(small_run: SmallRun, run: Run) -> None:
    assert open_run(str(small_run.path)).info == run.info


def test_results_have_one_row_a_job_with_every_parameter_and_every_metric(run: Run) -> None:
    results = run.results()
    place = ["job", "symbol", "window", "role", "start", "end", "status"]
    assert results.columns == [*place, "strategy", *FIELDS, *METRICS]
    keys = results.select("symbol", "delta", "window", "role", "status", "strategy").rows()
    assert keys == [
        (symbol, delta, 0, "full", "done", "put_credit_spread") for symbol in ("SPY", "NVDA") for delta in (0.15, 0.25)
    ]
    assert results["job"].n_unique() == 4


def test_ids_are_those_of_the_specs_on_their_data(small_run: SmallRun, run: Run) -> None:
    prints = {
        symbol: prepared(Cache(small_run.cache, "demo"), symbol, run.plan.years).fingerprint
        for symbol in ("SPY", "NVDA")
    }
    assert run.info.fingerprints == prints
    assert run.results()["job"].to_list() == [spec.id(prints[spec.symbol]) for spec in run.plan]


def test_the_results_are_the_same_with_and_without_their_file(small_run: SmallRun, run: Run, tmp_path: Path) -> None:
    copy = small_run.copy(tmp_path)
    (copy / "results.parquet").unlink()
    assert_frame_equal(open_run(copy).results(), run.results(), check_exact=True)


def test_an_unfinished_run_shows_what_is_done(small_run: SmallRun, run: Run, tmp_path: Path) -> None:
    part = unfinished(small_run.copy(tmp_path), [1])
    done = part.results()
    assert 0 < done.height < 4
    assert_frame_equal(done, run.results().join(done, on="job", how="semi", maintain_order="left"), check_exact=True)
    assert_frame_equal(part.trades(), run.trades().join(done, on="job", how="semi", maintain_order="left"))
    assert set(part.equity()["job"]) == set(done["job"])


def test_a_run_that_has_nothing_yet_says_so(small_run: SmallRun, tmp_path: Path) -> None:
    part = unfinished(small_run.copy(tmp_path), [])
    assert part.results().height == 0
    assert part.failures() == []
    for table in (part.trades, part.equity):
        with pytest.raises(RunFolderError, match="small-quick has no finished backtest yet"):
            table()


def test_trades_have_their_columns_and_stand_in_the_order_of_plan_and_entry(run: Run) -> None:
    trades = run.trades()
    assert trades.columns == TRADE_COLUMNS
    jobs = run.results()["job"].to_list()
    places = [(jobs.index(job), entry) for job, entry in trades.select("job", "entry_date").rows()]
    assert places == sorted(places)
    assert set(trades["job"]) == set(jobs)


def test_the_trades_add_up_to_the_metrics_of_every_job(run: Run) -> None:
    for row in run.results().iter_rows(named=True):
        trades = run.trades(row["job"])
        assert trades.height == row["trades"] > 10
        assert trades["pnl"].sum() == pytest.approx(row["total_pnl"])
        assert (trades["pnl"] > 1e-9).sum() == row["wins"]
        assert trades["fees"].sum() == pytest.approx(row["fees"])
        assert trades["stale_days"].sum() == row["stale_days"]
        assert trades["entry_date"].min() >= row["start"]
        assert trades["exit_date"].max() <= row["end"]
        assert set(trades["symbol"]) == {row["symbol"]}


def test_the_equity_of_every_job_ends_with_its_return(run: Run) -> None:
    assert run.equity().columns == ["job", "date", "equity", "open_positions", "margin"]
    for row in run.results().iter_rows(named=True):
        equity = run.equity(row["job"])
        assert equity["date"].is_sorted()
        assert equity["date"].n_unique() == equity.height > 200
        assert equity["equity"][-1] == pytest.approx(row["capital"] * (1 + row["total_return"]))
        assert equity["equity"][-1] == pytest.approx(row["capital"] + row["total_pnl"])
        assert (equity["open_positions"] > 0).mean() == pytest.approx(row["exposure"])


@pytest.mark.parametrize("table", ["trades", "equity"])
def test_the_rows_of_one_job_are_its_part_of_all(run: Run, table: str) -> None:
    whole: pl.DataFrame = getattr(run, table)()
    for job in run.results()["job"]:
        assert_frame_equal(getattr(run, table)(job), whole.filter(pl.col("job") == job))
        assert_frame_equal(getattr(run, table)(job[:6]), whole.filter(pl.col("job") == job))


def test_a_job_is_named_by_as_much_of_its_id_as_tells_it_apart(run: Run) -> None:
    for job in run.results()["job"]:
        assert run.job_id(job) == run.job_id(job[:10]) == job


def test_an_ambiguous_id_names_the_jobs_it_may_mean(run: Run) -> None:
    jobs = run.results()["job"].to_list()
    with pytest.raises(RunFolderError, match="4 jobs begin with ''") as caught:
        run.job_id("")
    assert all(job in str(caught.value) for job in jobs)
    assert str(caught.value).endswith("give more characters")


def test_an_unknown_id_says_where_the_ids_are_and_names_the_nearest(run: Run) -> None:
    job = run.results()["job"][0]
    wrong = job[:-1] + ("0" if job[-1] != "0" else "1")
    for ask in (run.job_id, run.trades, run.equity):
        with pytest.raises(RunFolderError) as caught:
            ask(wrong)
        assert f"has no job {wrong!r} (did you mean '{job}'" in str(caught.value)
        assert f"`options-bt results {run.path}` lists them" in str(caught.value)


def test_a_lost_part_is_named(small_run: SmallRun, tmp_path: Path) -> None:
    copy = small_run.copy(tmp_path)
    lost = RunFolder(copy).part("trades", 1)
    lost.unlink()
    with pytest.raises(RunFolderError, match=f"is missing 1 of its files, the first is {lost}"):
        open_run(copy).trades()
    assert open_run(copy).equity().height > 0


def test_no_run_is_refused_with_the_nearest(small_run: SmallRun) -> None:
    with pytest.raises(RunFolderError, match=r"is not a run folder.*did you mean 'small-quick'"):
        open_run(small_run.path.with_name("smallquick"))


def test_a_run_without_its_ledger_is_named(small_run: SmallRun, tmp_path: Path) -> None:
    copy = small_run.copy(tmp_path)
    (copy / "ledger.sqlite").unlink()
    with pytest.raises(RunFolderError, match=r"ledger\.sqlite: unable to open"):
        open_run(copy).trades()


def test_a_ledger_that_is_none_is_named(small_run: SmallRun, tmp_path: Path) -> None:
    copy = small_run.copy(tmp_path)
    (copy / "ledger.sqlite").write_bytes(b"this is no database" * 100)
    with pytest.raises(RunFolderError, match=r"ledger\.sqlite"):
        open_run(copy).failures()


def test_reading_a_run_leaves_no_files_in_it(small_run: SmallRun, tmp_path: Path) -> None:
    copy = small_run.copy(tmp_path)
    for name in ("ledger.sqlite-wal", "ledger.sqlite-shm"):
        (copy / name).unlink(missing_ok=True)
    before = set(contents(copy))
    run = open_run(copy)
    assert (run.results().height, run.trades().height > 0, run.failures()) == (4, True, [])
    assert set(contents(copy)) == before


def test_a_run_without_failures_has_none(run: Run) -> None:
    assert run.failures() == []


def test_a_failure_has_its_job_its_spec_and_its_traceback(failing: Run) -> None:
    (failure,) = failing.failures()
    assert failure.job == failing.results()["job"][1]
    assert failure.position == 1
    assert failure.attempts == 1
    assert '"delta":0.25' in failure.spec
    assert failure.error.startswith("Traceback")
    assert failure.error.strip().endswith("ZeroDivisionError: a fault of the test")


def test_a_failed_job_has_a_row_without_metrics_and_no_trades(failing: Run) -> None:
    row = failing.results().row(1, named=True)
    assert (row["status"], row["symbol"], row["delta"]) == ("failed", "SPY", 0.25)
    assert {row[name] for name in METRICS} == {None}
    assert failing.trades(row["job"]).height == 0
    assert failing.equity(row["job"]).height == 0
    assert set(failing.trades()["job"]) == set(failing.results()["job"]) - {row["job"]}


def test_a_job_without_trades_has_metrics_equity_and_an_empty_table(small_run: SmallRun, tmp_path: Path) -> None:
    run = finished(job_of(params={"min_credit": 1000}, grid={"delta": [0.2]}), tmp_path, small_run.cache)
    row = run.results().row(0, named=True)
    assert (row["status"], row["trades"], row["total_pnl"], row["win_rate"]) == ("done", 0, 0.0, None)
    assert row["refused_thin_credit"] > 100
    assert run.trades().columns == TRADE_COLUMNS
    assert run.trades().height == 0
    assert run.equity()["equity"].unique().to_list() == [100_000.0]


def test_the_results_of_an_unfinished_run_over_strategies_can_be_read(small_run: SmallRun, tmp_path: Path) -> None:
    job = job_of(grid={"strategy": ["put_credit_spread", "short_put"]})
    run = finished(job, tmp_path, small_run.cache)
    assert run.results()["strategy"].to_list() == ["put_credit_spread", "short_put"]
    (run.path / "results.parquet").unlink()
    assert list(open_run(run.path).plan) == list(Plan(job))
    assert open_run(run.path).results()["strategy"].to_list() == ["put_credit_spread", "short_put"]


def test_a_run_of_nothing_but_dead_workers_has_empty_tables(small_run: SmallRun, tmp_path: Path) -> None:
    copy = small_run.copy(tmp_path)
    (copy / "ledger.sqlite").unlink()
    run = open_run(copy)
    ledger = Ledger(copy / "ledger.sqlite")
    for position, spec in enumerate(run.plan):
        ledger.quarantine(position, f"id{position}", spec, 2, "killed by SIGSEGV")
    ledger.close()
    (copy / "results.parquet").unlink()
    assert run.results()["status"].to_list() == ["failed"] * 4
    assert run.trades().height == run.equity().height == 0
