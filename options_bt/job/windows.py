"""Walk-forward windows: the spans of days on which each combination of parameters runs."""

from __future__ import annotations

import calendar
import re
from datetime import date, timedelta
from itertools import count
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from options_bt.job.spec import Role

Duration = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,3}[ymwd]$")]
DURATION_FORM = "a number of years, months, weeks or days such as 2y, 6m, 26w or 90d"


class Windows(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a period is divided: train on a span, test on the next, then step forward, `count` times.

    Attributes
    ----------
    train, test : str
        Lengths such as ``2y``; a test starts on the day after its training, or after the embargo.
    step : str or None
        From one window's start to the next; the length of a test by default.
    count : int or None
        The number of windows; as many as the period holds by default.
    anchored : bool
        Whether every training starts on the first day of the period and grows, instead of rolling.
    embargo : str or None
        Days before each test that belong neither to it nor to its training. They are cut from the end of the
        training, so that the tests are the same with and without it; none by default.
    """

    train: Duration
    test: Duration
    step: Duration | None = None
    count: Annotated[int, Meta(ge=1)] | None = None
    anchored: bool = False
    embargo: Duration | None = None


class Span(NamedTuple):
    """A range of days, both ends included, and its purpose."""

    window: int
    role: Role
    start: date
    end: date


def shifted(day: date, duration: str, times: int = 1) -> date:
    """Return the day `times` durations later (earlier, if negative); a day that a month does not have is its last.

    Examples
    --------
    >>> shifted(date(2024, 2, 29), "1y")
    datetime.date(2025, 2, 28)
    >>> shifted(date(2019, 1, 1), "6m", 3)
    datetime.date(2020, 7, 1)
    >>> shifted(date(2019, 1, 1), "5d", -1)
    datetime.date(2018, 12, 27)
    """
    number, unit = re.fullmatch(r"(\d+)([ymwd])", duration).groups()  # type: ignore[union-attr]  # validated
    length = int(number) * times
    if unit in "wd":
        return day + timedelta(days=length * (7 if unit == "w" else 1))
    year, month = divmod(day.year * 12 + day.month - 1 + length * (12 if unit == "y" else 1), 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def spans(start: date, end: date, windows: Windows | None) -> list[Span]:
    """Return the spans of a period: itself, or a train and a test span for each window.

    Parameters
    ----------
    start, end : datetime.date
        The period, both ends included.
    windows : Windows or None
        None gives one span with the role ``full``.

    Returns
    -------
    list of Span
        In time order; fewer than ``2 * windows.count`` where the period ends too soon, none where it
        holds no window at all. A test always lies wholly inside the period and after its training. A
        training no longer than the embargo ends before it starts.

    Examples
    --------
    >>> for span in spans(date(2019, 1, 1), date(2021, 12, 31), Windows(train="2y", test="1y")):
    ...     print(*span)
    1 train 2019-01-01 2020-12-31
    1 test 2021-01-01 2021-12-31
    """
    if windows is None:
        return [Span(0, "full", start, end)]
    found: list[Span] = []
    numbers = count(1) if windows.count is None else range(1, windows.count + 1)
    for number in numbers:
        try:
            train, test = _window(number, start, windows)
        except (ValueError, OverflowError):  # past the last year that a date can have
            break
        if test.end > end:
            break
        found += [train, test]
    return found


def _window(number: int, start: date, windows: Windows) -> tuple[Span, Span]:
    """Return the training and the test of a window, wherever the period ends.

    Tests are counted from the first one, so that they follow each other without gaps or overlaps even
    though months have different lengths.
    """
    step, day = windows.step or windows.test, timedelta(days=1)
    first_test = shifted(start, windows.train)
    test_start = shifted(first_test, step, number - 1)
    if step == windows.test:
        test_end = shifted(first_test, step, number) - day
    else:
        test_end = shifted(test_start, windows.test) - day
    train_start = start if windows.anchored else shifted(start, step, number - 1)
    return (
        Span(number, "train", train_start, _embargo_start(test_start, windows.embargo) - day),
        Span(number, "test", test_start, test_end),
    )


def _embargo_start(test_start: date, embargo: str | None) -> date:
    """Return the first day of the embargo before a test; without one, that of the test."""
    if embargo is None:
        return test_start
    try:
        return shifted(test_start, embargo, -1)
    except (ValueError, OverflowError):  # before the first year that a date can have
        return date.min + timedelta(days=1)
