from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from options_bt.errors import Fault
from options_bt.job.objectives import OBJECTIVES
from options_bt.job.parameters import FIELDS, Parameters
from options_bt.job.reading import read_job
from options_bt.job.schema import JobFile, Period, RunSettings
from options_bt.job.strategies import STRATEGIES
from options_bt.job.windows import Windows

BASE: dict[str, Any] = {"name": "x", "symbols": ["SPY"], "period": {"start": "2019-01-01", "end": "2024-12-31"}}


def valid(**entries: Any) -> JobFile:
    job, faults = read_job(BASE | entries)
    assert job is not None, faults
    assert faults == []
    return job


def faults_of(**entries: Any) -> list[Fault]:
    job, faults = read_job(BASE | entries)
    assert job is None
    assert faults
    return faults


def only_fault(**entries: Any) -> Fault:
    faults = faults_of(**entries)
    assert len(faults) == 1, faults
    return faults[0]


def test_three_keys_are_enough() -> None:
    job = valid()
    assert job.period == Period(date(2019, 1, 1), date(2024, 12, 31))
    assert (job.source, job.grid, job.windows, job.objective) == ("demo", (), None, "sharpe")
    assert job.strategy == STRATEGIES["put_credit_spread"]
    assert job.params == Parameters()
    assert (job.run.workers, job.run.timeout, job.run.retries, job.run.keep) == ("auto", 300.0, 1, "auto")


def test_everything_at_once() -> None:
    job = valid(
        source="files:quotes",
        columns={"strike": "Strike"},
        quick={"start": "2023-01-01", "symbols": ["SPY"]},
        grid={"delta": [0.1, 1], "dte": [7, [21, 30], {"min": 30, "max": 45, "target": 35}], "strategy": ["long_put"]},
        params={"width": 3, "stop_loss": None, "entry_every": ["wed", "mon"], "entry_when": "rsi_14 < 30"},
        windows={"train": "2y", "test": "26w", "anchored": True, "embargo": "5d"},
        objective="calmar",
        run={"workers": 4, "timeout": 10, "retries": 0},
    )
    assert job.grid == (
        ("delta", (0.1, 1.0)),
        ("dte", ("7-7", "21-30", "30-45@35")),
        ("strategy", (STRATEGIES["long_put"],)),
    )
    assert (job.params.width, job.params.stop_loss, job.params.entry_every) == (3.0, None, "mon,wed")
    assert job.windows == Windows(train="2y", test="26w", anchored=True, embargo="5d")
    assert job.quick is not None
    assert (job.quick.start, job.quick.end, job.quick.symbols) == (date(2023, 1, 1), None, ("SPY",))


