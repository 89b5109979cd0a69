from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from options_bt.analysis.compare import compare
from options_bt.analysis.run_reader import Run, open_run
from options_bt.errors import RunFolderError
from options_bt.runner.run_folder.folder import RunFolder
from options_bt.runner.run_folder.parts import Table
from tests.small_run import SmallRun, finished, job_of, with_a_failure

Edit = Callable[[pl.DataFrame], pl.DataFrame]


@pytest.fixture
def run(small_run: SmallRun) -> Run:
    return open_run(small_run.path)


def edited(path: Path, table: Table | Literal["results"], edit: Edit) -> Run:
    """The run at `path` with another table; of trades and equity the part of batch 1 is changed."""
    file = path / "results.parquet" if table == "results" else RunFolder(path).part(table, 1)
    edit(pl.read_parquet(file)).write_parquet(file)
    return open_run(path)


def changed(column: str, change: Callable[[pl.Expr], pl.Expr], row: int = 0) -> Edit:
    """Change one cell."""
    here = pl.int_range(pl.len()) == row
    return lambda frame: frame.with_columns(
        pl.when(here).then(change(pl.col(column))).otherwise(pl.col(column)).alias(column)
    )


def nudged(column: pl.Expr) -> pl.Expr:
    return column.map_batches(lambda values: pl.Series(np.nextafter(values.to_numpy(), np.inf)), pl.Float64)


def test_a_run_equals_itself_and_a_copy(small_run: SmallRun, run: Run, tmp_path: Path) -> None:
    for other in (run, open_run(small_run.copy(tmp_path))):
        comparison = compare(run, other)
        assert comparison.equal
        assert (comparison.jobs, comparison.only_a, comparison.only_b, comparison.cells.height) == (4, [], [], 0)


def test_the_same_jobs_in_other_batches_and_another_order_are_equal(
    small_run: SmallRun, run: Run, tmp_path: Path
) -> None:
    job = job_of(name="reversed", symbols=["NVDA", "SPY"], grid={"delta": [0.25, 0.15]})
    comparison = compare(run, finished(job, tmp_path, small_run.cache))
    assert comparison.equal
    assert comparison.jobs == 4


@pytest.mark.parametrize(
    ("table", "column"), [("results", "sharpe"), ("trades", "pnl"), ("trades", "exit_cost"), ("equity", "equity")]
)
def test_one_bit_in_one_cell_is_found_named_and_visible(
    small_run: SmallRun, run: Run, tmp_path: Path, table: Table | Literal["results"], column: str
) -> None:
    other = edited(small_run.copy(tmp_path), table, changed(column, nudged))
    for a, b in ((run, other), (other, run)):
        comparison = compare(a, b)
        assert not comparison.equal
        (cell,) = comparison.cells.iter_rows(named=True)
        assert (cell["table"], cell["row"], cell["column"]) == (table, 0, column)
        assert cell["a"] != cell["b"]
        assert float(cell["a"]) == pytest.approx(float(cell["b"]))
        assert cell["job"] in run.results()["job"]


def test_the_cell_is_that_of_its_job_and_row(small_run: SmallRun, run: Run, tmp_path: Path) -> None:
    part = pl.read_parquet(RunFolder(small_run.path).part("trades", 1))
    job = part["job"][0]
    other = edited(small_run.copy(tmp_path), "trades", changed("stale_days", lambda value: value + 100, row=3))
    (cell,) = compare(run, other).cells.iter_rows(named=True)
    before = run.trades(job)["stale_days"][3]
    assert cell == {
        "job": job,
        "table": "trades",
        "row": 3,
        "column": "stale_days",
        "a": str(before),
        "b": str(before + 100),
    }


@pytest.mark.parametrize("side", ["a", "b"])
def test_a_value_and_none_differ(small_run: SmallRun, run: Run, tmp_path: Path, side: str) -> None:
    other = edited(small_run.copy(tmp_path), "results", changed("sortino", lambda value: pl.lit(None, pl.Float64)))
    (cell,) = compare(*((other, run) if side == "a" else (run, other))).cells.iter_rows(named=True)
    assert cell["column"] == "sortino"
    assert cell[side] is None
    assert cell["a" if side == "b" else "b"] is not None


