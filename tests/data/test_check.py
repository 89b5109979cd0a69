from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from options_bt.data.cache.cache import Cache
from options_bt.data.cache.pulling import pull_symbol
from options_bt.data.cache.reading import CachedSymbol, cached_manifests, cached_symbol
from options_bt.data.check import Finding, findings, findings_table, heading
from options_bt.data.market.cleaning import REASONS, cleaned, marked
from options_bt.errors import SourceError
from tests.data.quotes import Closes, Row, Splits, TableSource, chain_frame, closes_frame, quote, splits_frame
from tests.markets import random_market

DAY, NEXT, LATER = date(2021, 3, 1), date(2021, 3, 2), date(2021, 3, 3)
NEAR, FAR = date(2021, 3, 19), date(2021, 4, 16)
RULES = [
    *REASONS,
    *("put-call parity", "negative vertical", "negative butterfly", "negative calendar"),
    *("stale repeat", "close off the chain", "split without a row"),
]


def checked(rows: Sequence[Row], closes: Closes = ((DAY, 100.0),), splits: Splits = ()) -> dict[str, Finding]:
    data = CachedSymbol(chain_frame(rows), closes_frame(closes), splits_frame(splits))
    return {finding.rule: finding for finding in findings(data)}


def broken(found: dict[str, Finding]) -> dict[str, int]:
    return {rule: finding.broken for rule, finding in found.items() if finding.broken}


def call(strike: float, bid: float, day: date = DAY, expiration: date = NEAR, right: str = "call") -> Row:
    return quote(day, expiration, strike, right, bid=bid, ask=bid + 0.2)


def test_every_rule_is_there_also_when_nothing_breaks_it() -> None:
    found = checked([call(100, 2.0), call(100, 2.0, right="put")])
    assert list(found) == RULES
    assert broken(found) == {}
    assert list(checked([])) == RULES
    assert findings_table(list(checked([]).values()))["pct"].null_count() == len(RULES)


def test_what_cleaning_drops_is_shown_with_its_dates() -> None:
    crossed, undated = quote(DAY, NEAR, 100.0, "put", bid=3.0), quote(None, NEAR, 100.0, "put")
    found = checked([crossed, undated, call(100, 2.0), call(100, 2.1)])
    assert broken(found) == {"null_key": 1, "crossed": 1, "duplicate": 1}
    assert found["crossed"].of == 4
    assert found["crossed"].examples.rows() == [(DAY, NEAR, 100.0, "put", 3.0, 1.2)]
    assert found["duplicate"].examples["bid"].to_list() == [2.0]


@pytest.mark.parametrize(("bid", "count"), [(2.0, 0), (4.0, 1), (12.0, 1)])
def test_parity(bid: float, count: int) -> None:
    found = checked([call(100, bid), call(100, 2.0, right="put")], [(DAY, 100.0)])["put-call parity"]
    assert (found.broken, found.of) == (count, 1)


def test_parity_lets_a_year_of_interest_pass_and_needs_a_close() -> None:
    year = date(2022, 3, 1)
    rows = [call(100, 9.0, expiration=year), call(100, 4.0, expiration=year, right="put")]
    assert broken(checked(rows)) == {}
    assert checked(rows, closes=())["put-call parity"].of == 0


def test_a_negative_vertical() -> None:
    assert "negative vertical" in broken(checked([call(100, 2.0), call(105, 2.5)]))
    assert "negative vertical" in broken(checked([call(100, 2.5, right="put"), call(105, 2.0, right="put")]))
    assert broken(checked([call(100, 2.5), call(105, 2.4)])) == {}


def test_a_negative_butterfly() -> None:
    found = checked([call(95, 6.0), call(100, 5.0), call(110, 0.5)])
    assert broken(found) == {"negative butterfly": 1}
    assert found["negative butterfly"].examples["strike"].to_list() == [100.0]
    assert broken(checked([call(95, 6.0), call(100, 2.5), call(110, 0.5)])) == {}


