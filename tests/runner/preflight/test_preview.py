from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from options_bt.data.cache.cache import Cache
from options_bt.errors import SourceError
from options_bt.job.load import load_job
from options_bt.job.planner import Plan
from options_bt.job.spec import JobSpec
from options_bt.runner.preflight import estimate
from options_bt.runner.preflight.preview import preview
from options_bt.runner.run import pull_job
from tests.small_run import SmallRun, job_of


def shown(cache: Path, first: int = 5, workers: int | str = 1, **entries: Any) -> list[str]:
    return preview(Plan(job_of(**entries)), cache, workers, first).splitlines()


def line(lines: list[str], title: str) -> str:
    (found,) = (text for text in lines if text.split()[0] == title)
    return found.split(maxsplit=1)[1]


def test_the_whole_preview_of_a_small_job(small_run: SmallRun, tmp_path: Path) -> None:
    plan = Plan(load_job(small_run.jobfile, quick=True))
    assert re.sub(r"\([^)]*rough[^)]*\)", "(rough)", preview(plan, tmp_path, 1, 3)) == (
        "small-quick: 4 backtests from 2023-01-01 to 2024-12-31\n"
        "  source    demo: simulated market (sparse, seed 1)\n"
        "  symbols   2 symbols x 2 backtests: SPY, NVDA\n"
        "  spans     1 span x 2 combinations\n"
        "            full: 2023-01-01 to 2024-12-31\n"
        "  axis      delta: 0.15, 0.25\n"
        "  data      2021 to 2024; 0 of 8 symbol-years are cached (0 quotes), 8 to pull\n"
        "  estimate  1 s with 1 worker, 161 MB of memory (rough)\n"
        "first 3:\n"
        "     0  SPY 2023-01-01..2024-12-31 put_credit_spread delta=0.15\n"
        "     1  SPY 2023-01-01..2024-12-31 put_credit_spread delta=0.25\n"
        "     2  NVDA 2023-01-01..2024-12-31 put_credit_spread delta=0.15\n"
    )


def test_nothing_is_written(tmp_path: Path) -> None:
    shown(tmp_path / "cache")
    assert list(tmp_path.iterdir()) == []


def test_every_window_is_listed_with_its_days(tmp_path: Path) -> None:
    lines = shown(
        tmp_path,
        first=3,
        period={"start": "2019-01-01", "end": "2024-12-31"},
        windows={"train": "2y", "test": "1y", "count": 2},
    )
    assert lines[0] == "two: 8 backtests from 2019-01-01 to 2024-12-31"
    assert line(lines, "symbols") == "1 symbol x 8 backtests: SPY"
    at = lines.index("  spans     4 spans x 2 combinations")
    assert [text.strip() for text in lines[at + 1 : at + 5]] == [
        "window 1 train: 2019-01-01 to 2020-12-31",
        "window 1 test: 2021-01-01 to 2021-12-31",
        "window 2 train: 2020-01-01 to 2021-12-31",
        "window 2 test: 2022-01-01 to 2022-12-31",
    ]
    assert lines[-1].split(maxsplit=1)[1] == ("SPY 2021-01-01..2021-12-31 window 1 test put_credit_spread delta=0.15")


def test_the_data_is_that_of_the_period_and_the_two_years_before_as_far_as_there_is_some(tmp_path: Path) -> None:
    whole = shown(tmp_path, period={"start": "2022-06-01", "end": "2023-02-01"})
    assert line(whole, "data").startswith("2020 to 2023; 0 of 4 symbol-years")
    cut = shown(tmp_path, period={"start": "2019-06-01", "end": "2030-02-01"})
    assert line(cut, "data").startswith("2019 to 2024; 0 of 6 symbol-years")


def test_cached_data_is_counted_and_not_to_be_pulled(small_run: SmallRun) -> None:
    cache = Cache(small_run.cache, "demo")
    manifests = [cache.manifest(symbol) for symbol in ("SPY", "NVDA")]
    quotes = sum(manifest.years[year].rows for manifest in manifests if manifest for year in range(2021, 2025))
    lines = preview(Plan(load_job(small_run.jobfile, quick=True)), small_run.cache, 1, 0).splitlines()
    assert line(lines, "data") == f"2021 to 2024; 8 of 8 symbol-years are cached ({quotes:,} quotes)"


def test_only_the_symbols_and_years_that_lack_would_be_pulled(small_run: SmallRun) -> None:
    lines = shown(small_run.cache, symbols=["SPY", "MSFT"])
    assert re.fullmatch(
        r"2021 to 2024; 4 of 8 symbol-years are cached \(\d\d,\d{3} quotes\), 4 to pull", line(lines, "data")
    )


def test_a_file_of_the_wrong_size_is_to_be_pulled(small_run: SmallRun, tmp_path: Path) -> None:
    cache = Path(shutil.copytree(small_run.cache, tmp_path / "cache"))
    (cache / "demo/chain/SPY/2022.parquet").write_bytes(b"half")
    assert "3 of 4 symbol-years" in line(shown(cache), "data")


def test_the_cached_quotes_of_a_symbol_that_lacks_a_year_are_counted(tmp_path: Path) -> None:
    pull_job(job_of(period={"start": "2021-01-01", "end": "2021-06-30"}), tmp_path, shown=False)
    manifest = Cache(tmp_path, "demo").manifest("SPY")
    assert manifest is not None
    quotes = sum(file.rows for file in manifest.years.values())
    assert line(shown(tmp_path, period={"start": "2021-01-01", "end": "2022-06-30"}), "data") == (
        f"2019 to 2022; 3 of 4 symbol-years are cached ({quotes:,} quotes), 1 to pull"
    )


