from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from options_bt.data.cache.cache import Cache
from options_bt.data.prepare import prepared
from options_bt.engine.backtest import run_backtest
from options_bt.engine.metrics import COUNTS, METRICS
from options_bt.job.load import load_job
from options_bt.job.parameters import FIELDS
from options_bt.job.planner import Plan
from options_bt.runner.run import run_job
from options_bt.runner.run_folder import ledger as ledger_room
from options_bt.runner.run_folder import results as results_room
from options_bt.runner.run_folder.ledger import Ledger
from options_bt.runner.run_folder.parts import Batch, BatchMetadata, Receipt
from options_bt.runner.run_folder.results import results_table, write_results
from tests.small_run import SmallRun, job_of, with_a_failure

PLACE = ["job", "symbol", "window", "role", "start", "end", "status"]

MANY_AXES = job_of(
    symbols=["SPY", "NVDA", "MSFT"],
    period={"start": "2019-01-01", "end": "2024-12-31"},
    windows={"train": "2y", "test": "1y", "count": 2},
    grid={
        "strategy": ["put_credit_spread", "short_put"],
        "dte": ["7-21", [30, 45]],
        "exit_dte": [None, 7],
        "contracts": [1, 2],
        "entry_every": [["fri", "mon"]],
    },
    params={"stop_loss": None, "delta": 0.3},
)


def recorded(path: Path, plan: Plan, positions: list[int], failing: tuple[int, ...] = ()) -> Ledger:
    """A ledger with one batch for each position, in this order; metric number m of position p is 1000 p + m."""
    ledger = Ledger(path / "ledger.sqlite")
    for number, position in enumerate(positions):
        metrics = np.arange(len(METRICS), dtype=float) + 1000 * position
        metrics[METRICS.index("sharpe")] = np.nan
        errors = {}
        if position in failing:
            metrics[:] = np.nan
            errors = {0: "Traceback\nBoom"}
        batch = Batch(number=number, symbol=plan[position].symbol, positions=(position,))
        jobs, rows = (f"id{position}",), metrics.tobytes()
        metadata = BatchMetadata(batch=batch, jobs=jobs, metrics=rows, errors=errors, equity="")
        ledger.record(Receipt(number=number, trades="", equity="", seconds=0.1), metadata, plan)
    return ledger


def test_the_columns_are_the_place_every_parameter_and_every_metric(tmp_path: Path) -> None:
    plan = Plan(job_of())
    table = results_table(plan, recorded(tmp_path, plan, [0, 1]))
    assert table.columns == [*PLACE, "strategy", *FIELDS, *METRICS]
    types = dict(table.schema)
    assert types.pop("early_assignment") == pl.Boolean
    assert [types.pop(name) for name in ("start", "end")] == [pl.Date, pl.Date]
    whole = {"window", "exit_dte", "max_days", "max_positions", "contracts", *COUNTS}
    text = {"job", "symbol", "role", "status", "strategy", "dte", "entry_every", "entry_when", "unquoted"}
    for name, dtype in types.items():
        assert dtype == (pl.Int64 if name in whole else pl.String if name in text else pl.Float64), name


def test_every_row_has_the_place_and_the_parameters_of_its_spec(tmp_path: Path) -> None:
    plan = Plan(MANY_AXES)
    assert len(plan) == 3 * 4 * 16
    table = results_table(plan, recorded(tmp_path, plan, list(range(len(plan)))))
    assert table["job"].to_list() == [f"id{position}" for position in range(len(plan))]
    for row, spec in zip(table.iter_rows(named=True), plan, strict=True):
        expected = spec.row() | {"role": spec.role}
        assert {name: row[name] for name in expected} == expected
    assert table.select("strategy", "exit_dte", "stop_loss", "delta").row(-1) == ("short_put", 7, None, 0.3)
    assert table.select("start", "end", "role").row(-1) == (date(2022, 1, 1), date(2022, 12, 31), "test")


def test_rows_stand_in_the_order_of_the_plan_and_those_to_come_are_left_out(tmp_path: Path) -> None:
    plan = Plan(MANY_AXES)
    table = results_table(plan, recorded(tmp_path, plan, [150, 3, 77, 0]))
    assert table["job"].to_list() == ["id0", "id3", "id77", "id150"]
    assert table["trades"].to_list() == [0, 3000, 77000, 150000]
    assert table["symbol"].to_list() == [plan[position].symbol for position in (0, 3, 77, 150)]


