from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from itertools import pairwise
from random import Random

import polars as pl
import pytest

from options_bt.data.market.building import build_market
from options_bt.data.market.features import features
from options_bt.job.predicates import FEATURES
from tests.data.quotes import Row, chain_frame, closes_frame, quote, splits_frame

START = date(2020, 1, 1)
TOLERANCE = 1e-9
PRICE_FEATURES = ("return_1", "hv_20", "sma_20", "sma_50", "sma_200", "rsi_14")


@dataclass
class Raw:
    """The inputs of a symbol; every quote is clean."""

    quotes: list[Row]
    closes: list[tuple[date, float]]
    splits: list[tuple[date, float, float]]

    def until(self, last: date) -> Raw:
        """What was known on a day."""
        return Raw(
            [row for row in self.quotes if row["date"] <= last],
            [row for row in self.closes if row[0] <= last],
            [row for row in self.splits if row[0] <= last],
        )

    def table(self) -> pl.DataFrame:
        return features(
            build_market("X", "f", chain_frame(self.quotes), closes_frame(self.closes), splits_frame(self.splits))
        )

    def days(self) -> list[date]:
        return sorted({row["date"] for row in self.quotes})


@cache
def raw_of(seed: int, days: int = 520, quoted_from: int = 120, with_closes: bool = True) -> Raw:
    """A symbol with closes on weekdays, quotes on some of them, splits, and quotes without a volatility.

    Closes have odd cents and strikes are whole dollars, so that no two strikes are as near to the close.
    """
    random = Random(seed)
    calendar = [START + timedelta(days=number) for number in range(days)]
    splits = [(calendar[200], 2.0, 1.0), (calendar[330], 1.0, 3.0), (calendar[331], 3.0, 2.0)]
    price, quotes, closes = 120.0, [], []
    for number, day in enumerate(calendar):
        price *= math.exp(random.gauss(0, 0.02))
        price /= math.prod(to / of for on, to, of in splits if on == day)
        close = math.floor(price) + random.choice([0.13, 0.37, 0.61, 0.89])
        if day.weekday() < 5 and with_closes and random.random() > 0.02:
            closes.append((day, close))
        if number >= quoted_from and (day.weekday() < 5 or random.random() < 0.1):
            quotes += _quotes(random, day, close)
    return Raw(quotes, closes, splits)


def _quotes(random: Random, day: date, close: float) -> list[Row]:
    rows: list[Row] = []
    level = random.uniform(0.15, 0.6)
    known = random.random() > 0.1
    for dte in random.sample([0, 1, 9, 16, 23, 30, 37, 44, 58, 72, 100], k=random.randint(1, 5)):
        for step in range(-4, 5):
            strike = float(round(close) + step)
            call_delta = round(min(max(0.5 - step * 0.11 + random.uniform(-0.04, 0.04), 0.01), 0.99), 4)
            for right in ("put", "call"):
                if random.random() < 0.2:
                    continue
                # An exact parity, so that a missing close is implied near the true one.
                mid = 5.0 + max(0.0, close - strike if right == "call" else strike - close)
                iv = random.choice([None, 0.0, math.nan]) if random.random() < 0.05 or not known else None
                if known and random.random() > 0.05:
                    iv = round(level + random.uniform(-0.03, 0.03), 4)
                delta: float | None = call_delta if right == "call" else round(call_delta - 1, 4)
                if random.random() < 0.05:
                    delta = None
                row = quote(day, day + timedelta(days=dte), strike, right, bid=mid - 0.1, ask=mid + 0.1)
                rows.append(row | {"iv": iv, "delta": delta})
    return rows


def plain_closes(raw: Raw) -> list[tuple[date, float]]:
    """The closes that price features run over; without any, those of the quote days."""
    if raw.closes:
        return raw.closes
    table = build_market("X", "f", chain_frame(raw.quotes), closes_frame([]), splits_frame(raw.splits)).chain
    return list(zip(raw.days(), table.days.close.tolist(), strict=True))


