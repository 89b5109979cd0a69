from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl

from options_bt.data.cache.cache import Cache
from options_bt.data.cache.pulling import pull_symbol
from options_bt.data.inventory import cached_data, verified
from tests.data.quotes import TableSource, quote

COLUMNS = [
    *("source", "symbol", "first", "last", "days", "gaps", "longest"),
    *("quotes", "closes", "bytes", "version"),
]
FIRST, LAST = date(2020, 3, 2), date(2022, 3, 1)


def filled(root: Path, name: str, *symbols: str) -> Cache:
    cache = Cache(root, name)
    rows = [quote(day, date(2030, 1, 18), 100.0, "put") for day in (FIRST, LAST, None)]
    for symbol in symbols:
        source = TableSource(rows, [(date(2020, 3, 2), 99.0)], version="7", symbol=symbol)
        pull_symbol(cache, source, symbol, [2019, 2020, 2021, 2022], lambda year, rows: None)
    return cache


def test_one_row_a_symbol(tmp_path: Path) -> None:
    filled(tmp_path, "b", "Y", "X")
    filled(tmp_path, "a", "Z")
    table = cached_data(tmp_path)
    assert table.columns == COLUMNS
    assert table.drop("bytes").rows() == [
        ("a", "Z", FIRST, LAST, 2, 1, 729, 3, 1, "7"),
        ("b", "X", FIRST, LAST, 2, 1, 729, 3, 1, "7"),
        ("b", "Y", FIRST, LAST, 2, 1, 729, 3, 1, "7"),
    ]


def test_the_bytes_are_those_on_the_disk(tmp_path: Path) -> None:
    filled(tmp_path, "a", "X")
    assert cached_data(tmp_path)["bytes"].to_list() == [sum(p.stat().st_size for p in tmp_path.rglob("*.parquet"))]


def test_a_symbol_without_quotes_has_no_years(tmp_path: Path) -> None:
    pull_symbol(Cache(tmp_path, "a"), TableSource([]), "X", [2020], lambda year, rows: None)
    assert cached_data(tmp_path).select("first", "last", "quotes").rows() == [(None, None, 0)]


def test_an_empty_cache_is_an_empty_table_with_its_columns(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "none"):
        table = cached_data(root)
        assert table.height == 0
        assert table.columns == COLUMNS
        assert table.schema["bytes"] == pl.Int64
        assert verified(root) == (0, 0, [])


def test_a_whole_cache_is_verified(tmp_path: Path) -> None:
    filled(tmp_path, "a", "X", "Y")
    assert verified(tmp_path) == (14, 0, [])
    assert len(list(tmp_path.rglob("*.parquet"))) == 14


def test_damaged_files_are_named_once_and_pulled_again(tmp_path: Path) -> None:
    filled(tmp_path, "a", "X")
    changed, missing = tmp_path / "a/chain/X/2020.parquet", tmp_path / "a/closes/X.parquet"
    whole = changed.read_bytes()
    changed.write_bytes(whole[:-1] + b"?")
    missing.unlink()
    files, _, damaged = verified(tmp_path)
    assert files == 7
    assert damaged == [
        (str(changed), "does not match its checksum"),
        (str(missing), "is missing"),
    ]
    filled(tmp_path, "a", "X")
    assert changed.read_bytes() == whole
    assert verified(tmp_path) == (7, 0, [])
