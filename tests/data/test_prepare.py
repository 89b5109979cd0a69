from __future__ import annotations

import logging
from datetime import date, timedelta
from pathlib import Path

import pytest

from options_bt.data.cache.cache import Cache
from options_bt.data.market.building import build_market
from options_bt.data.prepare import DamagedCacheError, covered_years, missing_data, prepared, pull
from options_bt.data.sources.demo import DemoSource
from options_bt.data.sources.source import Source
from options_bt.errors import SourceError
from tests.data.quotes import Row, TableSource, quote

FAR = date(2030, 1, 18)
NOTHING = TableSource([])


def rows_of(*years: int) -> list[Row]:
    days = [date(year, 3, 1) + timedelta(days=number) for year in years for number in range(3)]
    return [quote(day, FAR, strike, right) for day in days for strike in (95.0, 100.0) for right in ("put", "call")]


def source_of(*years: int, version: str = "1", extra: list[Row] | None = None) -> TableSource:
    return TableSource(rows_of(*years) + (extra or []), [(date(2020, 3, 1), 100.0)], version=version)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path, "table")


def pulled(source: Source, cache: Cache, *years: int) -> list[tuple[str, int]]:
    reported: list[tuple[str, int]] = []
    pull(source, cache, ["X"], years, lambda symbol_years, rows, what: reported.append((what, rows)))
    return reported


# --- What is missing -------------------------------------------------------------------------------


def test_only_years_that_the_source_has_are_covered() -> None:
    assert covered_years(source_of(2020, 2022), range(2018, 2030)) == [2020, 2021, 2022]


def test_a_period_without_quotes_is_rejected_with_the_days_that_have_some() -> None:
    with pytest.raises(
        SourceError, match=r"a table has quotes from 2020-03-01 to 2021-03-03, none in the job's 2023 to 2025"
    ):
        covered_years(source_of(2020, 2021), range(2023, 2026))


def test_a_source_without_dated_quotes_is_rejected() -> None:
    with pytest.raises(SourceError, match="a table has no quote with a date; dates are read as YYYY-MM-DD"):
        covered_years(NOTHING, [2020])


def test_what_a_pull_would_bring(cache: Cache) -> None:
    source = source_of(2020, 2021, 2022)
    assert missing_data(source, cache, ["X"], range(2019, 2022)) == {"X": [2020, 2021]}
    pulled(source, cache, 2020)
    assert missing_data(source, cache, ["X"], range(2019, 2022)) == {"X": [2021]}
    pulled(source, cache, 2020, 2021)
    assert missing_data(source, cache, ["X"], range(2019, 2022)) == {}
    assert missing_data(source_of(2020, version="2"), cache, ["X"], [2020]) == {"X": [2020]}


# --- Pulling ---------------------------------------------------------------------------------------


def test_a_pull_reports_symbol_and_rows_and_reads_nothing_twice(cache: Cache) -> None:
    source = source_of(2020, 2021)
    assert pulled(source, cache, *range(2015, 2025)) == [("X 2020", 12), ("X 2021", 12)]
    assert pulled(source, cache, 2020, 2021) == []


def test_symbols_that_the_source_does_not_have_are_rejected_before_anything_is_written(cache: Cache) -> None:
    with pytest.raises(SourceError, match="NO: no quotes"):
        pull(source_of(2020), cache, ["X", "NO"], [2020], lambda symbol_years, rows, what: None)
    assert not cache.folder.exists()


def test_the_demo_source_is_pulled_and_prepared(tmp_path: Path) -> None:
    source = DemoSource()
    cache = Cache(tmp_path, source.name)
    pull(source, cache, ["SPY"], [2018, 2019], lambda symbol_years, rows, what: None)
    market = prepared(cache, "SPY", [2018, 2019]).open()
    assert market.rows + sum(market.dropped.values()) == dict(source.chain("SPY", [2019]))[2019].height
    assert market.dropped["crossed"] > 0


# --- Markets ---------------------------------------------------------------------------------------