def adjusted(raw: Raw, closes: Sequence[tuple[date, float]], today: date) -> list[float]:
    """The closes until a day, in its terms, by the splits until that day."""
    known = [split for split in raw.splits if split[0] <= today]
    return [close / math.prod(to / of for on, to, of in known if day < on) for day, close in closes if day <= today]


# --- Plain definitions -----------------------------------------------------------------------------


def plain_return(prices: Sequence[float]) -> float | None:
    return prices[-1] / prices[-2] - 1 if len(prices) >= 2 else None


def plain_hv(prices: Sequence[float]) -> float | None:
    if len(prices) < 21:
        return None
    returns = [math.log(after / before) for before, after in pairwise(prices[-21:])]
    mean = sum(returns) / 20
    return math.sqrt(sum((r - mean) ** 2 for r in returns) / 19 * 252)


def plain_sma(days: int) -> Callable[[Sequence[float]], float | None]:
    return lambda prices: sum(prices[-days:]) / days if len(prices) >= days else None


def plain_rsi(prices: Sequence[float]) -> float | None:
    changes = [after - before for before, after in pairwise(prices)]
    if len(changes) < 14:
        return None
    gain = sum(max(change, 0.0) for change in changes[:14]) / 14
    loss = sum(max(-change, 0.0) for change in changes[:14]) / 14
    for change in changes[14:]:
        gain = (13 * gain + max(change, 0.0)) / 14
        loss = (13 * loss + max(-change, 0.0)) / 14
    if loss == 0:
        return 100.0 if gain > 0 else 50.0
    return 100 - 100 / (1 + gain / loss)


PLAIN = {
    "return_1": plain_return,
    "hv_20": plain_hv,
    "sma_20": plain_sma(20),
    "sma_50": plain_sma(50),
    "sma_200": plain_sma(200),
    "rsi_14": plain_rsi,
}


def usable(raw: Raw, today: date) -> list[Row]:
    return [
        row | {"dte": (row["expiration"] - today).days}
        for row in raw.quotes
        if row["date"] == today and row["iv"] and math.isfinite(row["iv"]) and row["expiration"] > today
    ]


def plain_iv(rows: Sequence[Row], close: float, target: int) -> float | None:
    """At-the-money volatility at `target` days, in total variance, flat beyond the ends."""
    curve: list[tuple[int, float]] = []
    for dte in sorted({row["dte"] for row in rows}):
        of_expiration = [row for row in rows if row["dte"] == dte]
        distance = min(abs(row["strike"] - close) for row in of_expiration)
        strike = min(row["strike"] for row in of_expiration if abs(row["strike"] - close) <= distance + TOLERANCE)
        at_strike = [row["iv"] for row in of_expiration if row["strike"] == strike]
        curve.append((dte, sum(at_strike) / len(at_strike)))
    if not curve:
        return None
    for (near, near_iv), (far, far_iv) in pairwise(curve):
        if near <= target <= far:
            share = (target - near) / (far - near)
            variance: float = ((1 - share) * near_iv**2 * near + share * far_iv**2 * far) / target
            return math.sqrt(variance)
    return curve[0][1] if target < curve[0][0] else curve[-1][1]


def plain_skew(rows: Sequence[Row]) -> float | None:
    rows = [row for row in rows if row["delta"] is not None]
    if not rows:
        return None
    _, dte = min((abs(row["dte"] - 30), row["dte"]) for row in rows)
    found = {}
    for right in ("put", "call"):
        candidates = [row for row in rows if row["dte"] == dte and row["right"] == right]
        if not candidates:
            return None
        miss = min(abs(abs(row["delta"]) - 0.25) for row in candidates)
        tied = [row for row in candidates if abs(abs(row["delta"]) - 0.25) <= miss + TOLERANCE]
        found[right] = min(tied, key=lambda row: row["strike"])["iv"]
    return float(found["put"] - found["call"])


def assert_column(table: pl.DataFrame, name: str, expected: Sequence[float | None]) -> None:
    found = table[name].to_list()
    for number, (got, wanted) in enumerate(zip(found, expected, strict=True)):
        assert got == (None if wanted is None else pytest.approx(wanted, rel=1e-7, abs=1e-9)), (name, number)