def test_a_negative_calendar() -> None:
    found = checked([call(100, 3.0), call(100, 2.0, expiration=FAR)])["negative calendar"]
    assert (found.broken, found.of) == (1, 1)
    assert found.examples["later"].to_list() == [FAR]
    assert broken(checked([call(100, 3.0), call(100, 2.7, expiration=FAR)])) == {}


@pytest.mark.parametrize(("close", "bid", "count"), [(103.0, 2.0, 1), (100.5, 2.0, 0), (103.0, 2.1, 0)])
def test_a_stale_repeat(close: float, bid: float, count: int) -> None:
    found = checked([call(100, 2.0), call(100, bid, NEXT)], [(DAY, 100.0), (NEXT, close)])["stale repeat"]
    assert (found.broken, found.of) == (count, 1)


@pytest.mark.parametrize(("close", "count"), [(100.0, 0), (104.0, 1)])
def test_a_close_that_the_chain_does_not_imply(close: float, count: int) -> None:
    found = checked([call(100, 2.0), call(100, 2.0, right="put")], [(DAY, close)])["close off the chain"]
    assert (found.broken, found.of) == (count, 1)


@pytest.mark.parametrize("close", [50.0, 25.0, 10.0, 66.7, 300.0, 1000.0])
def test_a_split_without_a_row(close: float) -> None:
    closes = [(DAY, 100.0), (NEXT, close), (LATER, close)]
    assert checked([], closes)["split without a row"].broken == 1
    assert checked([], closes, [(NEXT, 100 / close, 1.0)])["split without a row"].broken == 0


def test_a_crash_or_a_long_gap_is_no_split() -> None:
    assert broken(checked([], [(DAY, 100.0), (NEXT, 75.0)])) == {}
    assert broken(checked([], [(DAY, 100.0), (date(2021, 6, 1), 50.0)])) == {}


@pytest.mark.slow
@settings(max_examples=60)
@given(st.integers(0, 10_000))
def test_random_markets_are_checked_and_agree_with_cleaning(seed: int) -> None:
    market = random_market(seed)
    chain = chain_frame(market.quotes)
    found = findings(CachedSymbol(chain, closes_frame(market.closes), splits_frame(market.splits)))
    _, dropped = cleaned(chain)
    assert {finding.rule: finding.broken for finding in found[: len(REASONS)]} == dropped
    assert marked(chain).height == chain.height
    for finding in found:
        assert finding.examples.height == min(3, finding.broken) and finding.broken <= finding.of


def test_the_cached_data_of_a_symbol_is_checked(tmp_path: Path) -> None:
    cache = Cache(tmp_path, "table")
    source = TableSource([call(100, 3.0), call(100, 2.0, expiration=FAR)], [(DAY, 100.0)])
    pull_symbol(cache, source, "X", [2021], lambda year, rows: None)
    ((found_cache, manifest),) = cached_manifests(tmp_path, "X")
    assert heading(manifest) == "X from a table: 2 rows, 1 closes"
    data = cached_symbol(found_cache, manifest)
    assert broken({finding.rule: finding for finding in findings(data)}) == {"negative calendar": 1}
    (cache.folder / "closes/X.parquet").write_bytes(b"broken")
    with pytest.raises(SourceError, match=r"damaged cache: .*closes/X\.parquet does not match its checksum"):
        cached_symbol(found_cache, manifest)
    with pytest.raises(SourceError, match="Y: not cached in"):
        cached_manifests(tmp_path, "Y")


def test_real_quotes(real_data: Path, tmp_path: Path) -> None:
    from options_bt.data.sources.files import FilesSource

    source = FilesSource(str(real_data), {})
    cache = Cache(tmp_path, source.name)
    manifest = pull_symbol(cache, source, "SPX", [2011], lambda year, rows: None)
    found = {finding.rule: finding for finding in findings(cached_symbol(cache, manifest))}
    assert broken(found) == {"zero_ask": 1, "negative butterfly": 1}
    assert found["put-call parity"].of == 4915
    assert found["negative butterfly"].examples.select("date", "strike").rows() == [(date(2011, 1, 3), 200.0)]