def test_every_fault_is_listed_at_once_with_its_path() -> None:
    faults = faults_of(
        name="../x",
        symbols=["SPY", 5],
        period={"start": "2019-13-01"},
        sorce="demo",
        source="mysl://h",
        quick={"stat": "2020-01-01"},
        grid={"detla": [1], "delta": [0.1, 2, "a"], "dte": []},
        params={"width": -1, "commission": "free"},
        windows={"train": "2 years", "test": "1y", "step": 1},
        objective="sharp",
        run={"workers": 0},
    )
    assert sorted(fault.path for fault in faults) == sorted(
        [
            "name",
            "symbols[1]",
            "period.start",
            "period.end",
            "sorce",
            "source",
            "quick.stat",
            "grid.detla",
            "grid.delta[1]",
            "grid.delta[2]",
            "grid.dte",
            "params.width",
            "params.commission",
            "windows.train",
            "windows.step",
            "objective",
            "run.workers",
        ]
    )
    assert all(fault.allowed for fault in faults)


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": (
        {"simbols": ["A"]},
        "simbols: unknown key (did you mean 'symbols'?); allowed: name, symbols, period, source, columns, quick, "
        "strategy, grid, params, windows, objective, run",
    ),
    "too large": ({"grid": {"delta": [0.1, 1.5]}}, "grid.delta[1]: got 1.5; allowed: a number above 0 and at most 1"),
    "zero": ({"params": {"width": 0}}, "params.width: got 0; allowed: a number above 0"),
    "a text": ({"params": {"capital": "1,000"}}, 'params.capital: got "1,000"; allowed: a number above 0'),
    "true is no number": ({"params": {"capital": True}}, "params.capital: got true; allowed: a number above 0"),
    "a part of a contract": (
        {"params": {"contracts": 1.5}},
        "params.contracts: got 1.5; allowed: a whole number from 1 to 1000000",
    ),
    "a rule that is off": (
        {"params": {"profit_target": 0}},
        "params.profit_target: got 0; allowed: a number above 0, or null",
    ),
    "null": ({"params": {"delta": None}}, "params.delta: got null; allowed: a number above 0 and at most 1"),
    "not a number": (
        {"params": {"delta": float("nan")}},
        "params.delta: got nan; allowed: a number above 0 and at most 1",
    ),
    "infinite": ({"params": {"capital": float("inf")}}, "params.capital: got inf; allowed: a number above 0"),
    "no range": (
        {"grid": {"dte": ["30-45", "45-30"]}},
        'grid.dte[1]: got "45-30"; allowed: a range of days such as 30-45, or 30-45@35 with a target; from 1 to 10000',
    ),
    "no weekday": (
        {"params": {"entry_every": ["monday"]}},
        'params.entry_every: got ["monday"]; allowed: any, first_of_week, or a list of weekdays such as [mon, wed]',
    ),
    "the wrong choice": ({"params": {"unquoted": "drop"}}, 'params.unquoted: got "drop"; allowed: hold, model'),
    "a value for a list": (
        {"grid": {"delta": 0.2}},
        "grid.delta: got 0.2; allowed: a list of at least one value",
    ),
    "a list for a mapping": ({"params": [1]}, "params: got [1]; allowed: a mapping of keys to values"),
    "a text for a list": ({"symbols": "SPY"}, 'symbols: got "SPY"; allowed: a list of tickers, at least one'),
    "no symbols": ({"symbols": []}, "symbols: got []; allowed: a list of tickers, at least one"),
    "a strange ticker": (
        {"symbols": ["SPY", "../etc"]},
        'symbols[1]: got "../etc"; allowed: a ticker such as AAPL or BRK.B',
    ),
    "a name that is a path": (
        {"name": "runs/x"},
        "name: got \"runs/x\"; allowed: a plain file name: letters, digits, '.', '_' and '-', "
        "starting with a letter or digit",
    ),
    "a period backwards": (
        {"period": {"start": "2020-01-02", "end": "2020-01-01"}},
        "period.end: got 2020-01-01; allowed: 2020-01-02 or later",
    ),
    "half a period": (
        {"period": {"start": "2020-01-02"}},
        "period.end: missing; allowed: a date such as 2019-01-01",
    ),
    "no date": (
        {"period": {"start": "2020-02-30", "end": "2021-01-01"}},
        'period.start: got "2020-02-30"; allowed: a date such as 2019-01-01',
    ),
    "the nearest strategy": (
        {"grid": {"strategy": ["put_credit_spred"]}},
        "grid.strategy[0]: got \"put_credit_spred\" (did you mean 'put_credit_spread'",
    ),
    "the nearest objective": (
        {"objective": "Sharp"},
        f"objective: got \"Sharp\" (did you mean 'sharpe'?); allowed: {', '.join(OBJECTIVES)}",
    ),
    "the nearest source": (
        {"source": "file:quotes"},
        "source: got a source of kind \"file\" (did you mean 'files'?); "
        "allowed: demo, files:PATH or mysql://user@host:port",
    ),
    "an axis that is fixed too": (
        {"grid": {"delta": [0.1]}, "params": {"delta": 0.2}},
        "grid.delta: also given as params.delta; allowed: one of the two",
    ),
    "a strategy that is an axis too": (
        {"grid": {"strategy": ["short_put"]}, "strategy": "short_put"},
        "grid.strategy: also given as strategy; allowed: one of the two",
    ),
    "two widths": (
        {"params": {"width": 5, "width_pct": 0.05}},
        "params.width_pct: also given: width; allowed: width or width_pct",
    ),
    "two sizes": (
        {"params": {"contracts": 2}, "grid": {"risk": [0.01]}},
        "params.risk: also given: contracts; allowed: contracts or risk",
    ),
    "too few windows": (
        {"windows": {"train": "2y", "test": "1y", "count": 5}},
        "windows: the period 2019-01-01 to 2024-12-31 has room for 4; allowed: 5: lengthen it or shorten the windows",
    ),
    "no window": (
        {"windows": {"train": "6y", "test": "1y"}},
        "windows: the period 2019-01-01 to 2024-12-31 has room for 0; "
        "allowed: at least 1: lengthen it or shorten the windows",
    ),
    "a duration": (
        {"windows": {"train": "2 years", "test": "1y"}},
        'windows.train: got "2 years"; allowed: a number of years, months, weeks or days such as 2y, 6m, 26w or 90d',
    ),
    "an embargo that is no duration": (
        {"windows": {"train": "2y", "test": "1y", "embargo": 5}},
        "windows.embargo: got 5; allowed: a number of years, months, weeks or days such as 2y, 6m, 26w or 90d, or null",
    ),
    "an embargo as long as the training": (
        {"windows": {"train": "2y", "test": "1y", "embargo": "24m"}},
        'windows.embargo: got "24m", which leaves no training in window 1; allowed: less than train, which is 2y',
    ),
    "an embargo as long as the training of February": (
        {"windows": {"train": "1m", "test": "1m", "embargo": "28d"}},
        'windows.embargo: got "28d", which leaves no training in window 2; allowed: less than train, which is 1m',
    ),
    "an embargo before all dates": (
        {"windows": {"train": "2y", "test": "1y", "embargo": "9999y"}},
        'windows.embargo: got "9999y", which leaves no training in window 1; allowed: less than train, which is 2y',
    ),
    "quick days backwards": (
        {"quick": {"start": "2025-01-01"}},
        "quick: its end is before its start; allowed: days up to 2024-12-31",
    ),
    "a quick ticker": ({"quick": {"symbols": [7]}}, "quick.symbols[0]: got 7; allowed: a ticker such as AAPL or BRK.B"),
    "keep": (
        {"run": {"keep": "top 0"}},
        'run.keep: got "top 0"; allowed: auto, all, metrics, or top and a number, such as top 100',
    ),
    "workers": (
        {"run": {"workers": "many"}},
        'run.workers: got "many"; allowed: a whole number from 1 to 256, or auto',
    ),
    "a column that is no text": (
        {"columns": {"strike": 1}},
        'columns: got {"strike":1}; allowed: a mapping of our name to the vendor\'s',
    ),
    "a predicate": (
        {"params": {"entry_when": "rsi < 30"}},
        "params.entry_when: got 'rsi < 30': unable to find column \"rsi\"",
    ),
}


