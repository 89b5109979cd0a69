from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from options_bt.cli import cli
from options_bt.data.cache.cache import Cache
from options_bt.data.cache.pulling import pull_symbol
from options_bt.data.coverage import cached_coverage, contract_lives, coverage_tables
from options_bt.data.market.building import build_market
from options_bt.data.market.market import Chain
from options_bt.data.sources.demo import DemoSource
from options_bt.errors import SourceError
from tests import reference
from tests.data.quotes import Closes, Row, Splits, TableSource, chain_frame, closes_frame, quote, splits_frame
from tests.markets import RandomMarket, random_market
from tests.small_run import SmallRun

FAR = date(2030, 1, 18)
BUCKETS = {"1-7": (1, 7), "8-14": (8, 14), "15-30": (15, 30), "31-45": (31, 45), "46-60": (46, 60), "61-90": (61, 90)}
BUCKETS[">90"] = (91, 10**6)


def chain_of(rows: list[Row], closes: Closes = (), splits: Splits = ()) -> Chain:
    return build_market("X", "f", chain_frame(rows), closes_frame(closes), splits_frame(splits)).chain


def tables_of(rows: list[Row], years: list[int]) -> list[pl.DataFrame]:
    return list(coverage_tables(chain_of(rows), years).values())


def source_of(*years: int, symbol: str = "X") -> TableSource:
    rows = [quote(date(year, 3, day), FAR, 100.0, "put") for year in years for day in (1, 2, 9)]
    return TableSource(rows, symbol=symbol)


def filled(root: Path, name: str, source: TableSource, *years: int) -> Cache:
    cache = Cache(root, name)
    pull_symbol(cache, source, source.symbol, years, lambda year, rows: None)
    return cache


# --- Against plain Python ----------------------------------------------------------------------------


class Life(NamedTuple):
    first: date
    expiration: date
    days: int
    quoted: int
    at_end: bool | None


def around_new_year(seed: int) -> RandomMarket:
    """A random market moved so that it usually lies in two years."""
    raw, back = random_market(seed), timedelta(days=50)
    for row in raw.quotes:
        row |= {name: row[name] - back for name in ("date", "expiration") if row[name]}
    raw.splits = [(day - back, to, for_) for day, to, for_ in raw.splits]
    raw.closes = []
    return raw


def plain_lives(raw: RandomMarket) -> list[Life]:
    """Follow every contract from its first quote, day by day."""
    chains, _ = reference.clean(raw.quotes)
    days, splits = sorted(chains), reference.read_splits(raw.splits)
    lives, seen = [], set()
    for first in days:
        for expiration, strike, right in chains[first]:
            is_new = (first, expiration, strike, right) not in seen
            between = [day for day in days if first < day < expiration]
            quoted, previous = [], first
            for day in between:
                for ex_date, ratio in splits:
                    if previous < ex_date <= day:
                        strike = reference.round_strike(strike / ratio)
                previous = day
                if (expiration, strike, right) in chains[day]:
                    quoted.append(day)
                    seen.add((day, expiration, strike, right))
            if is_new and between:
                at_end = between[-1] in quoted if any(day >= expiration for day in days) else None
                lives.append(Life(first, expiration, len(between), len(quoted), at_end))
    return lives


def persistence(lives: list[Life]) -> list[Any]:
    ends = [life.at_end for life in lives if life.at_end is not None]
    days = sum(life.days for life in lives)
    stay = 100 * sum(life.quoted for life in lives) / days if days else None
    return [len(lives), stay, 100 * sum(ends) / len(ends) if ends else None]


def assert_shown(row: tuple[Any, ...], expected: list[Any]) -> None:
    assert len(row) == len(expected)
    for shown, value in zip(row, expected, strict=True):
        if isinstance(value, str) or value is None:
            assert shown == value
        else:
            assert float(shown) == pytest.approx(value, abs=0.0501)


