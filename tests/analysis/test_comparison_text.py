from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from options_bt.analysis.compare import compare
from options_bt.analysis.comparison_text import comparison_text
from options_bt.analysis.run_reader import Run, open_run
from tests.small_run import SmallRun, finished, job_of, with_results


@pytest.fixture
def run(small_run: SmallRun) -> Run:
    return open_run(small_run.path)


def of_values(small_run: SmallRun, tmp_path: Path, column: str, values: list[Any], **job: Any) -> Run:
    """The small run with these values in a column of its four results."""
    results = open_run(small_run.path).results()
    series = pl.Series(column, values, dtype=results[column].dtype)
    return with_results(small_run.copy(tmp_path), results.with_columns(series), **job)


def test_equal_runs_are_told_in_a_line(run: Run) -> None:
    text = comparison_text(compare(run, run), 20)
    assert text == "4 jobs are bit-identical in results, trades and equity\n"


def test_the_first_differing_cells_are_printed_with_how_many_there_are(
    small_run: SmallRun, run: Run, tmp_path: Path
) -> None:
    other = of_values(small_run, tmp_path, "sharpe", [1.0, 2.0, 3.0, 4.0])
    text = comparison_text(compare(run, other), 3)
    first, header, _, *cells = text[: text.index("\n\n")].splitlines()
    assert first == "4 cells of 4 common jobs differ"
    assert header.split() == ["job", "table", "row", "column", "a", "b"]
    assert len(cells) == 3
    assert {cell.split()[3] for cell in cells} == {"sharpe"}
    sharpe = dict(run.results().select("job", "sharpe").rows())
    assert all(float(cell.split()[4]) == sharpe[cell.split()[0]] for cell in cells)


def test_jobs_that_only_one_run_has_are_named(small_run: SmallRun, run: Run, tmp_path: Path) -> None:
    one = finished(job_of(grid={"delta": [0.15]}), tmp_path, small_run.cache)
    missing = [job for job in run.results()["job"] if job != one.results()["job"][0]]
    for comparison, side in ((compare(run, one), "A"), (compare(one, run), "B")):
        text = comparison_text(comparison, 20)
        assert text.startswith(f"3 jobs only in {side}: ")
        assert all(job in text for job in missing)
        assert "differ" not in text
