from __future__ import annotations

import math
from bisect import bisect_left

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from options_bt.data.market.closes import Splits
from options_bt.data.market.groups import Groups
from options_bt.data.market.links import next_rows

Contract = tuple[int, int, int, int]  # day, expiration, right, cents

RATIOS = [2.0, 4.0, 1.5, 10.0, 0.125, 1.1, 3.0]
contracts = st.tuples(
    st.integers(0, 12),
    st.sampled_from([20, 30]),
    st.integers(0, 1),
    st.sampled_from(
        [c * n // d for c in (1000, 1005, 2500, 3333) for n, d in ((1, 1), (1, 2), (2, 3), (8, 1), (1, 4))]
    ),
)
splits = st.lists(
    st.tuples(st.integers(-2, 15), st.sampled_from(RATIOS)), max_size=3, unique_by=lambda split: split[0]
).map(sorted)


def naive_next(rows: list[Contract], splits: list[tuple[int, float]]) -> list[int]:
    """For each row, walk day by day with the strike of the day until the contract is quoted."""
    at = {row: index for index, row in enumerate(rows)}
    result = []
    for day, expiration, right, cents in rows:
        found = -1
        for later in range(day + 1, 40):
            for ex_day, ratio in splits:
                if ex_day == later:
                    cents = math.floor(cents / ratio + 0.5 + 1e-9)
            if (later, expiration, right, cents) in at:
                found = at[later, expiration, right, cents]
                break
        result.append(found)
    return result


def linked(rows: list[Contract], splits: list[tuple[int, float]]) -> list[int]:
    keys = sorted({row[:2] for row in rows})
    date, expiration = (np.array([key[k] for key in keys], np.int32) for k in (0, 1))
    puts, calls, end = (np.array([bisect_left(rows, (*key, k)) for key in keys], np.int64) for k in (0, 1, 2))
    known = Splits(np.array([s[0] for s in splits], np.int32), np.array([s[1] for s in splits], np.float64))
    cents = np.array([row[3] for row in rows], np.int64)
    return list(map(int, next_rows(Groups(date, expiration, puts, calls, end), cents, known)))


@settings(max_examples=150)
@given(rows=st.lists(contracts, max_size=40, unique=True).map(sorted), splits=splits)
def test_links_are_those_of_a_walk_day_by_day(rows: list[Contract], splits: list[tuple[int, float]]) -> None:
    assert linked(rows, splits) == naive_next(rows, splits)


def test_thousands_of_contracts_are_linked() -> None:
    contracts = [
        (expiration, right, cents)
        for expiration in range(40, 80)
        for right in (0, 1)
        for cents in range(1000, 3000, 100)
    ]
    rows = [(day, *contract) for day in range(3) for number, contract in enumerate(contracts) if (number + day) % 5]
    for known in ([], [(2, 2.0)]):
        assert linked(rows, known) == naive_next(rows, known)


@given(rows=st.lists(contracts, max_size=40, unique=True).map(sorted), splits=splits)
def test_links_go_forward_to_the_same_expiration_and_right(
    rows: list[Contract], splits: list[tuple[int, float]]
) -> None:
    for row, successor in zip(rows, linked(rows, splits), strict=True):
        if successor != -1:
            assert rows[successor][0] > row[0]
            assert rows[successor][1:3] == row[1:3]


def test_a_contract_that_vanishes_and_comes_back_is_one_contract() -> None:
    assert linked([(1, 30, 0, 1000), (2, 30, 0, 1100), (9, 30, 0, 1000)], []) == [2, -1, -1]


def test_a_contract_goes_on_under_its_new_strike_after_a_split() -> None:
    rows = [(1, 30, 0, 1000), (1, 30, 0, 2000), (5, 30, 0, 500), (5, 30, 0, 1000)]
    assert linked(rows, [(3, 2.0)]) == [2, 3, -1, -1]


def test_a_split_on_the_quote_day_itself_is_in_its_strike() -> None:
    assert linked([(1, 30, 0, 1000), (3, 30, 0, 500), (3, 30, 0, 1000)], [(3, 2.0)]) == [1, -1, -1]
    assert linked([(1, 30, 0, 1000), (3, 30, 0, 1000)], [(1, 2.0)]) == [1, -1]


def test_strikes_are_rounded_half_up_at_each_split() -> None:
    # 10.05 / 2 = 5.025, which is 5.03; 5.03 / 2 = 2.515, which is 2.52.
    assert linked([(1, 30, 0, 1005), (5, 30, 0, 252)], [(2, 2.0), (3, 2.0)]) == [1, -1]
    assert linked([(1, 30, 0, 1005), (5, 30, 0, 251)], [(2, 2.0), (3, 2.0)]) == [-1, -1]


def test_a_contract_crosses_two_splits_unseen() -> None:
    assert linked([(1, 30, 1, 12000), (9, 30, 1, 1500)], [(3, 2.0), (6, 4.0)]) == [1, -1]


def test_strikes_that_become_one_share_their_successor() -> None:
    assert linked([(1, 30, 0, 1000), (1, 30, 0, 1001), (5, 30, 0, 100)], [(3, 10.0)]) == [2, 2, -1]


def test_no_quotes() -> None:
    assert linked([], [(3, 2.0)]) == []
