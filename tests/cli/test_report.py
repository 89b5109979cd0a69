"""The report: written by a run and by a command, and no run is worse without it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from options_bt.analysis.run_reader import open_run
from options_bt.report import html
from options_bt.report.parts import charts_of
from tests.cli.terminal import Command, refused
from tests.report.browser import require_chromium
from tests.small_run import SmallRun, contents

pytestmark = pytest.mark.slow


def without(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a package as good as not installed."""
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)


def test_report_writes_a_page_into_the_run_folder(command: Command, small_run: SmallRun) -> None:
    copy = small_run.copy(Path("runs"))
    before = contents(copy)
    answer = command("report", "small-quick")
    assert (answer.code, answer.out) == (0, "Report: runs/small-quick/report.html\n")
    after = contents(copy)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"report.html"}
    assert after["report.html"].startswith(b"<!doctype html>")


def test_report_writes_where_it_is_told(command: Command, small_run: SmallRun) -> None:
    answer = command("report", small_run.path, "--output", "pages/one.html")
    assert (answer.code, answer.out) == (0, "Report: pages/one.html\n")
    assert Path("pages/one.html").is_file()
    assert not (small_run.path / "report.html").exists()


def test_no_such_run_is_refused(command: Command, small_run: SmallRun) -> None:
    refused(command("report", small_run.path.with_name("small-quik")), "did you mean 'small-quick'")


@pytest.mark.browser
def test_images_are_those_of_the_charts(command: Command, small_run: SmallRun) -> None:
    require_chromium()
    copy = small_run.copy(Path("runs"))
    answer = command("report", copy, "--images", "svg")
    images = sorted((copy / "images").iterdir())
    charts = {chart.id for chart in charts_of(html.sections_of(open_run(copy)))}
    assert answer.lines[1] == f"Images: {len(charts)} in {copy / 'images'}"
    assert {image.name for image in images} == {f"{name}.svg" for name in charts}
    for image in images:
        assert image.read_text().startswith("<svg")
    assert "Equity and drawdown" in (copy / "images" / "equity.svg").read_text()


def test_images_without_a_browser_say_how_to_get_one(
    command: Command, small_run: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROWSER_PATH", "/nowhere/chromium")
    answer = command("report", small_run.path, "--output", "one.html", "--images", "png")
    assert answer.code == 2
    assert "none was found; on Debian and Ubuntu: apt install chromium" in answer.err
    assert Path("one.html").is_file()


@pytest.mark.parametrize("package", ["jinja2", "plotly"])
def test_without_the_extra_it_says_how_to_get_it(
    command: Command, small_run: SmallRun, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    without(package, monkeypatch)
    answer = command("report", small_run.path)
    assert answer.code == 2
    assert f"Reports need the package {package}" in answer.err
    assert "pip install 'options-bt[report]'" in answer.err


def test_a_run_ends_with_its_report(command: Command, small_run: SmallRun) -> None:
    answer = command("run", small_run.jobfile, "--quick", "-q")
    assert (answer.code, answer.lines[-1]) == (0, "Report: runs/small-quick/report.html")
    assert Path("runs/small-quick/report.html").is_file()


def test_a_run_without_the_extra_is_whole_and_says_why_there_is_no_report(
    command: Command, small_run: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    without("plotly", monkeypatch)
    answer = command("run", small_run.jobfile, "--quick", "-q")
    assert answer.code == 0
    assert answer.lines[-1] == "Results: runs/small-quick/results.parquet"
    assert "No report was written: Reports need the package plotly" in answer.err
    assert not Path("runs/small-quick/report.html").exists()


def test_a_fault_of_the_report_never_fails_the_run(
    command: Command, small_run: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> None:
        raise KeyError("a fault of the test")

    monkeypatch.setattr(html, "page", broken)
    answer = command("run", small_run.jobfile, "--quick", "-q")
    assert answer.code == 0
    assert "No report was written: KeyError: 'a fault of the test'" in answer.err
    assert "Traceback" not in answer.err
    assert open_run("runs/small-quick").results().height == 4


def test_a_report_is_written_again_only_for_other_results(command: Command, small_run: SmallRun) -> None:
    report = small_run.copy(Path("runs")) / "report.html"
    report.write_text("this is mine")
    assert command("run", small_run.jobfile, "--quick", "-q").lines[-1] == f"Report: {report}"
    assert report.read_text() == "this is mine"
    os.utime(report, (0, 0))
    command("run", small_run.jobfile, "--quick", "-q")
    assert report.read_text().startswith("<!doctype html>")


def test_a_run_that_is_refused_writes_no_report(command: Command, small_run: SmallRun) -> None:
    path = small_run.copy(Path("runs"))
    answer = command("run", small_run.jobfile, "--quick", "-q", "--set", "delta=[0.1]", "--top", 0)
    assert answer.code == 2
    assert not (path / "report.html").exists()
