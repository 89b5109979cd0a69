from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from options_bt.data.cache.cache import Cache, cached_sources
from options_bt.data.cache.manifest import Manifest, chain_path, content_hash, rewritten
from options_bt.data.cache.pulling import pull_symbol
from options_bt.data.sources.source import UNDATED
from options_bt.errors import SourceError, StorageError
from tests.data.quotes import CHAIN_SCHEMA, Row, TableSource, chain_frame, quote

YEARS = (2020, 2021, 2022, 2023)
CLOSES = [(date(2020, 1, 2), 100.0), (date(2023, 12, 29), 120.0)]
SPLITS = [(date(2021, 6, 1), 2.0, 1.0)]


def day(year: int, number: int = 0) -> date:
    return date(year, 3, 1) + timedelta(days=number)


def rows_of(*years: int) -> list[Row]:
    expiration = date(2030, 1, 18)
    return [
        quote(day(year, number), expiration, strike, right, bid=1.0 + number)
        for year in years
        for number in (1, 0)
        for strike in (110.0, 100.0)
        for right in ("put", "call")
    ]


def source_of(*years: int, version: str = "1", rows: Sequence[Row] = ()) -> TableSource:
    return TableSource([*rows_of(*years), *rows], CLOSES, SPLITS, version)


def pulled(cache: Cache, source: TableSource, *years: int) -> Manifest:
    return pull_symbol(cache, source, "X", years, lambda year, rows: None)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path, "table")


class DyingSource(TableSource):
    """Gives the first year and is then killed, as far as the cache can tell."""

    def chain(self, symbol: str, years: Sequence[int]) -> Iterator[tuple[int, pl.DataFrame]]:
        for pair in super().chain(symbol, years):
            yield pair
            raise KeyboardInterrupt


# --- Pulling ---------------------------------------------------------------------------------------


def test_what_was_pulled_is_what_the_source_gave_sorted(cache: Cache) -> None:
    source = source_of(2020, 2021)
    manifest = pulled(cache, source, 2020, 2021)
    chain = cache.chain(manifest, [2020, 2021])
    assert chain.schema == CHAIN_SCHEMA
    assert chain.equals(source.rows.sort("date", "expiration", "right", "strike", maintain_order=True))
    assert cache.tables(manifest)["closes"].equals(source.closes("X"))
    assert cache.tables(manifest)["splits"].equals(source.splits("X"))
    assert cache.manifest("X") == manifest
    assert (manifest.symbol, manifest.label, manifest.version) == ("X", "a table", "1")


def test_each_year_is_reported_when_it_is_written(cache: Cache) -> None:
    reported: list[int] = []
    pull_symbol(cache, source_of(2020, 2022), "X", YEARS, lambda year, rows: reported.append(rows))
    assert reported == [8, 8, 0, 0]


def test_what_is_cached_is_not_asked_for_again(cache: Cache) -> None:
    source = source_of(2020, 2021, 2022)
    first = pulled(cache, source, 2020, 2021)
    assert pulled(cache, source, 2021, 2020) == first
    assert source.asked == [2020, 2021]
    pulled(cache, source, 2020, 2021, 2022, 2023)
    assert source.asked == [2020, 2021, 2022, 2023]


def test_a_year_without_quotes_is_covered(cache: Cache) -> None:
    source = source_of(2020)
    manifest = pulled(cache, source, 2020, 2021)
    assert manifest.years[2021].rows == 0
    assert cache.missing_years("X", [2020, 2021], "1") == []
    assert cache.chain(manifest, [2021]).schema == CHAIN_SCHEMA


def test_another_version_is_pulled_whole(cache: Cache) -> None:
    pulled(cache, source_of(2020, 2021), 2020, 2021)
    newer = source_of(2020, 2021, version="2", rows=[quote(day(2020, 9), date(2030, 1, 18), 90.0, "put")])
    assert cache.missing_years("X", [2020], "2") == [2020]
    manifest = pulled(cache, newer, 2020)
    assert (manifest.version, list(manifest.years)) == ("2", [2020])
    assert cache.chain(manifest, [2020]).height == 9
    assert cache.missing_years("X", [2020, 2021], "2") == [2021]


