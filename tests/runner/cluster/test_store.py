"""What a store gives, and what is said of one that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fsspec
import pytest

from options_bt.errors import InputError
from options_bt.runner.cluster.store import StoreError, require_store, stored

NAME = "demo/market/TEST/f00d-2"


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A file system in memory, below which the store is."""
    filesystem = fsspec.filesystem("memory")
    monkeypatch.setenv("OPTIONS_BT_STORE", "memory://store/cache/")
    yield filesystem
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]


def test_every_file_of_a_market_is_given(memory: Any) -> None:
    memory.pipe({f"/store/cache/{NAME}/quotes.npy": b"1", f"/store/cache/{NAME}/market.json": b"2"})
    assert stored(NAME) == {"quotes.npy": b"1", "market.json": b"2"}
    assert stored("demo/market/TEST/f00d-3") is None


def test_without_a_store_nothing_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPTIONS_BT_STORE", raising=False)
    assert stored(NAME) is None


def test_a_store_that_is_not_there_is_no_store_without_the_market(memory: Any) -> None:
    with pytest.raises(StoreError, match="the store memory://store/cache/ cannot be read: FileNotFoundError"):
        stored(NAME)


def test_a_password_in_a_url_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTIONS_BT_STORE", "ftp://me:s3cret@127.0.0.1:1/cache")
    with pytest.raises(StoreError, match="cannot be read") as raised:
        stored(NAME)
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
