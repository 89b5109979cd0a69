"""The benchmarks: the trades that they compare are the same, each runs at its smallest size, pages agree."""

from __future__ import annotations

import os
import re
from pathlib import Path

import polars as pl
import pytest

from benchmarks import growth
from benchmarks.alternatives import alternative_rows, rules_of, same_trades, write_chain
from benchmarks.bench import put_into_page, table
from benchmarks.grid import grid_rows
from benchmarks.growth import AXES, Point, chart, points, summary
from benchmarks.kernel import kernel_rows, yardstick_rows
from benchmarks.market import market_rows
from benchmarks.measuring import MemorySample, Observed, Row
from benchmarks.plain import Rules
from benchmarks.sweep import sweep_file, sweep_rows
from options_bt.job.load import load_job
from options_bt.job.planner import Plan

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "performance.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose cache all of these share."""
    return tmp_path_factory.mktemp("benches")


def test_the_yardstick_makes_the_trades_of_the_engine(folder: Path) -> None:
    assert yardstick_rows(folder / "cache", quick=True)[0].ratio == "1.00"


def test_the_backtest_in_polars_makes_the_trades_of_the_engine(folder: Path) -> None:
    write_chain(folder)
    managed = Rules(0.2, 0.1, profit_target=0.5, stop_loss=1.0)
    settled = Rules(0.2, 0.1, exit_dte=0)
    same_trades(folder, [*rules_of(1), managed, settled])


def test_other_trades_are_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_chain(folder)
    monkeypatch.setattr("benchmarks.plain.SLIPPAGE", 0.6)
    with pytest.raises(SystemExit, match="other trades"):
        same_trades(folder, rules_of(1))


def test_every_part_of_the_table_runs_at_its_smallest(folder: Path) -> None:
    rows = [
        *kernel_rows(folder / "cache", quick=True),
        *market_rows(folder, range(2024, 2025), rounds=1),
        *alternative_rows(folder, 1, 2, os.environ.get("OPTIONS_BT_PEER", "")),
        *grid_rows(folder, rounds=1),
        *sweep_rows(folder, 100),
    ]
    text = table({"All": rows})
    assert text.count("\n| ") == len(rows) + 1
    assert "100 backtests of 4 symbols" in text
    assert "nan" not in text


def test_growth_runs_at_its_smallest(folder: Path) -> None:
    found = list(points(folder, jobs=100, symbols=1, rows=200, workers=1))
    assert {point.axis for point in found} == set(AXES)
    assert all(point.seconds > 0 and point.peak > 0 for point in found)


@pytest.mark.parametrize("jobs", [4, 100, 1000, 10_000, 200_000, 1_000_000])
def test_a_sweep_has_as_many_backtests_as_asked(jobs: int, tmp_path: Path) -> None:
    assert len(Plan(load_job(sweep_file(tmp_path, "sweep", jobs)))) == jobs


def test_growth_is_told_as_a_power() -> None:
    rows = [Point("jobs", 10, 1.0, 100.0, 150.0), Point("jobs", 100, 10.0, 110.0, 160.0, 50.0, 40.0)]
    found = pl.DataFrame(rows, orient="row", schema=list(Point._fields))
    text = summary(found)
    assert "| jobs | 100 | 10.0 | 110 MB | 160 MB |" in text
    assert "from 10 to 100, 10 times as many, the time grew 10.00 times (as the power 1.00)" in text
    assert "the coordinator's memory 1.10 times. The last tenth went at 0.80 times the speed of the first." in text
    assert chart("jobs", found).figure["data"][1]["y"] == [1.0, 10.0]


def test_a_peak_may_be_asked_for_until_a_moment() -> None:
    told = Observed(2.0, (MemorySample(0.1, 5, 50), MemorySample(1.0, 7, 60), MemorySample(1.5, 9)))
    assert (told.peak(), told.peak(until=1.2), told.peak(until=0.0), told.peak("whole")) == (9, 7, 0, 60)


def test_only_what_stands_between_the_marks_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- table -->\nold\n<!-- end of table -->\nafter\n")
    put_into_page("table", table({"New": [Row("one", "1", "2 s")]}), page)
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("<!-- end of table -->\nafter\n")
    assert "| one | 1 | 2 s |" in text and "old" not in text


@pytest.mark.parametrize(("name", "saved"), [("table", "table.md"), ("growth", "growth.md")])
def test_the_page_shows_what_was_saved(name: str, saved: str) -> None:
    shown = re.search(rf"<!-- {name} -->\n(.*)<!-- end of {name} -->", PAGE.read_text(), re.S)
    assert shown is not None
    _, _, text = (ROOT / "benchmarks" / saved).read_text().partition("\n\n")
    assert shown[1].strip() == text.strip()


def test_what_is_told_of_growth_comes_from_the_saved_points() -> None:
    saved = pl.read_csv(growth.POINTS)
    assert summary(saved) in growth.TEXT.read_text()
    for axis in saved["axis"].unique():
        assert f"(images/growth-{axis.replace(' ', '-')}.svg)" in PAGE.read_text()