def test_an_undefined_metric_is_null_and_counts_are_whole(tmp_path: Path) -> None:
    plan = Plan(job_of())
    row = results_table(plan, recorded(tmp_path, plan, [1])).row(0, named=True)
    assert row["status"] == "done"
    assert row["sharpe"] is None
    for number, name in enumerate(METRICS):
        if name != "sharpe":
            assert row[name] == 1000 + number
            assert isinstance(row[name], int if name in COUNTS else float)


def test_a_failed_job_has_its_parameters_and_no_metrics(tmp_path: Path) -> None:
    plan = Plan(job_of())
    done, failed = results_table(plan, recorded(tmp_path, plan, [0, 1], failing=(1,))).iter_rows(named=True)
    assert (done["status"], failed["status"]) == ("done", "failed")
    assert (failed["symbol"], failed["delta"]) == ("SPY", 0.25)
    assert {failed[name] for name in METRICS} == {None}


def test_a_job_whose_worker_died_is_a_failed_row(tmp_path: Path) -> None:
    plan = Plan(job_of())
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.quarantine(1, "id1", plan[1], 2, "killed by SIGSEGV")
    (row,) = results_table(plan, ledger).iter_rows(named=True)
    assert (row["job"], row["status"], row["delta"], row["trades"], row["sharpe"]) == (
        "id1",
        "failed",
        0.25,
        None,
        None,
    )


def test_without_any_result_there_are_all_columns_and_no_rows(tmp_path: Path) -> None:
    plan = Plan(MANY_AXES)
    (tmp_path / "filled").mkdir()
    filled = results_table(plan, recorded(tmp_path / "filled", plan, [0]))
    table = results_table(plan, Ledger(tmp_path / "ledger.sqlite"))
    assert table.height == 0
    assert table.schema == filled.schema


def test_a_table_of_many_chunks_is_that_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(MANY_AXES)
    ledger = recorded(tmp_path, plan, list(range(25)), failing=(4,))
    whole = results_table(plan, ledger)
    monkeypatch.setattr(ledger_room, "CHUNK", 7)
    assert results_table(plan, ledger).equals(whole)
    assert whole.height == 25
    monkeypatch.setattr(results_room, "CHUNK", 7)
    write_results(plan, ledger, tmp_path / "results.parquet")
    assert pl.read_parquet(tmp_path / "results.parquet").equals(whole)


def test_the_metrics_are_those_of_the_engine_to_the_last_bit(small_run: SmallRun) -> None:
    plan = Plan(load_job(small_run.jobfile, quick=True))
    table = pl.read_parquet(small_run.path / "results.parquet")
    assert table.height == len(plan)
    for spec, row in zip(plan, table.iter_rows(named=True), strict=True):
        market = prepared(Cache(small_run.cache, "demo"), spec.symbol, plan.years)
        metrics = run_backtest(spec, market.open()).metrics
        found = np.array([np.nan if row[name] is None else row[name] for name in METRICS], np.float64)
        assert np.array_equal(found, metrics, equal_nan=True)
        assert row["job"] == spec.id(market.fingerprint)


@pytest.mark.slow
def test_the_file_has_the_same_bytes_for_one_worker_and_for_two(small_run: SmallRun, tmp_path: Path) -> None:
    job = load_job(small_run.jobfile, quick=True)
    two = run_job(job, runs=tmp_path, cache=small_run.cache, workers=2, shown=False)
    assert (two.path / "results.parquet").read_bytes() == (small_run.path / "results.parquet").read_bytes()


def test_the_file_is_written_once_all_is_done_or_failed(small_run: SmallRun, tmp_path: Path) -> None:
    run = with_a_failure(job_of(symbols=["SPY", "NVDA"]), tmp_path, small_run.cache)
    table = pl.read_parquet(run.path / "results.parquet")
    assert table["status"].to_list() == ["done", "failed", "done", "done"]
    assert table["trades"].null_count() == 1
    assert [path for path in run.path.rglob("*") if path.suffix == ".tmp"] == []