def test_rows_without_a_date_are_in_every_chain(cache: Cache) -> None:
    source = source_of(2020, 2021, rows=[quote(None, date(2030, 1, 18), 90.0, "put")])
    manifest = pulled(cache, source, 2020, 2021)
    assert manifest.years[UNDATED].rows == 1
    assert (cache.folder / chain_path("X", UNDATED)).name == "undated.parquet"
    assert cache.chain(manifest, [2021]).height == 9


def test_of_equal_keys_the_order_of_reading_stays(cache: Cache) -> None:
    rows = [quote(day(2020), date(2030, 1, 18), 100.0, "put", bid=bid) for bid in (3.0, 1.0, 2.0)]
    manifest = pulled(cache, TableSource(rows), 2020)
    assert cache.chain(manifest, [2020])["bid"].to_list() == [3.0, 1.0, 2.0]


def test_a_frame_of_another_shape_is_rejected(cache: Cache) -> None:
    source = source_of(2020)
    source.rows = source.rows.with_columns(pl.col("bid").cast(pl.Float32))
    with pytest.raises(SourceError, match="expected"):
        pulled(cache, source, 2020)


def test_a_cache_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot write: "):
        pulled(Cache(tmp_path / "file", "table"), source_of(2020), 2020)


# --- Fingerprints ----------------------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=8)
@given(data=st.data())
def test_the_fingerprint_does_not_tell_how_pulls_were_split(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    source = source_of(2020, 2021, 2023, rows=[quote(None, None, 90.0, "put")])
    whole = Cache(tmp_path_factory.mktemp("cache"), "table")
    at_once = pulled(whole, source, *YEARS)
    split = Cache(tmp_path_factory.mktemp("cache"), "table")
    order = data.draw(st.permutations(YEARS))
    cuts = sorted(data.draw(st.sets(st.integers(1, 3))))
    for first, last in zip([0, *cuts], [*cuts, 4], strict=True):
        bit_by_bit = pulled(split, source, *order[first:last])
    years = data.draw(st.sets(st.sampled_from(YEARS), min_size=1))
    assert split.fingerprint(bit_by_bit, years) == whole.fingerprint(at_once, years)
    assert split.chain(bit_by_bit, years).equals(whole.chain(at_once, years))


def test_a_fingerprint_tells_years_quotes_closes_splits_and_optional_tables_apart(tmp_path: Path) -> None:
    changed = [quote(day(2020), date(2030, 1, 18), 100.0, "put", bid=0.99)]
    dividends = pl.DataFrame({"ex_date": [day(2020)], "amount": [0.5]})
    sources = [
        source_of(2020, 2021),
        source_of(2020, rows=changed),
        TableSource(rows_of(2020, 2021), CLOSES[:1], SPLITS),
        TableSource(rows_of(2020, 2021), CLOSES, []),
        TableSource(rows_of(2020, 2021), CLOSES, SPLITS, optional_tables={"dividends": dividends}),
    ]
    found = set()
    for number, source in enumerate(sources):
        cache = Cache(tmp_path, str(number))
        found.add(cache.fingerprint(pulled(cache, source, 2020, 2021), [2020, 2021]))
    found.add(cache.fingerprint(pulled(cache, source, 2020, 2021), [2020]))
    assert len(found) == 6


def test_years_without_quotes_do_not_change_a_fingerprint(cache: Cache) -> None:
    manifest = pulled(cache, source_of(2020), *YEARS)
    assert cache.fingerprint(manifest, YEARS) == cache.fingerprint(manifest, [2020])


def test_another_version_with_equal_values_has_an_equal_fingerprint(cache: Cache) -> None:
    before = cache.fingerprint(pulled(cache, source_of(2020), 2020), [2020])
    assert cache.fingerprint(pulled(cache, source_of(2020, version="2"), 2020), [2020]) == before


cells = st.fixed_dictionaries(
    {
        "date": st.sampled_from([day(2020), day(2021), None]),
        "strike": st.sampled_from([100.0, 100.01, None]),
        "right": st.sampled_from(["put", "call", None]),
        "bid": st.sampled_from([0.0, 1.0, None]),
    }
)


@settings(max_examples=120)
@given(one=st.lists(cells, max_size=3), other=st.lists(cells, max_size=3))
def test_contents_have_equal_hashes_exactly_when_they_are_equal(one: list[Row], other: list[Row]) -> None:
    assert (content_hash(chain_frame(one)) == content_hash(chain_frame(other))) == (one == other)


@settings(max_examples=30)
@given(rows=st.lists(cells, max_size=5))
def test_a_content_hash_outlives_parquet_and_chunks(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> None:
    frame = chain_frame(rows)
    path = tmp_path_factory.mktemp("cache") / "x.parquet"
    frame.write_parquet(path)
    assert content_hash(pl.read_parquet(path)) == content_hash(frame)
    chunked = pl.concat([frame[:2], frame[2:]], rechunk=False)
    assert content_hash(chunked) == content_hash(frame)


# --- Kills -----------------------------------------------------------------------------------------


def test_a_file_that_no_manifest_names_is_not_seen(cache: Cache) -> None:
    manifest = pulled(cache, source_of(2020), 2020)
    (cache.folder / chain_path("X", 2021)).write_bytes((cache.folder / chain_path("X", 2020)).read_bytes())
    assert cache.missing_years("X", [2020, 2021], "1") == [2021]
    assert cache.chain(manifest, [2020, 2021]).height == 8


def test_a_pull_that_dies_keeps_its_complete_years_and_the_next_resumes(cache: Cache) -> None:
    before = pulled(cache, source_of(2020), 2020)
    chain, fingerprint = cache.chain(before, [2020]), cache.fingerprint(before, [2020])
    with pytest.raises(KeyboardInterrupt):
        pulled(cache, DyingSource(rows_of(2021, 2022), CLOSES, SPLITS), 2021, 2022)
    after = cache.manifest("X")
    assert after is not None and after.years.keys() == {2020, 2021}
    assert cache.chain(after, [2020]).equals(chain)
    assert cache.fingerprint(after, [2020]) == fingerprint
    assert cache.damaged(after) == []
    source = source_of(2021, 2022)
    assert pulled(cache, source, 2021, 2022).years.keys() == {2020, 2021, 2022}
    assert source.asked == [2022]


def test_a_process_that_is_killed_in_a_pull_keeps_no_lock(tmp_path: Path) -> None:
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from options_bt.data.cache.cache import Cache\n"
        "from options_bt.data.sources.demo import DemoSource\n"
        "from options_bt.data.cache.pulling import pull_symbol\n"
        "cache = Cache(Path(sys.argv[1]), 'demo')\n"
        "pull_symbol(cache, DemoSource(), 'SPY', [2019, 2020], lambda year, rows: os._exit(9))\n"
    )
    died = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert died.returncode == 9
    cache = Cache(tmp_path, "demo")
    manifest = cache.manifest("SPY")
    assert manifest is not None and manifest.years.keys() == {2019}
    assert pull_symbol(cache, source_of(2020), "X", [2020], lambda year, rows: None).symbol == "X"


# --- History rewritten -----------------------------------------------------------------------------


def test_cached_dates_that_the_source_has_rewritten_are_named(cache: Cache, caplog: pytest.LogCaptureFixture) -> None:
    pulled(cache, source_of(2020, 2021), 2020, 2021)
    more = [quote(day(2021, number), date(2030, 1, 18), 90.0, "put") for number in (1, 5)]
    pulled(cache, source_of(2020, 2021, version="2", rows=more), 2020, 2021)
    assert caplog.messages == [
        f"X: the source has rewritten 1 cached date: {day(2021, 1)}; results on the old quotes differ"
    ]


@given(st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)))
def test_rewritten_dates_are_those_that_changed_and_were_there(old: set[int], new: set[int], other: set[int]) -> None:
    def frame(days: set[int], changed: set[int]) -> pl.DataFrame:
        return chain_frame([quote(day(2020, n), None, 100.0, "put", bid=2.0 if n in changed else 1.0) for n in days])

    assert rewritten(frame(old, set()), frame(new, other)) == [
        day(2020, n) for n in sorted(old & (other | (old - new)))
    ]