def test_a_market_is_built_once_from_the_same_data(cache: Cache) -> None:
    pulled(source_of(2020, 2021), cache, 2020, 2021)
    first = prepared(cache, "X", [2020, 2021])
    written = (first.folder / "market.json").stat().st_mtime_ns
    assert prepared(cache, "X", range(2015, 2022)) == first
    assert (first.folder / "market.json").stat().st_mtime_ns == written
    assert first.open().fingerprint == first.fingerprint


def test_the_market_is_that_of_the_sources_rows(cache: Cache) -> None:
    source = source_of(2020, 2021)
    pulled(source, cache, 2020, 2021)
    market = prepared(cache, "X", [2020, 2021]).open()
    direct = build_market("X", market.fingerprint, source.rows, source.closes("X"), source.splits("X"))
    for found, expected in zip(market.chain, direct.chain, strict=True):
        assert found.tobytes() == expected.tobytes()
    assert market.dropped == direct.dropped


def test_other_years_and_other_quotes_are_other_markets(cache: Cache) -> None:
    pulled(source_of(2020, 2021), cache, 2020, 2021)
    both, one = prepared(cache, "X", [2020, 2021]), prepared(cache, "X", [2021])
    assert both.open().rows == 2 * one.open().rows == 24
    pulled(source_of(2020, 2021, version="2", extra=[quote(date(2020, 9, 1), FAR, 1.0, "put")]), cache, 2020, 2021)
    changed = prepared(cache, "X", [2020, 2021])
    assert len({both.fingerprint, one.fingerprint, changed.fingerprint}) == 3
    assert changed.open().rows == 25
    assert both.open().rows == 24


def test_a_market_that_was_not_finished_is_built_again(cache: Cache) -> None:
    pulled(source_of(2020), cache, 2020)
    first = prepared(cache, "X", [2020])
    (first.folder / "market.json").unlink()
    assert prepared(cache, "X", [2020]).open().rows == 12


def test_rows_without_a_date_are_counted_and_not_lost(cache: Cache) -> None:
    undated = [quote(None, FAR, 100.0, "put"), quote(None, None, None, None)]
    pulled(source_of(2020, extra=undated), cache, 2020)
    market = prepared(cache, "X", [2020]).open()
    assert (market.rows, market.dropped["null_key"]) == (12, 2)


def test_without_a_pull_there_is_nothing_to_prepare(cache: Cache) -> None:
    with pytest.raises(SourceError, match="X: not cached; run `options-bt data pull` first"):
        prepared(cache, "X", [2020])


@pytest.mark.parametrize("file", ["chain/X/2020.parquet", "closes/X.parquet"])
def test_a_damaged_file_is_named_and_pulled_again(cache: Cache, file: str) -> None:
    source = source_of(2020, 2021)
    pulled(source, cache, 2020, 2021)
    path = cache.folder / file
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedCacheError) as caught:
        prepared(cache, "X", [2020, 2021])
    assert str(caught.value) == (
        f"damaged cache: {path} does not match its checksum; rerun the command to pull it again"
    )
    assert caught.value.exit_code == 2
    pulled(source, cache, 2020, 2021)
    assert prepared(cache, "X", [2020, 2021]).open().rows == 24


def test_a_damaged_market_is_built_again(cache: Cache) -> None:
    pulled(source_of(2020), cache, 2020)
    path = prepared(cache, "X", [2020]).folder / "quotes.npy"
    path.write_bytes(path.read_bytes()[:100])
    assert prepared(cache, "X", [2020]).open().rows == 12


def test_what_was_dropped_and_implied_is_said_once(cache: Cache, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "options_bt")
    pulled(
        source_of(2020, extra=[quote(None, FAR, 1.0, "put"), quote(date(2020, 3, 1), FAR, 1.0, "put", bid=9.0)]),
        cache,
        2020,
    )
    prepared(cache, "X", [2020])
    prepared(cache, "X", [2020])
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["X: 12 quotes on 3 days, dropped: 1 null_key, 1 crossed"]


def test_implied_closes_are_said(cache: Cache, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "options_bt")
    pulled(TableSource(rows_of(2020)), cache, 2020)
    prepared(cache, "X", [2020])
    assert [record.getMessage() for record in caplog.records] == [
        "X: 12 quotes on 3 days, dropped: none",
        "X: the close of 3 days is implied by put-call parity",
    ]