@pytest.mark.parametrize(
    ("first", "expected"), [(0, []), (1, ["0"]), (2, ["0", "1"]), (100, ["0", "1"])], ids=["0", "1", "2", "100"]
)
def test_so_many_jobs_are_listed(tmp_path: Path, first: int, expected: list[str]) -> None:
    lines = shown(tmp_path, first=first)
    at = lines.index(f"first {len(expected)}:")
    assert [text.split()[0] for text in lines[at + 1 :]] == expected


def test_the_jobs_are_listed_in_the_order_of_the_plan_with_all_their_axes(tmp_path: Path) -> None:
    grid = {"strategy": ["put_credit_spread", "short_put"], "dte": [[7, 21], "30-45@40"], "exit_dte": [None, 21]}
    lines = shown(tmp_path, first=100, grid=grid)
    assert [text.split(maxsplit=1)[1] for text in lines[lines.index("first 8:") + 1 :]] == [
        f"SPY 2023-01-01..2024-12-31 {strategy} strategy={strategy} dte={dte} exit_dte={exit_dte}"
        for strategy in ("put_credit_spread", "short_put")
        for dte in ("7-21", "30-45@40")
        for exit_dte in (None, 21)
    ]
    assert "  axis      strategy: put_credit_spread, short_put" in lines


def test_long_lists_are_shortened(tmp_path: Path) -> None:
    lines = shown(tmp_path, grid={"width": list(range(1, 21))})
    assert line(lines, "axis") == "width: 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, ... 20.0"


def test_a_job_without_axes_has_one_combination(tmp_path: Path) -> None:
    lines = shown(tmp_path, grid={})
    assert lines[0].startswith("two: 1 backtest from ")
    assert line(lines, "spans") == "1 span x 1 combination"
    assert lines[-1] == "     0  SPY 2023-01-01..2024-12-31 put_credit_spread"


def test_equal_values_that_were_taken_out_are_told(tmp_path: Path) -> None:
    lines = shown(tmp_path, symbols=["SPY", "SPY"], grid={"delta": [0.2, 0.20, 0.3]})
    assert line(lines, "repeated") == "2 duplicate values were dropped"
    assert not any("repeated" in text for text in shown(tmp_path))


@pytest.mark.parametrize(
    ("years", "expected"), [(1, "8 min with 1 worker"), (6, "50 min with 1 worker")], ids=["1 year", "6 years"]
)
def test_a_million_jobs_are_previewed_without_being_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, years: int, expected: str
) -> None:
    made: list[int] = []
    original = Plan.combination

    def counted(self: Plan, number: int) -> dict[str, Any]:
        made.append(number)
        return original(self, number)

    monkeypatch.setattr(Plan, "combination", counted)
    monkeypatch.setattr(estimate, "SECONDS_PER_JOB_YEAR", 0.0005)
    grid = {name: [n / 100 for n in range(1, 101)] for name in ("delta", "profit_target", "slippage")}
    lines = shown(tmp_path, first=2, grid=grid, period={"start": "2019-01-01", "end": f"{2018 + years}-12-31"})
    assert lines[0].startswith("two: 1,000,000 backtests from ")
    assert line(lines, "estimate").startswith(expected)
    assert len(made) == 2


def test_long_runs_are_told_in_hours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "SECONDS_PER_JOB_YEAR", 0.0005)
    grid = {name: [n / 100 for n in range(1, 101)] for name in ("delta", "profit_target", "slippage")}
    lines = shown(tmp_path, grid=grid | {"stop_loss": [1, 2, 3]}, period={"start": "2019-01-01", "end": "2024-12-31"})
    assert line(lines, "estimate").startswith("2.5 h with 1 worker")


def test_more_workers_take_less_time_and_more_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "SECONDS_PER_JOB_YEAR", 0.0005)
    grid = {name: [n / 100 for n in range(1, 101)] for name in ("delta", "profit_target", "slippage")}
    texts = [line(shown(tmp_path, grid=grid, workers=workers), "estimate") for workers in (1, 4)]
    numbers = [[float(n.replace(",", "")) for n in re.findall(r"[\d,.]*\d", text)] for text in texts]
    (one_time, one, one_memory, *_), (four_time, four, four_memory, *_) = numbers
    assert (one, four) == (1, 4)
    assert four_time == pytest.approx(one_time / 4, rel=0.2)
    assert four_memory > one_memory


def test_every_unknown_symbol_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"has \d+ symbols, but not all") as caught:
        shown(tmp_path, symbols=["SPYY", "QQQQQQ", "SPY"])
    assert "\n  QQQQQQ: no quotes" in str(caught.value)
    assert "\n  SPYY: no quotes (did you mean 'SPY'" in str(caught.value)


def test_a_period_without_quotes_is_refused_with_the_days_that_have_some(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has quotes from 2019-01-01 to 2024-12-31, none in the job's 1998 to 2001"):
        shown(tmp_path, period={"start": "2000-01-01", "end": "2001-12-31"})


def test_what_is_listed_is_what_the_plan_has(tmp_path: Path) -> None:
    plan = Plan(job_of(grid={"delta": [0.1, 0.2], "entry_every": ["any", ["wed", "mon"]]}))
    text = preview(plan, tmp_path, 1, len(plan))

    def described(spec: JobSpec) -> str:
        return f"delta={spec.params.delta} entry_every={spec.params.entry_every}"

    assert [one for one in text.splitlines() if "entry_every=" in one] == [
        f"  {number:>4}  SPY 2023-01-01..2024-12-31 put_credit_spread {described(spec)}"
        for number, spec in enumerate(plan)
    ]
