from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from options_bt.analysis.job_text import job_text
from options_bt.analysis.run_reader import Run, open_run
from options_bt.engine.metrics import METRICS
from options_bt.errors import RunFolderError
from options_bt.job.parameters import FIELDS
from tests.small_run import SmallRun, job_of, with_a_failure, with_results


@pytest.fixture
def run(small_run: SmallRun) -> Run:
    return open_run(small_run.path)


@pytest.fixture(scope="module")
def failing(small_run: SmallRun, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return with_a_failure(job_of(symbols=["SPY", "NVDA"]), tmp_path_factory.mktemp("runs"), small_run.cache)


def sections(text: str) -> dict[str, list[str]]:
    """Return the lines of each section of a job's text by its title."""
    found: dict[str, list[str]] = {}
    for block in text.rstrip("\n").split("\n\n"):
        title, *lines = block.splitlines()
        found[title] = lines
    return found


def test_one_job_is_shown_with_parameters_metrics_refusals_and_trades(run: Run) -> None:
    row = run.results().row(3, named=True)
    shown = sections(job_text(run, row["job"]))
    assert list(shown) == ["Parameters", "Metrics", "Refusals", "Trades"]
    names = {title: [line.split()[0] for line in lines] for title, lines in shown.items()}
    assert names["Parameters"] == ["job", "symbol", "window", "role", "start", "end", "status", "strategy", *FIELDS]
    assert names["Metrics"] == [name for name in METRICS if not name.startswith("refused_")]
    assert names["Refusals"] == [name for name in METRICS if name.startswith("refused_") and row[name]]
    values = dict(line.split(maxsplit=1) for line in [*shown["Parameters"], *shown["Metrics"], *shown["Refusals"]])
    assert (values["symbol"], values["delta"], values["dte"], values["exit_dte"]) == ("NVDA", "0.25", "30-45", "-")
    assert values["trades"] == str(row["trades"])
    assert values["refused_no_expiration"] == str(row["refused_no_expiration"])


def test_every_trade_of_a_job_is_a_line_with_its_legs(run: Run) -> None:
    job = run.results()["job"][2]
    header, _, *lines = sections(job_text(run, job))["Trades"]
    trades = run.trades(job)
    assert header.split()[:4] == ["entry_date", "exit_date", "expiration", "legs"]
    assert len(lines) == trades.height
    first = trades.row(0, named=True)
    short, long = first["legs"]
    assert lines[0].split()[:3] == [str(first[name]) for name in ("entry_date", "exit_date", "expiration")]
    assert f"-1x{short['strike']}p +1x{long['strike']}p" in lines[0]
    assert lines[0].split()[-2:] == [first["exit_reason"], str(first["stale_days"])]


def test_the_first_characters_of_an_id_are_enough(run: Run) -> None:
    job = run.results()["job"][0]
    assert job_text(run, job[:8]) == job_text(run, job)


def test_a_job_without_refusals_and_trades_says_so(small_run: SmallRun, tmp_path: Path) -> None:
    path = small_run.copy(tmp_path)
    results = open_run(path).results()
    nothing = results.with_columns(pl.lit(0, pl.Int64).alias(name) for name in METRICS if name.startswith("refused_"))
    run = with_results(path, nothing)
    assert sections(job_text(run, results["job"][0]))["Refusals"] == ["  none"]


def test_a_failed_job_is_shown_with_its_traceback(failing: Run) -> None:
    job = failing.results().filter(status="failed")["job"][0]
    text = job_text(failing, job)
    assert "  status" in text
    assert "Failed after 1 attempts\nTraceback (most recent call last):" in text
    assert text.rstrip().endswith("ZeroDivisionError: a fault of the test")
    assert "\nTrades\n" not in text


def test_an_unknown_job_is_refused(run: Run) -> None:
    with pytest.raises(RunFolderError, match="has no job 'nothing'"):
        job_text(run, "nothing")