@pytest.mark.parametrize(("entries", "message"), FAULTS.values(), ids=FAULTS)
def test_a_fault_says_where_what_was_got_and_what_is_allowed(entries: dict[str, Any], message: str) -> None:
    assert str(only_fault(**entries)).startswith(message)


@pytest.mark.parametrize("key", ["name", "symbols", "period"])
def test_a_missing_key_is_named(key: str) -> None:
    job, faults = read_job({name: value for name, value in BASE.items() if name != key})
    assert job is None
    assert [(fault.path, fault.problem) for fault in faults] == [(key, "missing")]


@pytest.mark.parametrize("data", [None, "text", 5, [1, 2], [BASE]])
def test_a_file_that_is_no_mapping_is_rejected(data: Any) -> None:
    job, faults = read_job(data)
    assert job is None
    assert [fault.allowed for fault in faults] == ["a mapping of keys to values"]


@pytest.mark.parametrize("name", ["a", "2024", "grid-1", "x" * 100, "a.b_c-D"])
def test_plain_file_names_are_names(name: str) -> None:
    assert valid(name=name).name == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".x", "-x", "a/b", "a\\b", "/a", "a.", "a b", "ä", "x" * 101, "a\n", 5]
)
def test_what_could_be_a_path_is_no_name(name: Any) -> None:
    assert only_fault(name=name).path == "name"


@pytest.mark.parametrize("symbol", ["A", "BRK.B", "BF-B", "^SPX", "ON", "NO", "spy", "SIM001"])
def test_tickers(symbol: str) -> None:
    assert valid(symbols=[symbol]).symbols == (symbol,)