# --- Against the definitions -----------------------------------------------------------------------


def test_the_columns_are_those_that_predicates_know() -> None:
    raw = raw_of(1)
    table = raw.table()
    assert tuple(table.columns) == FEATURES
    assert table.height == len(raw.days())
    assert set(table.schema.values()) == {pl.Float64()}


@pytest.mark.parametrize("with_closes", [True, False])
@pytest.mark.parametrize("name", PRICE_FEATURES)
def test_price_features_are_their_definitions(name: str, with_closes: bool) -> None:
    raw = raw_of(2, with_closes=with_closes)
    closes = plain_closes(raw)
    expected = [PLAIN[name](adjusted(raw, closes, today)) for today in raw.days()]
    assert sum(value is not None for value in expected) > 50
    assert_column(raw.table(), name, expected)


@pytest.mark.parametrize("seed", [3, 4])
def test_chain_features_are_their_definitions(seed: int) -> None:
    raw = raw_of(seed)
    table = raw.table()
    closes = table["close"].to_list()
    rows = [usable(raw, today) for today in raw.days()]
    iv_30 = [plain_iv(quotes, close, 30) for quotes, close in zip(rows, closes, strict=True)]
    iv_60 = [plain_iv(quotes, close, 60) for quotes, close in zip(rows, closes, strict=True)]
    assert None in iv_30
    assert_column(table, "iv_30", iv_30)
    slopes = [None if far is None or near is None else far - near for near, far in zip(iv_30, iv_60, strict=True)]
    assert_column(table, "term_slope", slopes)
    skews = [plain_skew(quotes) for quotes in rows]
    assert None in skews
    assert_column(table, "skew_25", skews)
    ranks: list[float | None] = []
    percentiles: list[float | None] = []
    for number, level in enumerate(iv_30):
        known = [value for value in iv_30[max(0, number - 251) : number + 1] if value is not None]
        if level is None or len(known) < 60:
            ranks.append(None)
            percentiles.append(None)
            continue
        ranks.append(100 * (level - min(known)) / (max(known) - min(known)))
        percentiles.append(100 * sum(value < level for value in known) / len(known))
    assert_column(table, "iv_rank", ranks)
    assert_column(table, "iv_percentile", percentiles)


def test_ranks_are_null_until_sixty_days_have_a_volatility() -> None:
    table = raw_of(3).table()
    known = table["iv_30"].is_not_null().cum_sum()
    for name in ("iv_rank", "iv_percentile"):
        assert table.filter(known < 60)[name].null_count() == table.filter(known < 60).height
        assert table.filter((known >= 60) & pl.col("iv_30").is_not_null())[name].null_count() == 0


def test_the_close_is_that_of_the_quote_day() -> None:
    raw = raw_of(2)
    traded = dict(raw.closes)
    for day, close in zip(raw.days(), raw.table()["close"].to_list(), strict=True):
        assert day not in traded or close == traded[day]


# --- Small examples --------------------------------------------------------------------------------


def priced(closes: Sequence[float], splits: Sequence[tuple[date, float, float]] = ()) -> pl.DataFrame:
    """The features of days with these closes and one quote each."""
    days = [START + timedelta(days=number) for number in range(len(closes))]
    far = days[-1] + timedelta(days=90)
    quotes = [quote(day, far, 100.0, "put", iv=None) for day in days]
    return Raw(quotes, list(zip(days, closes, strict=True)), list(splits)).table()


def test_rising_closes_have_an_rsi_of_100_falling_ones_of_0_and_still_ones_of_50() -> None:
    for step, expected in ((1.0, 100.0), (-1.0, 0.0), (0.0, 50.0)):
        rsi = priced([100.0 + step * number for number in range(30)])["rsi_14"].to_list()
        assert rsi[:14] == [None] * 14
        assert rsi[14:] == [expected] * 16


def test_a_split_is_no_fall() -> None:
    day = START + timedelta(days=20)
    table = priced([100.0] * 20 + [25.0] * 10, [(day, 4.0, 1.0)])
    assert table["return_1"].to_list() == [None] + [0.0] * 29
    assert table["sma_20"].to_list()[19:] == [100.0] + [25.0] * 10
    assert table["rsi_14"].to_list()[-1] == 50.0
    assert table["hv_20"].to_list()[-1] == 0.0


