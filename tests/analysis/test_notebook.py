"""What a notebook shows of a run."""

from __future__ import annotations

from pathlib import Path

from options_bt.analysis.run_reader import open_run
from tests.report.parsed import Page
from tests.small_run import SmallRun, finished, job_of, with_a_failure, with_results

EVIL = "<script>alert(1)</script>"


def test_a_run_shows_its_state_its_data_and_its_best(small_run: SmallRun) -> None:
    run = open_run(small_run.path)
    page = Page(run._repr_html_())
    text = page.one("p").text
    assert text.startswith("small-quick : 4 of 4 backtests done, 0 failed")
    assert "Data: demo: simulated market" in text
    head, *rows = page.table("The best 4 by sharpe")
    assert head[:4] == ["job", "symbol", "delta", "sharpe"]
    assert [row[0] for row in rows] == run.results().sort("sharpe", descending=True)["job"].to_list()


def test_a_failure_is_counted(small_run: SmallRun, tmp_path: Path) -> None:
    run = with_a_failure(job_of(), tmp_path, small_run.cache)
    assert "1 of 2 backtests done, 1 failed" in run._repr_html_()


def test_a_run_without_results_says_so(small_run: SmallRun, tmp_path: Path) -> None:
    copy = small_run.copy(tmp_path)
    run = with_results(copy, open_run(copy).results().head(0))
    assert "0 of 4 backtests done" in run._repr_html_()
    assert "No results yet" in run._repr_html_()


def test_what_a_user_wrote_is_text(small_run: SmallRun, tmp_path: Path) -> None:
    legs = [{"name": "one", "right": "put", "side": "short", "delta": 0.2}]
    job = job_of(grid={"strategy": [{"name": EVIL, "legs": legs}]})
    html = finished(job, tmp_path, small_run.cache)._repr_html_()
    assert EVIL not in html
    assert EVIL in [row[2] for row in Page(html).table("The best 1")]
