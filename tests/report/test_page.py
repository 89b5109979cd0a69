"""The page as text: what it says of runs of every kind, that it is whole, closed and safe."""

from __future__ import annotations

import base64
import re
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from statistics import median

import polars as pl
import pytest
import yaml
from msgspec import structs

from options_bt.analysis.overfitting.statistics import overfitting
from options_bt.analysis.overfitting.text import verdict_text
from options_bt.analysis.run_reader import Run, open_run
from options_bt.analysis.walk_forward import walk_forward
from options_bt.engine.records import REFUSALS
from options_bt.errors import RunFolderError, StorageError
from options_bt.job.reading import read_job
from options_bt.job.schema import RunSettings
from options_bt.report.html import page, sections_of, write_report
from options_bt.report.run_data import MOST_ROWS
from tests.report.conftest import copied
from tests.report.parsed import Page
from tests.small_run import SmallRun, finished, job_of, with_a_failure, with_results

pytestmark = pytest.mark.slow

EVIL = "</script><script>alert(1)</script><b>&\"'"


def titles(run: Run) -> list[str]:
    return [one.text for one in Page(page(run)).all("h2")]


def headline(run: Run) -> str:
    return Page(page(run)).one("section", id="headline").text


def test_a_run_has_its_sections_in_order(whole: Run) -> None:
    assert titles(whole) == [
        "In short", "Ranking", "Heatmaps", "Parameter sensitivity", "Equity and drawdown", "The best in detail",
        "Better than luck?", "Refusals", "Data quality", "How to reproduce it",
    ]  # fmt: skip


def test_the_headline_says_what_was_run_on_what_and_what_came_out(whole: Run) -> None:
    text = headline(whole)
    best = whole.results().sort("sharpe", descending=True).row(0, named=True)
    assert "The prices are simulated" in text
    assert "4 backtests of put_credit_spread on SPY, NVDA, 2023-01-01 to 2024-12-31 over delta (0.15, 0.25)" in text
    assert "All are done." in text
    assert f"Best by sharpe: {best['symbol']}, delta {best['delta']} with sharpe {best['sharpe']:.2f}" in text
    assert f"their median sharpe is {median(whole.results()['sharpe'].to_list()):.2f}" in text
    assert "Data: demo: simulated market" in text


def test_the_headline_counts_the_trades_of_all_backtests(whole: Run) -> None:
    facts = Page(page(whole)).one("section", id="headline").text
    assert re.search(rf"(?<![\d,.]){whole.results()['trades'].sum():,}(?![\d,.])", facts)


def test_the_share_of_stale_days_is_of_the_days_of_open_positions(small_run: SmallRun, tmp_path: Path) -> None:
    whole = finished(job_of(params={"unquoted": "hold"}), tmp_path, small_run.cache)
    trades = whole.trades()
    share = sum(trades["stale_days"].to_list()) / sum(trades["quote_days"].to_list())
    assert 0 < share < 1
    assert f"On {share:.1%} of the days of open positions" in headline(whole)
    own = trades.filter(symbol="SPY")
    share = sum(own["stale_days"].to_list()) / sum(own["quote_days"].to_list())
    row = next(row for row in Page(page(whole)).table("Data by symbol") if row[0] == "SPY")
    days = whole.equity(whole.results().filter(symbol="SPY")["job"][0])["date"]
    assert row[1:4] == [str(days[0]), str(days[-1]), str(days.len())]
    assert row[5] == f"{share:.2%}"


def test_modelled_prices_are_told(small_run: SmallRun, tmp_path: Path) -> None:
    run = finished(job_of(params={"unquoted": "model"}, grid={}), tmp_path, small_run.cache)
    days, modelled = (sum(run.trades()[name].to_list()) for name in ("quote_days", "modelled_days"))
    exits = sum(run.trades()["modelled_exit"].to_list()) / run.trades().height
    assert modelled > 0
    assert f"on {modelled / days:.1%} the price of a leg was modelled, and {exits:.1%} of the trades" in headline(run)


