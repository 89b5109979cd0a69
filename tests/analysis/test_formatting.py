from __future__ import annotations

import io
import json
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from options_bt.analysis.formatting import formatted, text_table
from options_bt.analysis.run_reader import Run, open_run
from tests.small_run import SmallRun


@pytest.fixture
def run(small_run: SmallRun) -> Run:
    return open_run(small_run.path)


def test_csv_and_json_and_parquet_give_back_every_value(run: Run) -> None:
    results = run.results()
    assert_frame_equal(pl.read_csv(io.BytesIO(formatted(results, "csv")), schema=results.schema), results)
    assert formatted(results, "csv").splitlines()[0].decode() == ",".join(results.columns)
    rows = json.loads(formatted(results, "json"))
    assert [list(row) for row in rows] == [results.columns] * 4
    for row, expected in zip(rows, results.iter_rows(named=True), strict=True):
        assert row == expected | {"start": "2023-01-01", "end": "2024-12-31"}
    assert_frame_equal(pl.read_parquet(io.BytesIO(formatted(results, "parquet"))), results, check_exact=True)


@pytest.mark.parametrize("form", ["csv", "json", "parquet", "table"])
def test_no_rows_are_a_valid_file(run: Run, form: Any) -> None:
    none = run.results().head(0)
    data = formatted(none, form)
    if form == "csv":
        assert data.decode().split() == [",".join(none.columns)]
    elif form == "json":
        assert json.loads(data) == []
    elif form == "parquet":
        assert pl.read_parquet(io.BytesIO(data)).schema == none.schema
    else:
        assert len(data.splitlines()) == 2


def test_numbers_stand_to_the_right_and_text_to_the_left() -> None:
    frame = pl.DataFrame({"symbol": ["A", "LONGER"], "trades": [1, 1000], "sharpe": [0.12345678, None]})
    assert text_table(frame) == (
        "symbol  trades  sharpe\n------  ------  ------\nA            1    0.12\nLONGER    1000       -\n"
    )


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("win_rate", 0.9615384, "96.15%"),
        ("max_drawdown", 0.00449, "0.45%"),
        ("total_pnl", 1234567.891, "1,234,567.89"),
        ("total_pnl", -1234.5, "-1,234.50"),
        ("sharpe", 0.0012, "0.00"),
        ("sharpe", 1.0, "1.00"),
        ("sharpe", None, "-"),
        ("win_rate", None, "-"),
        ("premium", 0.585, "0.58"),
        ("delta", 0.15, "0.15"),
        ("delta", 0.125, "0.125"),
        ("width", 5.0, "5"),
        ("contracts", 12.0, "12"),
        ("dte", "30-45", "30-45"),
    ],
)
def test_cells_are_made_for_reading(column: str, value: Any, expected: str) -> None:
    assert text_table(pl.DataFrame({column: [value]})).splitlines()[-1].strip() == expected


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("pnl", 12345.67, "12,345.67"),
        ("pnl", -1234567.0, "-1,234,567.00"),
        ("capital", 1_000_000.0, "1,000,000"),
        ("capital", 1_234_567.0, "1,234,567"),
        ("delta", 0.12345678, "0.12345678"),
    ],
)
def test_no_digit_of_dollars_or_parameters_is_lost(column: str, value: Any, expected: str) -> None:
    shown = text_table(pl.DataFrame({column: [value]})).splitlines()[-1].strip()
    assert shown.replace(",", "") == expected.replace(",", "")


def test_a_table_without_rows_has_its_header() -> None:
    assert text_table(pl.DataFrame(schema={"job": pl.String, "n": pl.Int64})) == "job  n\n---  -\n"