@pytest.mark.slow
@settings(max_examples=60)
@given(seed=st.integers(0, 10_000))
def test_the_lives_of_contracts_are_those_of_plain_python(seed: int) -> None:
    raw = around_new_year(seed)
    lives = contract_lives(raw.built().chain, [2019, 2020])
    key = [(life.first, life.expiration, life.days, life.quoted, str(life.at_end)) for life in plain_lives(raw)]
    assert sorted((*row[:4], str(row[4])) for row in lives.rows()) == sorted(key)


@pytest.mark.slow
@settings(max_examples=40)
@given(seed=st.integers(0, 10_000))
def test_the_tables_are_those_of_plain_python(seed: int) -> None:
    raw = around_new_year(seed)
    by_year, by_dte, _ = coverage_tables(raw.built().chain, [2019, 2020]).values()
    chains, _ = reference.clean(raw.quotes)
    lives = plain_lives(raw)
    for name, years in {"2019": {2019}, "2020": {2020}, "all": {2019, 2020}}.items():
        days = [{(e, s) for e, s, _ in chain} for day, chain in chains.items() if chain and day.year in years]
        counts: dict[str, list[int]] = defaultdict(list)
        for pairs in days:
            expirations = {expiration for expiration, _ in pairs}
            counts["expirations"].append(len(expirations))
            counts["strikes"].append(len({strike for _, strike in pairs}))
            counts["each"] += [len([1 for e, _ in pairs if e == expiration]) for expiration in expirations]
        medians = [median(counts[k]) if counts[k] else None for k in ("expirations", "strikes", "each")]
        own = persistence([life for life in lives if life.first.year in years])
        assert_shown(by_year.row(by_predicate=pl.col("year") == name), [name, len(days), *medians, *own])
    days_left = [{(e - day).days for e, _, _ in chain} for day, chain in chains.items() if chain]
    for name, (low, high) in BUCKETS.items():
        having = sum(any(low <= n <= high for n in left) for left in days_left)
        share = 100 * having / len(days_left) if days_left else None
        own = persistence([life for life in lives if low <= (life.expiration - life.first).days <= high])
        assert_shown(by_dte.row(by_predicate=pl.col("dte") == name), [name, share, *own])


def test_the_random_markets_have_what_is_to_be_tested() -> None:
    lives = [life for seed in range(40) for life in plain_lives(around_new_year(seed))]
    assert {life.at_end for life in lives} == {True, False, None}
    assert {life.first.year for life in lives} == {2019, 2020}
    assert any(0 < life.quoted < life.days for life in lives)


# --- Single rules ------------------------------------------------------------------------------------


def days_of_march(*numbers: int) -> list[date]:
    return [date(2020, 3, number) for number in numbers]


def test_a_contract_that_vanishes_and_comes_back() -> None:
    days, expiration = days_of_march(2, 4, 6, 9, 11, 13), date(2020, 3, 13)
    rows = [quote(day, expiration, 100.0, "put") for day in (days[0], days[2], days[5])]
    rows += [quote(day, expiration, 90.0, "call") for day in days]
    lives = contract_lives(chain_of(rows), [2020]).sort("quoted")
    # The day of the expiration is neither counted nor needed.
    assert lives.rows() == [(days[0], expiration, 4, 1, False), (days[0], expiration, 4, 4, True)]


def test_a_contract_is_followed_across_a_split() -> None:
    before, after, expiration = date(2020, 8, 28), date(2020, 8, 31), date(2020, 9, 18)
    rows = [quote(before, expiration, 500.0, "put"), quote(after, expiration, 125.0, "put")]
    rows += [quote(date(2020, 9, 21), FAR, 125.0, "put")]
    for splits, quoted in (([(after, 4.0, 1.0)], 1), ([], 0)):
        lives = contract_lives(chain_of(rows, splits=splits), [2020])
        assert lives.rows()[0] == (before, expiration, 1, quoted, quoted == 1)