def test_the_verdict_comes_first_and_its_numbers_in_a_section(whole: Run) -> None:
    found = Page(page(whole))
    text = verdict_text(overfitting(whole))
    paragraphs = [one.text for one in found.within(found.one("section", id="headline"), "p")]
    assert paragraphs[1] == text
    rows = found.table("Overfitting statistics")[1:]
    assert [row[0] for row in rows][:3] == ["trials", "left out", "without Sharpe"]
    assert all(row[2] for row in rows)
    odds = found.json("figures")["odds"]["data"]
    cscv = overfitting(whole).cscv
    assert cscv is not None
    worse = next(trace for trace in odds if trace["name"] == "worse half")
    assert sum(sum(trace["y"]) for trace in odds) == pytest.approx(1, abs=0.001)
    assert sum(worse["y"]) == pytest.approx(cscv.pbo, abs=0.001)


def test_a_run_with_windows_has_its_walk_forward_analysis(forward: Run) -> None:
    found = Page(page(forward))
    answer = walk_forward(forward)
    assert "Walk-forward" in titles(forward)
    rows = found.table("Choices by symbol and window")
    assert len(rows) == 1 + answer.choices.height
    assert [row[1] for row in rows[1:]] == ["1", "2"]
    efficiency = answer.out_of_sample["efficiency"][-1]
    text = found.one("section", id="walk-forward").text
    assert (f"Walk-forward efficiency {efficiency:.2f}" in text) == (efficiency is not None)
    drawn = {trace["name"]: trace["y"] for trace in found.json("figures")["stitched"]["data"] if "yaxis" not in trace}
    assert drawn["SPY"] == pytest.approx(answer.equity.filter(symbol="SPY")["equity"].to_list(), abs=0.01)
    assert found.table("How often each value was chosen")[0][0] == "axis"
    assert found.table("Successive windows with the same choice")[0][0] == "axis"


def test_real_data_is_not_called_simulated(whole: Run, tmp_path: Path) -> None:
    run = open_run(copied(whole, tmp_path))
    run.info = structs.replace(run.info, job=structs.replace(run.info.job, source="files:/data"), source="files:/data")
    assert "simulated" not in headline(run)


def test_the_ranked_table_has_the_rows_of_results_best_first(whole: Run) -> None:
    head, *rows = Page(page(whole)).table("All backtests, best first")
    assert head[:4] == ["job", "symbol", "delta", "sharpe"]
    assert [row[0] for row in rows] == whole.results().sort("sharpe", descending=True)["job"].to_list()
    assert [float(row[3]) for row in rows] == sorted((float(row[3]) for row in rows), reverse=True)


def test_a_failure_is_told_first_and_shown_with_its_traceback(failing: Run) -> None:
    assert "1 backtest failed; the others are done." in headline(failing)
    whole_page = Page(page(failing))
    row = whole_page.table("Backtests that failed")[1]
    assert row[0] == failing.results()["job"][1]
    assert row[-1] == "ZeroDivisionError: a fault of the test"
    assert "Traceback (most recent call last)" in whole_page.one("section", id="failures").text
    assert [row[3] for row in whole_page.table("All backtests")[1:]] == ["done", "failed"]


def test_a_run_of_one_backtest_has_no_axes(single: Run) -> None:
    assert titles(single) == [
        "In short", "Ranking", "Equity and drawdown", "The best in detail", "Better than luck?", "Refusals",
        "Data quality", "How to reproduce it",
    ]  # fmt: skip
    assert "1 backtest of put_credit_spread on SPY" in headline(single)
    assert "median" not in headline(single)


def test_a_run_without_trades_says_why(idle: Run) -> None:
    text = headline(idle)
    counts = {reason: idle.results()[f"refused_{reason}"].sum() for reason in REFUSALS}
    first = max(counts, key=lambda reason: counts[reason])
    assert counts["thin_credit"] > 0
    assert f"No backtest made a single trade. The most frequent reason was {first}, see Refusals." in text
    whole_page = Page(page(idle))
    rows = whole_page.table("Refusals by reason")[1:]
    assert {row[0]: int(row[1]) for row in rows} == {reason: count for reason, count in counts.items() if count}
    assert rows[0][0] == first
    assert "none" in whole_page.one("section", id="details").text