def test_closes_from_before_the_first_quote_count() -> None:
    days = [START + timedelta(days=number) for number in range(30)]
    raw = Raw([quote(days[-1], days[-1] + timedelta(days=40), 100.0, "put")], [(day, 100.0) for day in days], [])
    assert raw.table()["sma_20"].to_list() == [100.0]


def volatilities(*rows: tuple[int, float, str, float | None], delta: float = 0.25) -> dict[str, float | None]:
    """The features of one day at a close of 100 with quotes of (dte, strike, right, iv)."""
    quotes = [
        quote(START, START + timedelta(days=dte), strike, right, iv=iv, delta=delta if right == "call" else -delta)
        for dte, strike, right, iv in rows
    ]
    return Raw(quotes, [(START, 100.0)], []).table().row(0, named=True)


def test_iv_30_is_interpolated_in_total_variance() -> None:
    found = volatilities((20, 100.0, "put", 0.2), (40, 100.0, "put", 0.4))
    assert found["iv_30"] == pytest.approx(math.sqrt((0.04 * 20 + 0.16 * 40) / 2 / 30))


@pytest.mark.parametrize(("dtes", "expected"), [((40, 60), 0.2), ((10, 20), 0.4), ((30, 60), 0.2), ((10, 30), 0.4)])
def test_iv_30_is_flat_beyond_the_expirations(dtes: tuple[int, int], expected: float) -> None:
    near, far = dtes
    assert volatilities((near, 100.0, "put", 0.2), (far, 100.0, "put", 0.4))["iv_30"] == pytest.approx(expected)


def test_iv_30_is_the_mean_of_both_rights_at_the_nearest_strike_that_has_one() -> None:
    both = volatilities((30, 99.0, "put", 0.9), (30, 100.0, "put", 0.2), (30, 100.0, "call", 0.3))
    assert both["iv_30"] == pytest.approx(0.25)
    other = volatilities((30, 98.0, "put", 0.9), (30, 100.0, "put", None), (30, 101.0, "call", 0.0))
    assert other["iv_30"] == pytest.approx(0.9)


def test_of_strikes_as_near_the_lower_counts() -> None:
    assert volatilities((30, 101.0, "put", 0.4), (30, 99.0, "put", 0.2))["iv_30"] == 0.2


def test_skew_and_slope() -> None:
    rows = [(30, 95.0, "put", 0.3), (30, 105.0, "call", 0.22), (60, 95.0, "put", 0.26), (60, 105.0, "call", 0.2)]
    found = volatilities(*rows)
    assert found["skew_25"] == pytest.approx(0.08)
    assert found["term_slope"] == pytest.approx(0.26 - 0.3)


def test_a_day_without_both_rights_has_no_skew() -> None:
    assert volatilities((30, 95.0, "put", 0.3))["skew_25"] is None


def test_an_expiration_today_has_no_volatility() -> None:
    assert volatilities((0, 100.0, "put", 0.9))["iv_30"] is None


def test_strikes_tie_within_the_tolerance() -> None:
    quotes = [
        quote(START, START + timedelta(days=30), strike, "put", iv=iv) for strike, iv in ((49.91, 0.2), (50.23, 0.4))
    ]
    assert abs(49.91 - 50.07) > abs(50.23 - 50.07)  # by 7e-15
    assert Raw(quotes, [(START, 50.07)], []).table()["iv_30"].to_list() == [0.2]


def test_deltas_tie_within_the_tolerance() -> None:
    far = START + timedelta(days=30)
    assert abs(0.2498 - 0.25) > abs(0.2502 - 0.25)  # by 3e-17
    quotes = [
        quote(START, far, 95.0, "put", iv=0.2, delta=-0.2498),
        quote(START, far, 96.0, "put", iv=0.4, delta=-0.2502),
        quote(START, far, 105.0, "call", iv=0.1, delta=0.25),
    ]
    assert Raw(quotes, [(START, 100.0)], []).table()["skew_25"].to_list() == [pytest.approx(0.1)]