def test_another_day_and_another_reason_differ(small_run: SmallRun, run: Run, tmp_path: Path) -> None:
    copy = small_run.copy(tmp_path)
    edited(copy, "trades", changed("exit_date", lambda value: value + pl.duration(days=1)))
    other = edited(copy, "trades", changed("exit_reason", lambda value: pl.lit("max_days")))
    cells = compare(run, other).cells
    assert cells["column"].to_list() == ["exit_date", "exit_reason"]
    assert cells["b"][1] == "max_days"


def test_another_strike_of_one_leg_differs(small_run: SmallRun, run: Run, tmp_path: Path) -> None:
    def shifted(frame: pl.DataFrame) -> pl.DataFrame:
        rows = frame.to_dicts()
        rows[2]["legs"][1]["strike"] += 0.5
        return pl.DataFrame(rows, schema=frame.schema)

    (cell,) = compare(run, edited(small_run.copy(tmp_path), "trades", shifted)).cells.iter_rows(named=True)
    assert (cell["table"], cell["row"], cell["column"]) == ("trades", 2, "legs")
    assert '"strike":' in cell["a"]
    assert cell["a"] != cell["b"]


@pytest.mark.parametrize("table", ["trades", "equity"])
def test_a_row_that_one_run_lacks_differs_in_all_its_cells(
    small_run: SmallRun, run: Run, tmp_path: Path, table: Table
) -> None:
    other = edited(small_run.copy(tmp_path), table, lambda frame: frame.head(-1))
    last = pl.read_parquet(RunFolder(small_run.path).part(table, 1)).row(-1, named=True)
    columns = [name for name in last if name != "job"]
    for a, b, absent in ((run, other, "b"), (other, run, "a")):
        comparison = compare(a, b)
        assert not comparison.equal
        assert comparison.cells["column"].to_list() == columns
        assert comparison.cells["job"].unique().to_list() == [last["job"]]
        assert comparison.cells[absent].null_count() == len(columns)


def test_jobs_that_only_one_run_has_are_told(small_run: SmallRun, run: Run, tmp_path: Path) -> None:
    spy = finished(job_of(), tmp_path, small_run.cache)
    results = run.results()
    lacking = results.filter(pl.col("symbol") == "NVDA")["job"].to_list()
    comparison = compare(run, spy)
    assert not comparison.equal
    assert (comparison.jobs, sorted(comparison.only_a), comparison.only_b) == (2, sorted(lacking), [])
    assert comparison.cells.height == 0
    assert sorted(compare(spy, run).only_b) == sorted(lacking)


def test_runs_without_a_common_job_share_none(small_run: SmallRun, run: Run, tmp_path: Path) -> None:
    other = finished(job_of(symbols=["NVDA"], grid={"delta": [0.3]}), tmp_path, small_run.cache)
    comparison = compare(run, other)
    assert (comparison.jobs, len(comparison.only_a), len(comparison.only_b)) == (0, 4, 1)
    assert not comparison.equal


def test_jobs_of_runs_with_another_fixed_parameter_are_paired_by_their_axes(
    small_run: SmallRun, run: Run, tmp_path: Path
) -> None:
    job = job_of(symbols=["SPY", "NVDA"], params={"commission": 1.0})
    comparison = compare(run, finished(job, tmp_path, small_run.cache))
    assert comparison.jobs == 4
    assert not comparison.equal
    cells = comparison.cells
    assert set(cells["job"]) == set(run.results()["job"])
    assert {"commission", "fees", "total_pnl", "id"} <= set(cells.filter(table="results")["column"])
    commission = cells.filter(column="commission")
    assert commission.select("a", "b").unique().rows() == [("0.65", "1.0")]
    assert "entry_date" not in cells["column"]
    fees = cells.filter(table="trades", column="fees")
    assert fees.height == run.trades().height


def test_an_axis_of_one_run_is_paired_with_the_fixed_value_of_the_other(
    small_run: SmallRun, run: Run, tmp_path: Path
) -> None:
    job = job_of(symbols=["SPY", "NVDA"], params={"delta": 0.25}, grid={"width": [5]})
    comparison = compare(run, finished(job, tmp_path, small_run.cache))
    assert (comparison.jobs, comparison.cells.height, comparison.only_b) == (2, 0, [])
    assert comparison.only_a == run.results().filter(delta=0.15)["job"].to_list()