def test_windows_and_roles_are_axes(forward: Run) -> None:
    assert "in 2 walk-forward windows" in headline(forward)
    choices = Page(page(forward)).json("heatmap-cells")
    assert list(choices["axes"]) == ["delta", "window", "role"]
    assert choices["axes"]["role"] == ["train", "test"]


def test_an_unfinished_run_says_so(whole: Run, tmp_path: Path) -> None:
    run = with_results(copied(whole, tmp_path), whole.results().head(3))
    assert "The run is not finished: 1 backtest to go; 0 failed." in headline(run)


def test_a_run_that_has_nothing_is_refused(small_run: SmallRun, tmp_path: Path) -> None:
    from options_bt.runner.run_folder.ledger import Ledger

    copy = small_run.copy(tmp_path)
    (copy / "results.parquet").unlink()
    (copy / "ledger.sqlite").unlink()
    Ledger(copy / "ledger.sqlite").close()
    with pytest.raises(RunFolderError, match="no finished backtest yet"):
        page(open_run(copy))


def test_a_run_of_nothing_but_failures_has_a_page(small_run: SmallRun, tmp_path: Path) -> None:
    run = with_a_failure(job_of(grid={"delta": [0.25]}), tmp_path, small_run.cache)
    assert "No backtest is done, so there is nothing to rank." in headline(run)
    assert titles(run) == ["In short", "Ranking", "Failures", "How to reproduce it"]


