"""The page in a real browser: sorting, filters, hover, choices, dark, narrow, printed, by keyboard, and silent."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from options_bt.analysis.run_reader import Run
from options_bt.report.html import write_report
from tests.report.browser import Opened, browser, opened, require_chromium
from tests.report.conftest import KINDS

pytestmark = pytest.mark.browser

DARK, WHITE = "rgb(18, 22, 27)", "rgb(255, 255, 255)"
Look = Callable[[str], Opened]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    require_chromium()
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    written = {kind: folder / f"{kind}.html" for kind in KINDS}
    for kind, path in written.items():
        write_report(request.getfixturevalue(kind), path)
    return written


@pytest.fixture(scope="module")
def look(chromium: Browser, files: dict[str, Path]) -> Look:
    """Return the page of a kind of run, opened once: a test sets what it needs, others may have set the rest."""
    return cache(lambda kind: opened(chromium, files[kind]))


def column(page: Page, number: int) -> list[str]:
    return page.locator(f"#ranked tbody tr:not([hidden]) td:nth-child({number})").all_text_contents()


def ground(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_page_opens_without_a_complaint_or_a_request(look: Look, kind: str) -> None:
    seen = look(kind)
    charts = seen.page.locator(".chart:visible")
    assert charts.count() == seen.page.locator(".chart:visible.js-plotly-plot").count() > 0
    seen.expect_silence()


def test_a_heading_sorts_numbers_by_value_and_tells_how(look: Look) -> None:
    seen = look("whole")
    heading = seen.page.locator("#ranked th", has_text="total_pnl")
    number = 1 + seen.page.locator("#ranked th").all_text_contents().index("total_pnl")
    heading.locator("button").click()
    values = [float(text.replace(",", "")) for text in column(seen.page, number)]
    assert heading.get_attribute("aria-sort") == "descending"
    assert values == sorted(values, reverse=True)
    heading.locator("button").focus()
    seen.page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    assert [float(text.replace(",", "")) for text in column(seen.page, number)] == sorted(values)
    seen.page.locator("#ranked th button", has_text="symbol").click()
    assert column(seen.page, 2) == ["NVDA", "NVDA", "SPY", "SPY"]
    assert heading.get_attribute("aria-sort") is None
    seen.expect_silence()


def test_undefined_values_come_last_both_ways(look: Look) -> None:
    seen = look("failing")
    heading = seen.page.locator("#ranked th button", has_text="sharpe")
    for _ in range(2):
        heading.click()
        assert column(seen.page, 5)[-1] == "-"


def test_filters_leave_the_rows_that_were_asked_for(look: Look) -> None:
    seen = look("whole")
    form = seen.page.locator("form[data-table=ranked]")
    form.get_by_label("symbol").select_option("SPY")
    assert column(seen.page, 2) == ["SPY", "SPY"]
    assert form.locator("output").text_content() == "2 of 4 rows"
    form.get_by_label("contains").fill("0.15")
    assert column(seen.page, 3) == ["0.15"]
    form.get_by_label("contains").fill("no such thing")
    assert column(seen.page, 1) == []
    form.get_by_label("contains").fill("")
    form.get_by_label("symbol").select_option("")
    assert form.locator("output").text_content() == "4 rows"


def test_hovering_over_the_equity_shows_every_line(look: Look) -> None:
    page = look("whole").page
    chart = page.locator("#chart-equity")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 120)
    label = page.locator("#chart-equity .hoverlayer")
    expect(label).to_contain_text(re.compile(r"SPY, delta 0\.15 ?: \$\d+,\d{3}"))
    text = label.text_content() or ""
    assert len(re.findall(r"\$\d+,\d{3}", text)) == 4
    assert re.search(r"20\d\d-\d\d-\d\d", text)


def test_no_button_of_a_chart_would_send_it_anywhere(look: Look) -> None:
    buttons = look("whole").page.locator(".modebar-btn")
    titles = {button.get_attribute("data-title") for button in buttons.all()}
    assert "Download plot as a PNG" in titles
    assert not [title for title in titles if re.search("share|cloud|studio|upload|edit", title or "", re.I)]


def test_the_cells_of_the_heatmap_are_those_of_the_results(look: Look, whole: Run) -> None:
    page = look("whole").page
    drawn = page.evaluate("(({x, y, z}) => ({x, y, z}))(document.getElementById('chart-heatmap').data[0])")
    assert (drawn["x"], drawn["y"]) == (["SPY", "NVDA"], ["0.15", "0.25"])
    for delta, row in zip(drawn["y"], drawn["z"], strict=True):
        for symbol, value in zip(drawn["x"], row, strict=True):
            (sharpe,) = whole.results().filter(symbol=symbol, delta=float(delta))["sharpe"]
            assert value == pytest.approx(sharpe, rel=1e-4)


def test_the_heatmap_takes_any_two_axes_and_a_metric(look: Look) -> None:
    seen = look("forward")
    form = seen.page.locator("#heatmap-choices")
    form.locator("[name=down]").select_option("role")
    form.locator("[name=across]").select_option("window")
    form.locator("[name=metric]").select_option("trades")
    table = seen.page.locator("#heatmap-table")
    assert table.locator("caption").text_content() == "Mean trades by role and window; role all"
    assert table.locator("tr").first.locator("th").all_text_contents() == ["role / window", "1", "2"]
    assert form.locator("[name=filter-role]").is_disabled()
    drawn = seen.page.evaluate("(({x, y, z}) => ({x, y, z}))(document.getElementById('chart-heatmap').data[0])")
    assert (drawn["x"], drawn["y"]) == (["1", "2"], ["train", "test"])
    assert [f"{value:.0f}" for row in drawn["z"] for value in row] == table.locator("td").all_text_contents()
    form.locator("[name=across]").select_option("role")  # which is down: the other gives way
    assert form.locator("[name=down]").input_value() != "role"
    form.locator("[name=down]").select_option("delta")
    form.locator("[name=across]").select_option("window")
    form.locator("[name=metric]").select_option("sharpe")
    whole = table.locator("td").all_text_contents()
    form.locator("[name=filter-role]").select_option("test")
    assert table.locator("td").all_text_contents() != whole
    seen.expect_silence()


def test_a_job_is_chosen_by_its_list_or_by_its_link(look: Look) -> None:
    seen = look("whole")
    select = seen.page.locator("form[data-panels=job] select")
    names = select.locator("option").all_text_contents()
    assert len(names) == 4
    select.select_option(index=2)
    assert seen.page.locator("#details h3:visible").all_text_contents() == [names[2]]
    assert seen.page.locator("#details .panel:visible .chart.js-plotly-plot").count() == 3
    link = seen.page.locator("#ranked tbody a").first
    job = link.text_content()
    link.click()
    expect(select).to_have_value(f"job-{job}")
    expect(select).to_be_focused()
    assert seen.page.locator("#details .panel:visible").get_attribute("id") == f"job-{job}"
    seen.expect_silence()


def test_dark_light_and_paper_follow_the_reader(look: Look) -> None:
    seen = look("whole")
    painted = seen.page.locator("#chart-equity .main-svg").first
    for settings, color in (
        ({"color_scheme": "dark"}, DARK),
        ({"media": "print"}, WHITE),
        ({"media": "screen"}, DARK),
        ({"color_scheme": "light"}, WHITE),
    ):
        seen.page.emulate_media(**settings)  # type: ignore[arg-type]  # its own words
        expect(painted).to_have_css("background-color", color)
        assert ground(seen.page) == color
        assert seen.page.locator("nav").is_hidden() == ("print" in settings.values())
    seen.expect_silence()


def test_on_paper_tables_are_whole(look: Look) -> None:
    page = look("whole").page
    page.emulate_media(media="print")
    for table in page.locator(".scroll:visible").all():
        assert table.evaluate("node => node.scrollHeight <= node.clientHeight + 1")
    page.emulate_media(media="screen")


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_but_a_table_scrolls_sideways_on_a_narrow_screen(look: Look, kind: str) -> None:
    seen = look(kind)
    seen.page.set_viewport_size({"width": 360, "height": 740})
    for chart in seen.page.locator(".chart:visible .main-svg:first-child").all():
        expect(chart).to_have_css("width", re.compile(r"^3[0-4]\d(\.\d+)?px$"))
    assert seen.page.evaluate("document.documentElement.scrollWidth") == 360
    seen.page.set_viewport_size({"width": 1280, "height": 720})
    seen.expect_silence()


def test_a_finger_scrolls_the_page_and_does_not_zoom_a_chart(chromium: Browser, files: dict[str, Path]) -> None:
    seen = opened(chromium, files["single"], viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    assert seen.page.evaluate("document.getElementById('chart-equity').layout.dragmode") is False
    seen.expect_silence()


def test_the_keyboard_reaches_the_content_first_and_every_control(look: Look) -> None:
    page = look("single").page
    page.evaluate(
        """() => {
            window.reached = new Map();
            addEventListener("focusin", ({ target }) => reached.set(target, getComputedStyle(target).outlineStyle));
        }"""
    )
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    for _ in range(page.locator("main :is(select, input, button, summary, a[href], [tabindex])").count()):
        page.keyboard.press("Tab")
    controls = "[...document.querySelectorAll('main :is(select, input, button, summary, a[href])')]"
    wanted = f"{controls}.filter((one) => !one.disabled && one.checkVisibility())"
    assert page.evaluate(f"{wanted}.length") > 20
    assert page.evaluate(f"{wanted}.filter((one) => !reached.has(one)).map((one) => one.outerHTML)") == []
    unmarked = "[...reached].filter(([one, outline]) => outline === 'none' && one.id !== 'main')"
    assert page.evaluate(f"{unmarked}.map(([one]) => one.outerHTML)") == []


def test_a_screen_reader_hears_a_name_for_everything(look: Look) -> None:
    tree = look("whole").page.locator("body").aria_snapshot()
    for part in (
        '- heading "small-quick" [level=1]',
        "- main:",
        '- navigation "Sections"',
        '- region "In short"',
        '- img "Equity and drawdown of 4 backtests by date;',
        '- table "All backtests, best first"',
        '- combobox "Backtest"',
    ):
        assert part in tree, part
    assert not re.search(r"- (button|combobox|searchbox|table|region)(:| \[|$)", tree, re.M)


def test_without_scripts_every_table_is_there(chromium: Browser, files: dict[str, Path]) -> None:
    page = chromium.new_context(java_script_enabled=False).new_page()
    page.goto(files["whole"].as_uri())
    assert page.locator("#details .panel:visible").count() == 4
    assert page.locator("#details table:visible").count() == 4


def test_the_policy_stops_a_script_that_is_not_the_pages_own(chromium: Browser, files: dict[str, Path]) -> None:
    seen = opened(chromium, files["single"])
    seen.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.stolen = 1'}))"
    )
    assert seen.page.evaluate("window.stolen") is None
    assert seen.page.evaluate("fetch('https://example.org').then(() => 'left', () => 'stopped')") == "stopped"
    assert any("Content Security Policy" in message for message in seen.messages)
