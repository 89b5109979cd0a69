from __future__ import annotations

import math
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from options_bt.data.market.building import build_market
from options_bt.data.market.market import Chain, Market, open_market, save_market
from options_bt.data.sources.files import FilesSource
from options_bt.errors import StorageError
from tests import reference
from tests.data.quotes import chain_frame, closes_frame, quote, splits_frame
from tests.markets import random_market

EPOCH = date(1970, 1, 1)
seeds = st.integers(0, 10_000)


def dates(days: NDArray[Any]) -> list[date]:
    return [EPOCH + timedelta(days=day) for day in days.tolist()]


def no_quotes() -> Market:
    return build_market("NONE", "0", chain_frame([]), closes_frame([]), splits_frame([]))


def walked(chain: Chain) -> list[tuple[date, date, float, str, int]]:
    """Every row as (date, expiration, strike, right, row), found from the offsets alone."""
    rows: list[tuple[date, date, float, str, int]] = []
    for day in chain.days:
        for group in chain.groups[day.groups_from : day.groups_to]:
            on, expiration = dates(np.array([day.date, group.expiration]))
            for row in range(group.puts_from, group.calls_to):
                right = "put" if row < group.calls_from else "call"
                rows.append((on, expiration, float(chain.quotes[row].strike), right, row))
    return rows


@pytest.mark.slow
@settings(max_examples=40)
@given(seed=seeds)
def test_the_offsets_lead_to_every_clean_quote_once_and_in_order(seed: int) -> None:
    raw = random_market(seed)
    market = raw.built()
    chains, dropped = reference.clean(raw.quotes)
    rows, quote_days = walked(market.chain), dates(market.chain.days.date)
    assert [row for *_, row in rows] == list(range(market.rows))
    assert market.dropped == dropped
    wanted = {
        (day, *key): (quote.bid, quote.ask, quote.delta)
        for day, chain in chains.items()
        for key, quote in chain.items()
    }
    assert {row[:4] for row in rows} == wanted.keys()
    order = [(day, expiration, right == "call", strike) for day, expiration, strike, right, _ in rows]
    assert order == sorted(order)
    for day, expiration, strike, right, row in rows:
        bid, ask, delta = wanted[day, expiration, strike, right]
        found = market.chain.quotes[row]
        assert (found.bid, found.ask) == (bid, ask)
        assert found.delta == delta or (delta is None and math.isnan(found.delta))
        assert quote_days[found.day] == day


@pytest.mark.slow
@settings(max_examples=40)
@given(seed=seeds)
def test_links_lead_to_the_contracts_next_quote_also_across_splits(seed: int) -> None:
    raw = random_market(seed)
    chain = raw.built().chain
    rows, quote_days = walked(chain), dates(chain.days.date)
    at = {key[:4]: key[4] for key in rows}
    splits = reference.read_splits(raw.splits)
    for day, expiration, strike, right, row in rows:
        wanted = -1
        for later in (d for d in quote_days if d > day):
            for ex_date, ratio in splits:
                if day < ex_date <= later:
                    strike = reference.round_strike(strike / ratio)
            day = later
            if (later, expiration, strike, right) in at:
                wanted = at[later, expiration, strike, right]
                break
        assert chain.quotes[row].next == wanted


@pytest.mark.slow
@settings(max_examples=40)
@given(seed=seeds)
def test_closes_and_settlements_are_the_references(seed: int) -> None:
    raw = random_market(seed)
    chain = raw.built().chain
    plain, _ = reference.build_market(raw.quotes, raw.closes, raw.splits)
    for day, close in zip(dates(chain.days.date), chain.days.close.tolist(), strict=True):
        expected = plain.close_of(day)
        assert (math.isnan(close) and expected is None) or close == pytest.approx(expected, rel=1e-12)
    for expiration, settlement in zip(dates(chain.groups.expiration), chain.groups.settlement.tolist(), strict=True):
        if not math.isnan(settlement):
            assert settlement == pytest.approx(plain.settlement_close(expiration), rel=1e-12)
        else:
            assert all(plain.close_of(day) is None for day in plain.chains if day <= expiration)
            assert all(day > expiration for day in plain.closes)


def assert_equal(one: Market, other: Market) -> None:
    for name, array in one.chain._asdict().items():
        opened = getattr(other.chain, name)
        assert array.dtype == opened.dtype
        assert len(array) == len(opened)
        for field in array.dtype.names:
            np.testing.assert_array_equal(array[field], opened[field])
    np.testing.assert_array_equal(one.history, other.history)
    np.testing.assert_array_equal(one.traded, other.traded)
    for name in ("symbol", "fingerprint", "dropped", "implied_closes", "rows"):
        assert getattr(one, name) == getattr(other, name)


