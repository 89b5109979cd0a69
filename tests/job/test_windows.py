from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec import structs

from options_bt.job.windows import Span, Windows, shifted, spans

DAY = timedelta(days=1)
days = st.dates(date(2000, 1, 1), date(2030, 12, 31))
months = st.builds("{}{}".format, st.integers(1, 30), st.sampled_from("m")) | st.sampled_from(["1y", "2y", "3y"])
weeks = st.builds("{}{}".format, st.integers(1, 60), st.sampled_from("wd")).filter(lambda text: text != "1d")
durations = months | weeks
windows = st.builds(
    Windows,
    train=durations,
    test=durations,
    step=durations | st.none(),
    count=st.integers(1, 20) | st.none(),
    anchored=st.booleans(),
    embargo=st.none() | st.builds("{}{}".format, st.integers(1, 30), st.sampled_from("dwm")),
)


def only_tests(found: list[Span]) -> list[Span]:
    return [span for span in found if span.role == "test"]


def assert_tests_tile(found: list[Span]) -> None:
    tests = only_tests(found)
    for before, after in pairwise(tests):
        assert after.start == before.end + DAY


def test_without_windows_there_is_one_full_span() -> None:
    start, end = date(2019, 1, 1), date(2024, 12, 31)
    assert spans(start, end, None) == [Span(0, "full", start, end)]


def test_four_windows_of_two_years_and_one() -> None:
    found = spans(date(2019, 1, 1), date(2024, 12, 31), Windows(train="2y", test="1y", step="1y", count=4))
    assert found == [
        Span(1, "train", date(2019, 1, 1), date(2020, 12, 31)),
        Span(1, "test", date(2021, 1, 1), date(2021, 12, 31)),
        Span(2, "train", date(2020, 1, 1), date(2021, 12, 31)),
        Span(2, "test", date(2022, 1, 1), date(2022, 12, 31)),
        Span(3, "train", date(2021, 1, 1), date(2022, 12, 31)),
        Span(3, "test", date(2023, 1, 1), date(2023, 12, 31)),
        Span(4, "train", date(2022, 1, 1), date(2023, 12, 31)),
        Span(4, "test", date(2024, 1, 1), date(2024, 12, 31)),
    ]


def test_anchored_windows_keep_the_first_start_and_grow() -> None:
    found = spans(date(2019, 1, 1), date(2022, 6, 30), Windows(train="2y", test="6m", anchored=True))
    assert found == [
        Span(1, "train", date(2019, 1, 1), date(2020, 12, 31)),
        Span(1, "test", date(2021, 1, 1), date(2021, 6, 30)),
        Span(2, "train", date(2019, 1, 1), date(2021, 6, 30)),
        Span(2, "test", date(2021, 7, 1), date(2021, 12, 31)),
        Span(3, "train", date(2019, 1, 1), date(2021, 12, 31)),
        Span(3, "test", date(2022, 1, 1), date(2022, 6, 30)),
    ]


def test_a_step_of_its_own() -> None:
    found = spans(date(2020, 1, 1), date(2021, 6, 30), Windows(train="6m", test="3m", step="6m"))
    assert [(span.role, span.start) for span in found] == [
        ("train", date(2020, 1, 1)),
        ("test", date(2020, 7, 1)),
        ("train", date(2020, 7, 1)),
        ("test", date(2021, 1, 1)),
    ]


def test_a_test_ends_inside_the_period_to_the_day() -> None:
    cut = Windows(train="2y", test="1y")
    assert len(spans(date(2019, 1, 1), date(2021, 12, 31), cut)) == 2
    assert spans(date(2019, 1, 1), date(2021, 12, 30), cut) == []


def test_an_embargo_is_cut_from_the_end_of_the_training() -> None:
    cut = Windows(train="2y", test="1y", embargo="5d")
    assert spans(date(2019, 1, 1), date(2022, 12, 31), cut) == [
        Span(1, "train", date(2019, 1, 1), date(2020, 12, 26)),
        Span(1, "test", date(2021, 1, 1), date(2021, 12, 31)),
        Span(2, "train", date(2020, 1, 1), date(2021, 12, 26)),
        Span(2, "test", date(2022, 1, 1), date(2022, 12, 31)),
    ]


