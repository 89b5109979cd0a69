"""How a market gets into a worker's cache, and what is said of a store that cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from options_bt.data.market.market import save_market
from options_bt.errors import InputError, StorageError
from options_bt.runner.cluster.markets import fetch, held, keep, market_name, packed, require_store
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
    assert fetch(NAME)
    assert held(NAME) == workers_cache / NAME
    assert contents(workers_cache / NAME) == contents(market)
    assert not fetch("demo/market/TEST/another-2")


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A file system in memory, below which the store is."""
    filesystem = fsspec.filesystem("memory")
    monkeypatch.setenv("OPTIONS_BT_STORE", "memory://store/cache/")
    yield filesystem
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]


def test_a_store_is_any_file_system(market: Path, workers_cache: Path, memory: Any) -> None:
    memory.pipe({f"/store/cache/{NAME}/{file}": content for file, content in contents(market).items()})
    assert fetch(NAME)
    assert contents(workers_cache / NAME) == contents(market)
    assert not fetch("demo/market/TEST/f00d-3")


def test_without_a_store_nothing_is_fetched() -> None:
    assert not fetch(NAME)
    assert held(NAME) is None


def test_a_store_that_is_not_there_is_no_store_without_the_market(memory: Any) -> None:
    with pytest.raises(StorageError, match="the store memory://store/cache/ cannot be read: FileNotFoundError"):
        fetch(NAME)


def test_a_password_in_a_url_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTIONS_BT_STORE", "ftp://me:s3cret@127.0.0.1:1/cache")
    with pytest.raises(StorageError, match="cannot be read") as raised:
        fetch(NAME)
    assert "ftp://me:***@127.0.0.1:1/cache" in str(raised.value)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "why"),
    [("s4://bucket/cache", "Protocol not known: s4"), ("gs://bucket/cache", "install gcsfs to access Google Storage")],
)
def test_a_worker_does_not_start_with_a_store_that_it_cannot_read(url: str, why: str) -> None:
    with pytest.raises(InputError, match=rf"the store {url} cannot be read: .*{why}"):
        require_store(url)


@pytest.mark.parametrize("url", ["file:///var/cache", "/var/cache", "s3://bucket/cache", "ftp://127.0.0.1:1/cache"])
def test_whether_a_store_answers_is_not_asked_at_the_start(url: str) -> None:
    require_store(url)


def test_a_damaged_market_of_the_store_is_not_taken(
    market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTIONS_BT_STORE", f"{tmp_path}/home")
    cut_short(market / "quotes.npy")
    with pytest.raises(StorageError, match="the market in the store is damaged"):
        fetch(NAME)
    assert held(NAME) is None


def test_a_cache_on_a_shared_disk_needs_nothing(market: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTIONS_BT_CACHE", str(tmp_path / "home"))
    assert held(NAME) == market