def test_a_manifest_that_was_cut_short_is_as_good_as_none(cache: Cache) -> None:
    pulled(cache, source_of(2020), 2020)
    path = cache.folder / "manifest" / "X.json"
    path.write_bytes(path.read_bytes()[:-20])
    assert cache.manifest("X") is None
    assert cache.missing_years("X", [2020], "1") == [2020]
    assert pulled(cache, source_of(2020), 2020) == cache.manifest("X")


# --- Damage ----------------------------------------------------------------------------------------


def damage(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "gone":
        path.unlink()
    elif how == "cut":
        path.write_bytes(data[:-1])
    else:
        data[len(data) // 2] ^= 1
        path.write_bytes(data)


FILES = ["chain/X/2020.parquet", "chain/X/2021.parquet", "closes/X.parquet", "splits/X.parquet"]


@pytest.mark.parametrize("how", ["gone", "cut", "one bit"])
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_file_is_found_deleted_and_pulled_again(cache: Cache, file: str, how: str) -> None:
    source = source_of(2020, 2021)
    manifest = pulled(cache, source, 2020, 2021)
    assert cache.damaged(manifest) == []
    damage(cache.folder / file, how)
    what = "is missing" if how == "gone" else "does not match its checksum"
    assert cache.damaged(manifest) == [(file, what)]
    cache.delete(manifest, [file])
    assert cache.missing_years("X", [2020, 2021], "1") != []
    again = pulled(cache, source, 2020, 2021)
    assert cache.damaged(again) == []
    assert {name: entry.content for name, entry in again.files()} == {
        name: entry.content for name, entry in manifest.files()
    }


@pytest.mark.parametrize("how", ["gone", "cut"])
def test_a_year_of_another_size_is_pulled_again(cache: Cache, how: str) -> None:
    source = source_of(2020, 2021)
    pulled(cache, source, 2020, 2021)
    damage(cache.folder / FILES[1], how)
    assert cache.missing_years("X", [2020, 2021], "1") == [2021]
    assert cache.damaged(pulled(cache, source, 2020, 2021)) == []


def test_each_source_has_its_own_cache(tmp_path: Path) -> None:
    for name in ("b", "a"):
        pulled(Cache(tmp_path, name), source_of(2020), 2020)
    (tmp_path / "README.md").write_text("")
    (tmp_path / "empty").mkdir()
    assert [cache.folder.name for cache in cached_sources(tmp_path)] == ["a", "b"]
    assert cached_sources(tmp_path / "none") == []


def test_a_symbol_with_a_dot_is_a_file_of_its_name(tmp_path: Path) -> None:
    cache = Cache(tmp_path, "table")
    for symbol in ("BRK.B", "BRK.A", "BRK"):
        pull_symbol(cache, TableSource(rows_of(2020), symbol=symbol), symbol, [2020], lambda year, rows: None)
    assert {manifest.symbol for manifest in cache.manifests()} == {"BRK", "BRK.A", "BRK.B"}


def test_a_manifest_can_be_read_by_a_person(cache: Cache) -> None:
    manifest = pulled(cache, source_of(2020), 2020)
    data: dict[str, Any] = json.loads((cache.folder / "manifest" / "X.json").read_text())
    assert data["years"]["2020"]["rows"] == manifest.years[2020].rows == 8
    assert len(data["closes"]["sha256"]) == 64
