from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from options_bt.data.market import ordering
from options_bt.data.market.cleaning import REASONS, cleaned
from options_bt.data.market.ordering import ordered
from tests.data.quotes import Row, chain_frame, quote

DAY = date(2024, 3, 1)
DAYS = [DAY + timedelta(days=number) for number in range(4)]
FAR = [DAY + timedelta(days=number) for number in (2, 30, 60)]

rows = st.builds(
    quote,
    st.sampled_from([*DAYS, None]),
    st.sampled_from([*FAR, None]),
    st.sampled_from([90.0, 95.0, 95.004, 100.0, 105.0, -1.0]),
    st.sampled_from(["put", "call"]),
    bid=st.sampled_from([0.0, 1.0, 2.0]),  # the last one crosses
    delta=st.sampled_from([0.3, -0.3, 0.0, None]),
)


def as_cached(given: list[Row]) -> list[Row]:
    return chain_frame(given).sort("date", "expiration", "right", "strike", maintain_order=True).to_dicts()


@pytest.mark.parametrize("arranged", [list, as_cached, lambda given: as_cached(given)[::-1]])
@given(given=st.lists(rows, max_size=40))
def test_any_order_gives_the_clean_quotes_in_theirs(
    arranged: Callable[[list[Row]], list[Row]], given: list[Row]
) -> None:
    chain = chain_frame(arranged(given))
    quotes, dropped = cleaned(chain)
    found = ordered(chain)
    assert_frame_equal(found.quotes().with_columns(delta=quotes["delta"]), quotes)
    assert found.dropped == dropped
    np.testing.assert_array_equal(found.cents, quotes["cents"])
    np.testing.assert_array_equal(found.delta[found.order], quotes["delta"].fill_null(np.nan))


@given(given=st.lists(rows, max_size=40))
def test_groups_lead_to_every_quote_once(given: list[Row]) -> None:
    found = ordered(chain_frame(given))
    groups, epoch = found.groups, date(1970, 1, 1)
    places: list[int] = []
    for day, expiration, puts, calls, end in zip(*groups, strict=True):
        part = found.quotes()[int(puts) : int(end)]
        assert set(part["date"]) == {epoch + timedelta(days=int(day))}
        assert set(part["expiration"]) == {epoch + timedelta(days=int(expiration))}
        assert part["right"].to_list() == [0] * (calls - puts) + [1] * (end - calls)
        places += range(puts, end)
    assert places == list(range(len(found.order)))
    keys = list(zip(groups.date, groups.expiration, strict=True))
    assert keys == sorted(set(keys))


def test_what_is_cached_is_not_sorted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordering, "sorted_rows", None)
    given = [
        quote(day, expiration, strike, right, bid=2.0 if strike == 95.0 else 1.0)
        for day in DAYS
        for expiration in FAR[1:]
        for right in ("call", "put")
        for strike in (90.0, 95.0, 100.0)
    ]
    found = ordered(chain_frame([quote(None, FAR[1], 90.0, "put"), *given]))
    assert len(found.order) == 2 * len(given) // 3
    assert found.dropped == dict.fromkeys(REASONS, 0) | {"null_key": 1, "crossed": len(given) // 3}


def test_without_quotes_there_are_no_groups() -> None:
    found = ordered(chain_frame([]))
    assert len(found.order) == len(found.groups.date) == len(found.groups.puts_from) == 0
    assert not any(found.dropped.values())