@settings(max_examples=25)
@given(seed=seeds)
def test_a_market_comes_back_from_the_disk_as_it_was_and_read_only(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    market = random_market(seed).built()
    folder = tmp_path_factory.mktemp("market") / "X"
    save_market(market, folder)
    opened = open_market(folder)
    assert_equal(market, opened)
    for array in (*opened.chain, opened.history, opened.traded, *market.chain):
        assert not array.flags.writeable
    for array in opened.chain:
        assert array.flags.c_contiguous


def test_a_market_without_quotes_comes_back_too(tmp_path: Path) -> None:
    market = no_quotes()
    save_market(market, tmp_path / "X")
    opened = open_market(tmp_path / "X")
    assert_equal(market, opened)
    assert opened.rows == 0
    assert all(not array.flags.writeable for array in opened.chain)


def test_a_market_cannot_be_written_to(tmp_path: Path) -> None:
    save_market(random_market(1).built(), tmp_path / "X")
    with pytest.raises(ValueError, match="read-only"):
        open_market(tmp_path / "X").chain.quotes.bid[0] = 1.0


def test_a_market_can_be_opened_twice_and_replaced_while_it_is_open(tmp_path: Path) -> None:
    first, second = (random_market(seed).built() for seed in (1, 2))
    save_market(first, tmp_path / "X")
    one, other = open_market(tmp_path / "X"), open_market(tmp_path / "X")
    assert_equal(one, other)
    save_market(second, tmp_path / "X")
    assert_equal(one, first)
    assert_equal(open_market(tmp_path / "X"), second)


def test_where_there_is_no_market_none_is_opened(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_market(tmp_path / "X")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "X").write_text("in the way")
    with pytest.raises(StorageError, match="cannot write"):
        save_market(no_quotes(), tmp_path / "X" / "Y")


def test_what_was_dropped_and_implied_is_counted() -> None:
    day, far = date(2024, 3, 1), date(2024, 4, 19)
    rows = [
        quote(day, far, 100.0, "put"),
        quote(day, far, 100.0, "call"),
        quote(day, far, 100.0, "call", bid=9.0),
        quote(None, far, 100.0, "call"),
        quote(day + timedelta(days=1), far, 100.0, "put"),
    ]
    market = build_market("X", "f", chain_frame(rows), closes_frame([]), splits_frame([]))
    assert (market.rows, market.implied_closes) == (3, 2)
    assert {reason: count for reason, count in market.dropped.items() if count} == {"null_key": 1, "crossed": 1}


@settings(max_examples=20)
@given(seed=seeds)
def test_the_order_of_reading_changes_nothing_but_which_duplicate_stays(seed: int) -> None:
    raw = random_market(seed)
    keyed = {(row["date"], row["expiration"], row["strike"], row["right"]): row for row in raw.quotes}
    frames = [chain_frame(rows) for rows in (list(keyed.values()), list(keyed.values())[::-1])]
    others = closes_frame(raw.closes), splits_frame(raw.splits)
    one, other = (build_market("X", "f", frame, *others) for frame in frames)
    if one.dropped["duplicate"] == 0:
        assert_equal(one, other)


def test_tens_of_thousands_of_quotes_are_filled_like_a_few() -> None:
    def built(days: int) -> Chain:
        begin = date(2024, 1, 1)
        rows = [
            quote(begin + timedelta(days=day), begin + timedelta(days=day + 30), float(strike), right, bid=1.0, ask=1.5)
            for day in range(days)
            for strike in range(90, 110)
            for right in ("put", "call")
        ]
        closes = [(begin + timedelta(days=day), 100.0) for day in range(days)]
        return build_market("X", "f", chain_frame(rows), closes_frame(closes), splits_frame([])).chain

    one, many = built(1), built(500)
    assert len(many.quotes) == 500 * len(one.quotes)
    for name in ("strike", "bid", "ask", "delta"):
        np.testing.assert_array_equal(many.quotes[name], np.tile(one.quotes[name], 500))
    for name in ("volatility", "spread"):
        np.testing.assert_array_equal(many.implied[name], np.tile(one.implied[name], 500))
    assert np.array_equal(many.quotes.day, np.repeat(np.arange(500), len(one.quotes)))


def test_real_quotes_make_a_market(real_data: Path) -> None:
    source = FilesSource(str(real_data), {})
    frames = dict(source.chain("SPX", [2011]))
    market = build_market("SPX", "real", frames[2011], source.closes("SPX"), source.splits("SPX"))
    assert dates(market.chain.days.date) == [date(2011, 1, day) for day in (3, 4, 5, 6, 7)]
    assert market.chain.days.close[0] == 1271.87
    assert market.implied_closes == 0
    assert market.rows + sum(market.dropped.values()) == frames[2011].height
    assert len(walked(market.chain)) == market.rows
    # A contract that is listed on one day is almost always listed on the next.
    linked = (market.chain.quotes.next >= 0)[market.chain.quotes.day < 4]
    assert linked.mean() > 0.9