def test_windows_are_paired_with_their_windows(small_run: SmallRun, tmp_path: Path) -> None:
    job = job_of(windows={"train": "1y", "test": "1y"}, grid={"delta": [0.15], "exit_dte": [None, 7]})
    one = finished(job, tmp_path / "a", small_run.cache)
    other = finished(job, tmp_path / "b", small_run.cache)
    comparison = compare(one, other)
    assert comparison.equal
    assert comparison.jobs == 4


def test_chunks_of_jobs_give_the_same_as_all_at_once(
    small_run: SmallRun, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Other batches on the other side, and the symbols and deltas the other way round.
    job = job_of(symbols=["NVDA", "SPY"], grid={"delta": [0.25, 0.15]}, params={"commission": 1.0})
    other = finished(job, tmp_path, small_run.cache)
    whole = compare(run, other)
    monkeypatch.setattr("options_bt.analysis.compare.CHUNK", 1)
    chunks = compare(run, other)
    assert_frame_equal(chunks.cells, whole.cells)
    assert (chunks.differing_cells, chunks.differing_jobs) == (whole.cells.height, 4)


def test_only_the_first_cells_of_each_table_are_kept_and_all_are_counted(
    small_run: SmallRun, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = finished(job_of(symbols=["SPY", "NVDA"], params={"commission": 1.0}), tmp_path, small_run.cache)
    whole = compare(run, other)
    monkeypatch.setattr("options_bt.analysis.compare.CHUNK", 1)
    some = compare(run, other, 7)
    tables = whole.cells.partition_by("table", maintain_order=True)
    assert_frame_equal(some.cells, pl.concat([table.head(7) for table in tables]))
    assert (some.differing_cells, some.differing_jobs) == (whole.cells.height, 4)


def test_a_failed_job_differs_from_a_done_one_and_equals_itself(small_run: SmallRun, run: Run, tmp_path: Path) -> None:
    failing = with_a_failure(job_of(symbols=["SPY", "NVDA"]), tmp_path, small_run.cache)
    assert compare(failing, failing).equal
    comparison = compare(run, failing)
    job = run.results()["job"][1]
    assert set(comparison.cells["job"]) == {job}
    status = comparison.cells.filter(column="status").row(0, named=True)
    assert (status["a"], status["b"]) == ("done", "failed")
    trades = comparison.cells.filter(table="trades", column="pnl")
    assert trades.height == run.trades(job).height


def test_a_run_that_has_nothing_yet_is_refused(small_run: SmallRun, run: Run, tmp_path: Path) -> None:
    copy = small_run.copy(tmp_path)
    for name in ("ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"):
        (copy / name).unlink(missing_ok=True)
    with pytest.raises(RunFolderError, match=r"ledger\.sqlite"):
        compare(run, open_run(copy))


def test_simulated_markets_of_other_seeds_differ(small_run: SmallRun, run: Run, tmp_path: Path) -> None:
    job = job_of(source="demo?seed=2", period={"start": "2023-01-01", "end": "2024-12-31"}, grid={"delta": [0.15]})
    comparison = compare(run, finished(job, tmp_path, small_run.cache))
    assert comparison.jobs == 1
    assert len(comparison.only_a) == 3
    assert {"results", "trades", "equity"} == set(comparison.cells["table"])


def test_tables_are_compared_where_both_runs_keep_them(small_run: SmallRun, run: Run, tmp_path: Path) -> None:
    job = job_of(symbols=["SPY", "NVDA"], run={"keep": "top 1"})
    best = finished(job, tmp_path, small_run.cache)
    (batch,) = best.batches()["batch"].drop_nulls()
    for a, b in ((run, best), (best, run)):
        comparison = compare(a, b)
        assert (comparison.equal, comparison.jobs, comparison.not_kept) == (True, 4, 3)
    part = RunFolder(best.path).part("trades", batch)
    changed("pnl", nudged)(pl.read_parquet(part)).write_parquet(part)
    comparison = compare(run, best)
    assert (comparison.differing_cells, comparison.differing_jobs, comparison.not_kept) == (1, 1, 3)


def test_nothing_is_left_out_for_a_failed_job(small_run: SmallRun, tmp_path: Path) -> None:
    failing = with_a_failure(job_of(), tmp_path, small_run.cache)
    assert compare(failing, failing).not_kept == 0