def test_what_cannot_be_known_is_not_counted() -> None:
    day, other = days_of_march(2, 4)
    expirations = (other, date(2020, 3, 3), day, date(2020, 3, 20))
    lives = contract_lives(chain_of([quote(d, e, 100.0, "put") for d in (day, other) for e in expirations]), [2020])
    # Of three contracts there is no quote day between first quote and expiration; one expires after the last.
    assert lives.rows() == [(day, expirations[3], 1, 1, None)]


def test_an_end_in_a_year_that_is_not_cached_is_unknown() -> None:
    rows = [quote(date(year, 3, day), date(2020, 6, 19), 100.0, "put") for year in (2019,) for day in (1, 4)]
    rows += [quote(date(2021, 3, 1), FAR, 100.0, "put")]
    assert contract_lives(chain_of(rows), [2019, 2021])["at_end"].to_list() == [None]
    assert contract_lives(chain_of(rows), [2019, 2020, 2021])["at_end"].to_list() == [True]


def test_the_three_longest_gaps_the_first_of_equals_first() -> None:
    rows = [quote(day, FAR, 100.0, "put") for day in days_of_march(1, 2, 5, 9, 10, 13, 20)]
    *_, gaps = tables_of(rows, [2020])
    expected = [((13, 20), 7), ((5, 9), 4), ((2, 5), 3)]
    assert gaps.rows() == [(*days_of_march(*pair), length) for pair, length in expected]


def test_days_in_a_row_are_no_gap() -> None:
    *_, gaps = tables_of([quote(day, FAR, 100.0, "put") for day in days_of_march(1, 2, 3)], [2020])
    assert gaps.height == 0


def test_a_year_without_quotes_is_a_gap_and_one_that_is_not_cached_is_none() -> None:
    rows = [quote(date(year, 3, 1), FAR, 100.0, "put") for year in (2019, 2021)]
    by_year, _, gaps = tables_of(rows, [2019, 2020, 2021])
    assert gaps["days"].to_list() == [731]
    assert by_year["quote_days"].to_list() == [1, 0, 1, 2]
    by_year, _, gaps = tables_of(rows, [2019, 2021])
    assert gaps.height == 0
    assert by_year["year"].to_list() == ["2019", "2021", "all"]


@pytest.mark.slow
def test_dense_demo_contracts_stay_and_sparse_ones_do_not(tmp_path: Path) -> None:
    for profile, low, high in (("dense", 99.0, 100.0), ("sparse", 1.0, 30.0)):
        source = DemoSource(profile)  # type: ignore[arg-type]  # a literal in a loop
        pull_symbol(Cache(tmp_path, source.name), source, "SPY", [2019], lambda year, rows: None)
        (coverage,) = cached_coverage(tmp_path, "SPY", source.name)
        by_year, *_ = coverage.tables.values()
        assert all(low <= float(share) <= high for share in by_year["stay_pct"])
        assert profile in coverage.heading


# --- The cache and the command -----------------------------------------------------------------------


def command(*arguments: object) -> tuple[int, str]:
    answer = CliRunner().invoke(cli, ["data", "coverage", *map(str, arguments)])
    assert answer.exception is None, answer.exception
    return answer.exit_code, answer.output


def test_the_command_shows_every_table(small_run: SmallRun) -> None:
    code, out = command("SPY", "--source", "demo", "--cache", small_run.cache)
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == f"SPY from demo: simulated market (sparse, seed 1) ({small_run.cache / 'demo'})"
    assert "clean quotes on" in lines[1]
    headers = [lines[n - 1].split() for n, line in enumerate(lines) if line.startswith("--")]
    assert headers == [
        ["year", "quote_days", "expirations", "strikes", "strikes_each", "contracts", "stay_pct", "end_pct"],
        ["dte", "days_pct", "contracts", "stay_pct", "end_pct"],
        ["after", "before", "days"],
    ]
    # Other tests may have brought more years into this cache.
    first_table = out.partition("By days to expiration")[0].splitlines()
    years = [line.split()[0] for line in first_table if line[:2] in ("20", "al")]
    assert years[-5:] == ["2021", "2022", "2023", "2024", "all"]


