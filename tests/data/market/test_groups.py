from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from options_bt.data.market.cleaning import cleaned
from options_bt.data.market.groups import grouped
from tests.data.quotes import Row, chain_frame, quote

EPOCH = date(1970, 1, 1)
DAY = date(2024, 3, 1)

rows = st.builds(
    quote,
    st.sampled_from([*(DAY + timedelta(days=number) for number in range(4)), None]),
    st.sampled_from([*(DAY + timedelta(days=number) for number in (2, 30, 60)), None]),
    st.sampled_from([90.0, 95.0, 95.004, 100.0, 105.0, -1.0]),
    st.sampled_from(["put", "call"]),
    bid=st.sampled_from([0.0, 1.0, 2.0]),  # the last one crosses
    delta=st.sampled_from([0.3, -0.3, 0.0, None]),
)


@given(given=st.lists(rows, max_size=40))
def test_groups_lead_to_every_quote_once(given: list[Row]) -> None:
    quotes, _ = cleaned(chain_frame(given))
    groups = grouped(quotes)
    found: list[int] = []
    for day, expiration, puts, calls, end in zip(*groups, strict=True):
        part = quotes[int(puts) : int(end)]
        assert set(part["date"]) == {EPOCH + timedelta(days=int(day))}
        assert set(part["expiration"]) == {EPOCH + timedelta(days=int(expiration))}
        assert part["right"].to_list() == [0] * (calls - puts) + [1] * (end - calls)
        found += range(puts, end)
    assert found == list(range(quotes.height))
    assert groups.sizes.sum() == quotes.height
    keys = list(zip(groups.date, groups.expiration, strict=True))
    assert keys == sorted(set(keys))


def test_without_quotes_there_are_no_groups() -> None:
    groups = grouped(cleaned(chain_frame([]))[0])
    assert len(groups.date) == len(groups.puts_from) == 0
    assert groups.sizes.shape == (0, 2)
