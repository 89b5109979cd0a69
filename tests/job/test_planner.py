from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from options_bt.job.load import load_job
from options_bt.job.planner import Plan
from options_bt.job.reading import read_job
from options_bt.job.schema import JobFile
from options_bt.job.spec import JobSpec
from options_bt.job.strategies import STRATEGIES

JOBS = Path(__file__).resolve().parents[2] / "jobs"
AXES: dict[str, list[Any]] = {
    "delta": [0.1, 0.15, 0.2],
    "dte": ["7-21", "30-45", "30-45@35"],
    "width": [1.0, 5.0],
    "stop_loss": [None, 1.0, 2.0],
    "strategy": ["short_put", "iron_condor"],
    "entry_every": ["any", "mon"],
}


def job_of(**entries: Any) -> JobFile:
    base = {"name": "x", "symbols": ["SPY"], "period": {"start": "2019-01-01", "end": "2024-12-31"}}
    job, faults = read_job(base | entries)
    assert job is not None, faults
    return job


@st.composite
def jobs(draw: st.DrawFn) -> JobFile:
    names = draw(st.permutations(list(AXES)))[: draw(st.integers(0, 3))]
    grid = {name: draw(st.lists(st.sampled_from(AXES[name]), min_size=1, max_size=4)) for name in names}
    symbols = draw(st.lists(st.sampled_from(["A", "B", "C"]), min_size=1, max_size=4))
    windows = draw(st.sampled_from([{}, {"windows": {"train": "2y", "test": "1y"}}]))
    return job_of(symbols=symbols, grid=grid, **windows)


def described(spec: JobSpec) -> tuple[Any, ...]:
    return (spec.symbol, spec.window, spec.role, spec.start, spec.end, spec.strategy, spec.params)


@settings(max_examples=60)
@given(job=jobs())
def test_a_plan_is_the_product_of_symbols_spans_and_axes(job: JobFile) -> None:
    plan = Plan(job)
    expected = []
    for symbol, span in product(job.symbols, plan.spans):
        for values in product(*(values for _, values in job.grid)):
            chosen = dict(zip((name for name, _ in job.grid), values, strict=True))
            expected.append((symbol, span, chosen))
    specs = [plan[position] for position in range(len(plan))]
    assert len(specs) == len(expected) == len({spec.id("data") for spec in specs})
    for spec, (symbol, span, chosen) in zip(specs, expected, strict=True):
        assert (spec.symbol, spec.window, spec.role, spec.start, spec.end) == (symbol, *span)
        for name, value in chosen.items():
            assert (spec.strategy if name == "strategy" else getattr(spec.params, name)) == value
    assert list(plan) == specs


@settings(max_examples=40)
@given(job=jobs(), data=st.data())
def test_positions_and_slices_are_those_of_a_list(job: JobFile, data: st.DataObject) -> None:
    plan = Plan(job)
    specs = list(plan)
    position = data.draw(st.integers(-len(specs), len(specs) - 1))
    assert plan[position] == specs[position]
    part = data.draw(st.slices(len(specs)))
    assert plan[part] == specs[part]
    assert plan[position] in plan


def test_positions_outside_are_rejected_with_the_length() -> None:
    plan = Plan(job_of(grid={"delta": [0.1, 0.2]}))
    for position in (2, -3):
        with pytest.raises(IndexError, match=f"the plan has 2 jobs, got position {position}"):
            plan[position]


@pytest.mark.parametrize(("name", "count"), [("delta", 20), ("dte", 16), ("grid", 60), ("walk_forward", 160)])
def test_the_example_files_have_their_jobs(name: str, count: int) -> None:
    plan = Plan(load_job(JOBS / f"{name}.yaml"))
    assert len(plan) == count == len(set(plan))
    assert plan.per_symbol * 4 == count


@pytest.mark.parametrize("name", ["delta", "dte", "grid", "walk_forward"])
def test_the_example_files_have_a_quick_form(name: str) -> None:
    plan = Plan(load_job(JOBS / f"{name}.yaml", quick=True))
    assert plan.job.name == f"{name}-quick"
    assert 0 < len(plan) <= 60


def test_the_last_axis_goes_fastest_and_symbols_slowest() -> None:
    plan = Plan(job_of(symbols=["A", "B"], grid={"delta": [0.1, 0.2], "width": [1, 2]}))
    order = [(spec.symbol, spec.params.delta, spec.params.width) for spec in plan]
    assert order == list(product(["A", "B"], [0.1, 0.2], [1.0, 2.0]))


def test_a_million_jobs_are_counted_without_being_made(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = {
        "delta": [n / 1000 for n in range(1, 101)],
        "width": list(range(1, 101)),
        "profit_target": [n / 100 for n in range(1, 101)],
    }
    job = job_of(grid=grid)
    made: list[int] = []
    original = Plan.combination

    def counted(self: Plan, number: int) -> dict[str, Any]:
        made.append(number)
        return original(self, number)

    monkeypatch.setattr(Plan, "combination", counted)
    plan = Plan(job)
    assert len(plan) == 1_000_000
    assert made == []
    assert isinstance(plan, Sequence)
    assert not isinstance(plan, list)
    last = plan[999_999]
    assert (last.params.delta, last.params.width, last.params.profit_target) == (0.1, 100.0, 1.0)
    assert plan[-1] == last
    assert next(iter(plan)) == plan[0]
    assert len(made) == 4


def test_equal_values_of_an_axis_make_one_job() -> None:
    job = job_of(symbols=["A", "A"], grid={"dte": ["30-45", [30, 45], "30-45@37.5"], "delta": [0.2, 0.20, 0.3]})
    assert len(Plan(job)) == 2
    assert job.repeated == 4


def test_a_plan_needs_the_two_years_before_its_period() -> None:
    assert list(Plan(job_of(period={"start": "2021-06-01", "end": "2022-03-31"})).years) == [2019, 2020, 2021, 2022]


def test_what_is_no_axis_comes_from_the_file() -> None:
    spec = Plan(job_of(strategy="long_call", params={"width": 3}, grid={"delta": [0.3]}))[0]
    assert described(spec)[:6] == ("SPY", 0, "full", date(2019, 1, 1), date(2024, 12, 31), STRATEGIES["long_call"])
    assert (spec.params.width, spec.params.delta) == (3.0, 0.3)