@given(start=days, length=st.integers(0, 3000), cut=windows)
def test_an_embargo_moves_the_ends_of_the_trainings_and_nothing_else(start: date, length: int, cut: Windows) -> None:
    end = start + timedelta(days=length)
    found, without = spans(start, end, cut), spans(start, end, structs.replace(cut, embargo=None))
    assert only_tests(found) == only_tests(without)
    for train, longer in zip(found[::2], without[::2], strict=True):
        embargo = longer.end - train.end
        assert train == longer._replace(end=longer.end - embargo)
        assert (embargo > timedelta()) == (cut.embargo is not None)


@given(start=days, length=st.integers(0, 3000), cut=windows, between=st.integers(1, 60))
def test_an_embargo_of_days_leaves_exactly_so_many_between_training_and_test(
    start: date, length: int, cut: Windows, between: int
) -> None:
    found = spans(start, start + timedelta(days=length), structs.replace(cut, embargo=f"{between}d"))
    for train, test in zip(found[::2], found[1::2], strict=True):
        assert test.start - train.end == timedelta(days=between + 1)


@given(start=days, length=st.integers(0, 3000), cut=windows)
def test_no_test_overlaps_its_training_and_all_lie_in_the_period(start: date, length: int, cut: Windows) -> None:
    end = start + timedelta(days=length)
    found = spans(start, end, cut)
    assert len(found) % 2 == 0
    assert cut.count is None or len(found) <= 2 * cut.count
    for number, (train, test) in enumerate(zip(found[::2], found[1::2], strict=True), start=1):
        assert (train.window, train.role, test.window, test.role) == (number, "train", number, "test")
        assert start <= train.start
        assert cut.embargo is not None or train.start <= train.end
        assert train.end + DAY == (test.start if cut.embargo is None else shifted(test.start, cut.embargo, -1))
        assert test.start <= test.end <= end
        assert not cut.anchored or train.start == start


@given(start=days, length=st.integers(0, 3000), cut=windows)
def test_windows_step_forward(start: date, length: int, cut: Windows) -> None:
    tests = only_tests(spans(start, start + timedelta(days=length), cut))
    for before, after in pairwise(tests):
        assert after.start > before.start


@given(start=days.filter(lambda day: day.day <= 28), length=st.integers(0, 3000), train=months, test=months)
def test_months_that_step_by_their_test_leave_no_day_out_and_test_none_twice(
    start: date, length: int, train: str, test: str
) -> None:
    assert_tests_tile(spans(start, start + timedelta(days=length), Windows(train=train, test=test, embargo="5d")))


@given(start=days, length=st.integers(0, 3000), train=weeks, test=weeks)
def test_weeks_and_days_that_step_by_their_test_leave_no_day_out_and_test_none_twice(
    start: date, length: int, train: str, test: str
) -> None:
    assert_tests_tile(spans(start, start + timedelta(days=length), Windows(train=train, test=test)))


def test_a_period_from_a_months_end_tests_no_day_twice() -> None:
    assert_tests_tile(spans(date(2020, 12, 31), date(2021, 12, 31), Windows(train="2m", test="1m")))


def test_years_of_training_and_weeks_of_test_test_no_day_twice() -> None:
    assert_tests_tile(spans(date(2020, 1, 1), date(2023, 12, 31), Windows(train="2y", test="26w")))


@given(day=days, count=st.integers(0, 40), times=st.integers(0, 10), unit=st.sampled_from("ymwd"))
def test_times_durations_are_one_longer_duration(day: date, count: int, times: int, unit: str) -> None:
    assert shifted(day, f"{count}{unit}", times) == shifted(day, f"{count * times}{unit}")


@given(day=days, count=st.integers(1, 200))
def test_months_keep_the_day_or_take_the_months_last(day: date, count: int) -> None:
    later = shifted(day, f"{count}m")
    assert (later.year - day.year) * 12 + later.month - day.month == count
    assert later.day == day.day or (later.day < day.day and (later + DAY).day == 1)


@given(day=days, other=days, duration=durations)
def test_shifting_keeps_the_order_of_days(day: date, other: date, duration: str) -> None:
    assume(day <= other)
    assert shifted(day, duration) <= shifted(other, duration)