@pytest.mark.parametrize("symbol", ["", ".", "..", "A/B", "A B", True, None, 1.5, "X" * 21])
def test_what_could_be_a_path_is_no_ticker(symbol: Any) -> None:
    assert only_fault(symbols=[symbol]).path == "symbols[0]"


def test_equal_values_count_once_and_are_counted() -> None:
    job = valid(symbols=["A", "B", "A"], grid={"width": [5, 5.0, 6]})
    assert job.symbols == ("A", "B")
    assert job.grid == (("width", (5.0, 6.0)),)
    assert job.repeated == 2


def test_the_second_of_an_exclusive_pair_may_be_null() -> None:
    assert valid(params={"width": 5, "width_pct": None}).params.width == 5.0


@pytest.mark.parametrize("source", ["demo", "demo?profile=dense", "files:x", "mysql://u@h", "${SOURCE}", "${KIND}:x"])
def test_sources(source: str) -> None:
    assert valid(source=source).source == source


@pytest.mark.parametrize("source", ["mysl://u:hunter2@h", "postgres:hunter2", "root:hunter2@h:3306"])
def test_a_password_is_not_shown_with_a_source_that_is_rejected(source: str) -> None:
    assert "hunter2" not in str(only_fault(source=source))


@pytest.mark.parametrize("source", [["mysql://u:hunter2@h"], {"mysql": "//u:hunter2@h"}])
def test_a_password_is_not_shown_with_a_source_that_is_no_text(source: Any) -> None:
    assert "hunter2" not in str(only_fault(source=source))


@pytest.mark.parametrize(
    "entries",
    [
        {"windows": {"train": "9999y", "test": "1y"}},
        {"windows": {"train": "99999999999d", "test": "1y"}},
        {"windows": {"train": "2y", "test": "1y"}, "period": {"start": "2019-01-01", "end": "9999-12-31"}},
    ],
)
def test_windows_past_the_last_date_are_no_crash(entries: dict[str, Any]) -> None:
    read_job(BASE | entries)


@pytest.mark.parametrize("name", ["max_days", "exit_dte"])
def test_a_number_that_no_job_can_hold_is_rejected(name: str) -> None:
    assert only_fault(params={name: 10**30}).path == f"params.{name}"


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["short_put", "30-45", "mon", "2y", "demo", "2020-01-01", "SPY", "close > 1"])
)
keys = st.sampled_from(
    ["name", "symbols", "start", "end", "train", "test", "count", "workers", "legs", "arms", "strategy", *FIELDS]
) | st.text(max_size=3)
trees = st.recursive(
    scalars, lambda deeper: st.lists(deeper, max_size=4) | st.dictionaries(keys, deeper, max_size=4), max_leaves=12
)


@settings(max_examples=150)
@given(key=st.sampled_from([*(set(JobFile.__struct_fields__) - {"repeated"})]), value=trees)
def test_any_value_of_a_key_is_either_read_or_rejected_below_that_key(key: str, value: Any) -> None:
    job, faults = read_job(BASE | {key: value})
    assert (job is None) == bool(faults)
    for fault in faults:
        assert fault.path.startswith((key, "params", "windows"))
        assert str(fault)


@settings(max_examples=100)
@given(data=trees)
def test_any_data_is_either_read_or_rejected(data: Any) -> None:
    job, faults = read_job(data)
    assert job is None
    assert faults


@pytest.mark.parametrize(
    ("keep", "small", "large"),
    [("all", 50, 10_001), ("metrics", 0, 0), ("top 20", 20, 20), ("top 100", 50, 100), ("auto", 50, 100)],
)
def test_keep_says_of_how_many_jobs_the_tables_are_stored(keep: str, small: int, large: int) -> None:
    job = valid(run={"keep": keep})
    assert (job.run.kept(50), job.run.kept(10_001)) == (small, large)
    assert RunSettings().kept(10_000) == 10_000


@pytest.mark.parametrize(
    "keep", ["top", "top -1", "top 1.5", "top100", "top 100\n", "all trades", "none", 5, True, ["all"]]
)
def test_what_is_no_value_of_keep_is_rejected(keep: object) -> None:
    _, faults = read_job(BASE | {"run": {"keep": keep}})
    assert [fault.path for fault in faults] == ["run.keep"]