def test_no_quotes_no_features() -> None:
    table = Raw([], [(START, 100.0)], []).table()
    assert (table.height, tuple(table.columns)) == (0, FEATURES)


# --- Causality -------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_closes", [True, False])
@pytest.mark.parametrize("cut", [130, 199, 200, 201, 329, 330, 331, 400, 519])
def test_nothing_from_after_a_day_changes_its_features(cut: int, with_closes: bool) -> None:
    raw = raw_of(5, with_closes=with_closes)
    known = raw.until(START + timedelta(days=cut)).table()
    assert known.equals(raw.table().head(known.height))


def test_closes_that_begin_later_change_nothing_before_them() -> None:
    days = [START + timedelta(days=number) for number in range(30)]
    late, rights = days[-1] + timedelta(days=9), ("put", "call")
    quotes = [quote(day, late, 100.0, right, bid=5.0, ask=5.2) for day in days for right in rights]
    without, later = Raw(quotes, [], []).table(), Raw(quotes, [(days[20], 120.0), (days[21], 126.0)], []).table()
    assert later[:20].equals(without[:20])
    assert without["return_1"][1:20].to_list() == [0.0] * 19
    assert later["return_1"][20:22].to_list() == [None, pytest.approx(0.05)]


def test_a_later_split_changes_nothing_before_it() -> None:
    raw = raw_of(6)
    fewer = Raw(raw.quotes, raw.closes, raw.splits[:1])
    before = sum(day < raw.splits[1][0] for day in raw.days())
    assert fewer.table().head(before).equals(raw.table().head(before))
    assert not fewer.table().equals(raw.table())


# --- From the source's own history -----------------------------------------------------------------


def history_table(rows: list[tuple[date, float | None, float | None]], days: list[date]) -> pl.DataFrame:
    quotes = [quote(day, day + timedelta(days=30), 100.0, "put") for day in days]
    schema = {"date": pl.Date, "hv_current": pl.Float64, "iv_current": pl.Float64}
    history = pl.DataFrame(rows, schema=schema, orient="row")
    closes = closes_frame([(day, 100.0) for day in days])
    return features(build_market("X", "f", chain_frame(quotes), closes, splits_frame([]), volatility=history))


def test_history_counts_on_its_day_and_for_four_days() -> None:
    days = [START + timedelta(days=number) for number in range(7)]
    table = history_table([(days[1], 0.2, 0.3), (days[1], 0.25, None), (days[0] - timedelta(days=9), 0.1, 0.1)], days)
    assert table["history_hv"].to_list() == [None, 0.25, 0.25, 0.25, 0.25, 0.25, None]
    assert table["history_iv"].null_count() == 7


def test_history_ranks_go_over_its_last_252_rows_of_which_sixty_exist() -> None:
    days = [START + timedelta(days=number) for number in range(400)]
    random = Random(5)
    rows = [(day, 0.2, random.uniform(0.1, 0.9)) for day in days]
    table = history_table(list(rows), days)
    assert table["history_iv_rank"][:59].null_count() == 59
    for last in (59, 251, 399):
        window = [iv for _, _, iv in rows[max(0, last - 251) : last + 1]]
        low, high, now = min(window), max(window), window[-1]
        assert table["history_iv_rank"][last] == pytest.approx(100 * (now - low) / (high - low))
        assert table["history_iv_percentile"][last] == pytest.approx(100 * sum(v < now for v in window) / len(window))


def test_without_a_history_its_features_are_null() -> None:
    table = raw_of(1).table()
    assert table.select(pl.col("^history_.*$").null_count()).row(0) == (table.height,) * 4


def test_a_market_without_any_close_has_features_that_are_null() -> None:
    rows = [quote(START, START + timedelta(days=9), 100.0, "put")]
    table = features(build_market("X", "f", chain_frame(rows), closes_frame([]), splits_frame([])))
    assert table.columns == list(FEATURES)
    assert [column.null_count() for column in table] == [1] * len(FEATURES)