def test_a_symbol_without_clean_quotes_has_tables_that_say_so(tmp_path: Path) -> None:
    rows = [quote(date(2020, 3, 2), FAR, 100.0, "put", bid=9.0), quote(None, FAR, 100.0, "put")]
    filled(tmp_path, "a", TableSource(rows), 2020, 2021)
    code, out = command("X", "--cache", tmp_path)
    assert code == 0
    words = [line.split() for line in out.splitlines()]
    assert out.splitlines()[1] == "0 clean quotes; dropped: 1 null_key, 1 crossed"
    for year in ("2020", "2021", "all"):
        assert [year, "0", "-", "-", "-", "0", "-", "-"] in words
    for name in BUCKETS:
        assert [name, "-", "0", "-", "-"] in words


def test_a_symbol_that_has_no_dated_quote_at_all_is_shown(tmp_path: Path) -> None:
    filled(tmp_path, "a", TableSource([quote(None, FAR, 100.0, "put")]))
    code, out = command("X", "--cache", tmp_path)
    assert code == 0
    assert ["all", "0", "-", "-", "-", "0", "-", "-"] in [line.split() for line in out.splitlines()]


def test_every_source_that_has_the_symbol_is_shown_or_the_one_asked_for(tmp_path: Path) -> None:
    for name in ("a", "b"):
        filled(tmp_path, name, source_of(2020), 2020)
    filled(tmp_path, "c", source_of(2020, symbol="Y"), 2020)
    assert [c.heading.splitlines()[0] for c in cached_coverage(tmp_path, "X")] == [
        f"X from a table ({tmp_path / name})" for name in ("a", "b")
    ]
    (only,) = cached_coverage(tmp_path, "X", "b")
    assert only.heading.splitlines() == [
        f"X from a table ({tmp_path / 'b'})",
        "3 clean quotes on 3 days from 2020-03-01 to 2020-03-09; dropped: none",
    ]


def test_a_symbol_that_is_not_cached_is_rejected_with_the_nearest_and_the_next_step(tmp_path: Path) -> None:
    filled(tmp_path, "a", source_of(2020, symbol="SPY"), 2020)
    filled(tmp_path, "b", source_of(2020, symbol="QQQ"), 2020)
    for symbol, source, text in (
        ("spy", None, rf"spy: not cached in {tmp_path} \(did you mean 'SPY'\?\); .*`options-bt data pull"),
        ("SPY", "b", rf"SPY: not cached in {tmp_path / 'b'}; name it in a job file and run"),
        ("A" * 300, None, "A: not cached"),
    ):
        with pytest.raises(SourceError, match=text):
            cached_coverage(tmp_path, symbol, source)
    with pytest.raises(SourceError, match="SPY: not cached in "):
        cached_coverage(tmp_path / "none", "SPY")


def test_a_source_that_is_not_cached_is_rejected_with_those_that_are(tmp_path: Path) -> None:
    filled(tmp_path, "demo", source_of(2020), 2020)
    with pytest.raises(SourceError, match=r"--source: got 'dmo' \(did you mean 'demo'\?\); allowed: demo"):
        cached_coverage(tmp_path, "X", "dmo")
    with pytest.raises(SourceError, match="allowed: none; nothing is cached"):
        cached_coverage(tmp_path / "none", "X", "demo")


def test_a_damaged_file_is_named_with_the_next_step(tmp_path: Path) -> None:
    cache = filled(tmp_path, "a", source_of(2020), 2020)
    path = cache.folder / "chain/X/2020.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(SourceError, match=rf"damaged cache: {path} .*`options-bt data pull JOBFILE`"):
        cached_coverage(tmp_path, "X")
