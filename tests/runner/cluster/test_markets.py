"""How a market gets into a worker's cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from options_bt.data.market.market import save_market
from options_bt.errors import StorageError
from options_bt.runner.cluster.markets import fetched, held, keep, market_name, packed
from tests.markets import random_market
from tests.small_run import contents

NAME = "demo/market/TEST/f00d-2"


@pytest.fixture
def market(tmp_path: Path) -> Path:
    """A market in the cache of the coordinator."""
    folder = tmp_path / "home" / NAME
    save_market(random_market(1).built(), folder)
    return folder


@pytest.fixture(autouse=True)
def workers_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPTIONS_BT_CACHE", str(tmp_path / "away"))
    monkeypatch.delenv("OPTIONS_BT_STORE", raising=False)
    return tmp_path / "away"


def test_a_market_arrives_to_the_last_bit_and_smaller_than_it_is(market: Path, workers_cache: Path) -> None:
    assert held(NAME) is None
    sent = packed(market)
    assert len(sent) < sum(map(len, contents(market).values()))
    keep(market_name(market), sent)
    kept = held(NAME)
    assert kept == workers_cache / NAME
    assert contents(kept) == contents(market)


def test_a_market_that_is_there_is_not_written_again(market: Path, workers_cache: Path) -> None:
    keep(NAME, packed(market))
    before = (workers_cache / NAME / "market.json").stat().st_mtime_ns
    keep(NAME, packed(market))
    assert (workers_cache / NAME / "market.json").stat().st_mtime_ns == before


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [cut_short, Path.unlink])
def test_a_damaged_market_is_not_held_and_is_replaced(
    market: Path, workers_cache: Path, damage: Callable[[Path], None]
) -> None:
    keep(NAME, packed(market))
    damage(workers_cache / NAME / "quotes.npy")
    assert held(NAME) is None
    keep(NAME, packed(market))
    assert held(NAME)


def test_a_market_that_changed_on_its_way_is_refused(market: Path) -> None:
    file = market / "quotes.npy"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(StorageError, match="not the one that was sent"):
        keep(NAME, packed(market))
    assert held(NAME) is None


def test_a_market_of_the_store_comes_into_the_cache(
    market: Path, workers_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTIONS_BT_STORE", f"file://{tmp_path}/home/")
    assert held(NAME) is None
    assert fetched(NAME)
    assert held(NAME) == workers_cache / NAME
    assert contents(workers_cache / NAME) == contents(market)
    assert not fetched("demo/market/TEST/another-2")


def test_a_damaged_market_of_the_store_is_not_taken(
    market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTIONS_BT_STORE", f"{tmp_path}/home")
    cut_short(market / "quotes.npy")
    with pytest.raises(StorageError, match="the market in the store is damaged"):
        fetched(NAME)
    assert held(NAME) is None


def test_a_cache_on_a_shared_disk_needs_nothing(market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTIONS_BT_CACHE", str(tmp_path / "home"))
    assert held(NAME) == market