def test_a_big_run_keeps_its_page_small_and_says_what_is_left_out(whole: Run, tmp_path: Path) -> None:
    results, times = whole.results(), 1250
    many = pl.concat([results] * times).with_columns(
        job=pl.format("{}-{}", "job", pl.int_range(pl.len())),
        delta=(0.1 + pl.int_range(pl.len()) // 4 / 10_000).round(4),
    )
    deltas = tuple(dict.fromkeys(many["delta"].to_list()))
    many = pl.concat([results.head(1), many.tail(-1)])  # the first has its equity and trades
    run = with_results(copied(whole, tmp_path), many, grid=(("delta", deltas),))
    html = page(run)
    rows = Page(html).table(f"The best {MOST_ROWS:,} of 5,000 backtests")
    assert len(rows) == MOST_ROWS + 1
    assert "The other 4,000 are in results.parquet" in html
    assert len(html) < 7_000_000


def test_what_a_user_wrote_is_shown_as_text(small_run: SmallRun, tmp_path: Path) -> None:
    legs = [{"name": EVIL, "right": "put", "side": "short", "delta": 0.2}]
    strategies = [{"name": EVIL, "legs": legs}, {"name": "plain", "legs": legs}]
    job = job_of(grid={"strategy": strategies, "entry_when": [None, "close > 1 -- </script><i>"]})
    run = finished(job, tmp_path, small_run.cache)
    html = page(run)
    found = Page(html)
    assert EVIL in html.replace("&lt;", "<").replace("&gt;", ">").replace("&#34;", '"').replace("&#39;", "'").replace(
        "&amp;", "&"
    )
    assert "alert(1)" not in "".join("".join(one.texts) for one in found.all("script") if not one.attributes)
    assert len(found.all("script")) == 4
    assert not found.all("i")
    assert not found.all("b")
    assert EVIL in [row[1] for row in found.table("All backtests")] or EVIL in headline(run)
    names = [trace["name"] for trace in found.json("figures")["equity"]["data"]]
    assert all("<" not in name for name in names)
    assert any("&lt;/script&gt;" in name for name in names)


def test_the_page_asks_nothing_of_any_network(any_run: Run) -> None:
    found = Page(page(any_run))
    policy = found.one("meta", http_equiv="Content-Security-Policy").attributes["content"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
    for element in found.elements:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            assert element.attributes.get(name, "#").startswith(("#", "data:")), element
        assert not [name for name in element.attributes if name.startswith("on")]
    style = "".join(found.one("style").texts)
    assert "url(" not in style
    assert "@import" not in style


def test_the_policy_names_each_script_of_the_page_and_no_other(whole: Run) -> None:
    found = Page(page(whole))
    policy = found.one("meta", http_equiv="Content-Security-Policy").attributes["content"]
    scripts = ["".join(one.texts) for one in found.all("script") if "type" not in one.attributes]
    digests = [base64.b64encode(sha256(script.encode()).digest()).decode() for script in scripts]
    assert re.findall(r"'sha256-([^']+)'", policy) == digests


def test_every_chart_has_a_summary_and_a_figure_without_nan(any_run: Run) -> None:
    found = Page(page(any_run))
    figures = found.json("figures")
    charts = found.all("div", class_="chart")
    assert charts
    assert {chart.attributes["data-figure"] for chart in charts} == set(figures)
    for chart in charts:
        assert chart.attributes["role"] == "img"
        assert len(chart.attributes["aria-label"]) > 20
    assert "NaN" not in "".join(found.one("script", id="figures").texts)


def test_the_page_is_in_order_for_a_screen_reader(any_run: Run) -> None:
    found = Page(page(any_run))
    assert found.one("html").attributes["lang"] == "en"
    assert [len(found.all(name)) for name in ("h1", "main", "nav", "header", "footer")] == [1] * 5
    levels = [int(one.name[1]) for one in found.elements if re.fullmatch("h[1-6]", one.name)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [one.attributes["id"] for one in found.elements if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    for link in found.all("a"):
        assert link.attributes["href"][1:] in ids
    for control in (*found.all("select"), *found.all("input")):
        assert any(outer.name == "label" for outer in control.around)
    for table in found.all("table"):
        if table.attributes.get("id") != "heatmap-table":  # which the script fills
            assert found.within(table, "caption")
            assert all(head.attributes["scope"] == "col" for head in found.within(table, "th"))
    for section in found.all("section"):
        assert section.attributes["aria-labelledby"] in ids


def test_the_job_file_on_the_page_gives_the_same_job(any_run: Run) -> None:
    (text,) = ["".join(one.texts) for one in Page(page(any_run)).all("pre") if one.text.startswith("name:")]
    again, faults = read_job(yaml.safe_load(text))
    assert again is not None, faults
    assert structs.replace(again, repeated=0) == structs.replace(any_run.job, repeated=0)


def test_versions_and_fingerprints_are_those_of_the_run(whole: Run) -> None:
    found = Page(page(whole))
    assert dict(map(tuple, found.table("Versions")[1:])) == whole.info.versions  # type: ignore[arg-type]  # rows of two
    assert dict(map(tuple, found.table("Fingerprints")[1:])) == whole.info.fingerprints  # type: ignore[arg-type]
    assert "options-bt run small-quick.yaml" in page(whole)


def test_a_password_is_nowhere(whole: Run, tmp_path: Path) -> None:
    run = open_run(copied(whole, tmp_path))
    run.info = structs.replace(run.info, job=structs.replace(run.info.job, source="mysql://me:***@127.0.0.1:3306"))
    assert "Its password is masked here." in page(run)


def test_a_page_that_cannot_be_written_is_told(whole: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        write_report(whole, tmp_path / "file" / "report.html")


@pytest.mark.parametrize("keep", ["metrics", "top 1"])
def test_tables_that_are_not_kept_are_on_the_page_all_the_same(
    forward: Run, small_run: SmallRun, tmp_path: Path, keep: str
) -> None:
    bare = finished(structs.replace(forward.job, run=RunSettings(keep=keep)), tmp_path, small_run.cache)
    ours, theirs = (sections_of(run)[:-1] for run in (forward, bare))  # the last has the job file
    assert [one.title for one in theirs] == [one.title for one in ours]
    assert str(theirs) == str(ours)
