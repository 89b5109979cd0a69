from __future__ import annotations

from datetime import date, timedelta
from functools import cache

import numpy as np
import polars as pl
import pytest

from options_bt.data.sources.demo import DemoSource, Profile

KEY = ["date", "expiration", "strike", "right"]
NUMBERS = ("bid", "ask", "iv", "delta", "gamma", "theta", "vega", "rho")
SCHEMA = dict(zip(KEY, (pl.Date, pl.Date, pl.Float64, pl.String), strict=True)) | dict.fromkeys(NUMBERS, pl.Float64)
PROFILES: tuple[Profile, Profile] = ("sparse", "dense")


@cache
def chain(profile: Profile, symbol: str, year: int, seed: int = 1) -> pl.DataFrame:
    return dict(DemoSource(profile, seed).chain(symbol, [year]))[year]


@cache
def clean(profile: Profile, symbol: str, year: int) -> pl.DataFrame:
    usable = (pl.col("bid") > 0) & (pl.col("ask") >= pl.col("bid"))
    return (
        chain(profile, symbol, year)
        .filter(usable)
        .with_columns(
            mid=(pl.col("bid") + pl.col("ask")) / 2,
            dte=(pl.col("expiration") - pl.col("date")).dt.total_days(),
        )
    )


def returns(source: DemoSource, symbol: str) -> pl.Series:
    """Daily log returns, adjusted for splits."""
    closes = source.closes(symbol)
    ratio = pl.lit(1.0)
    for ex_date, to_factor, for_factor in source.splits(symbol).iter_rows():
        ratio = ratio * pl.when(pl.col("date") >= ex_date).then(to_factor / for_factor).otherwise(1.0)
    return closes.select((pl.col("close") * ratio).log().diff().drop_nulls()).to_series()


@pytest.mark.parametrize("profile", PROFILES)
def test_columns_types_and_order(profile: Profile) -> None:
    frame = chain(profile, "AAPL", 2023)
    assert frame.schema == SCHEMA
    assert frame.select(KEY).equals(frame.select(KEY).sort(KEY))
    assert not frame.select(KEY).is_duplicated().any()
    assert set(frame["right"]) == {"call", "put"}
    assert frame.select(pl.all().exclude("delta").null_count()).sum_horizontal().item() == 0
    assert frame["date"].dt.year().unique().to_list() == [2023]


@pytest.mark.parametrize("profile", PROFILES)
def test_a_year_is_the_same_in_any_order_and_from_any_instance(profile: Profile) -> None:
    forth = dict(DemoSource(profile, 3).chain("SIM042", [2021, 2022]))
    back = dict(DemoSource(profile, 3).chain("SIM042", [2022]))
    assert forth[2022].equals(back[2022])
    assert forth[2022].equals(chain(profile, "SIM042", 2022, 3))


def test_another_seed_is_another_market_under_another_name() -> None:
    one, two = DemoSource(), DemoSource(seed=2)
    assert not one.closes("SPY").equals(two.closes("SPY"))
    assert len({(s.name, s.version) for s in (one, two, DemoSource("dense"))}) == 3
    assert one.name == "demo"
    assert two.label == "demo: simulated market (sparse, seed 2)"


def test_both_profiles_show_one_market() -> None:
    assert DemoSource("sparse").closes("TSLA").equals(DemoSource("dense").closes("TSLA"))


def test_an_unknown_profile_is_rejected_with_what_is_allowed() -> None:
    with pytest.raises(ValueError, match=r"profile: got 'thin', allowed: sparse, dense"):
        DemoSource("thin")  # type: ignore[arg-type]


def test_a_year_without_data_gives_no_frame() -> None:
    assert [year for year, _ in DemoSource().chain("SPY", [2018, 2019, 2025])] == [2019]


def test_closes_cover_the_exchange_calendar() -> None:
    closes = DemoSource().closes("SPY")
    per_year = closes.group_by(pl.col("date").dt.year(), maintain_order=True).len()["len"]
    assert per_year.to_list() == [252, 253, 252, 251, 250, 252]
    assert closes.schema == {"date": pl.Date, "close": pl.Float64}
    shut = [date(2019, 4, 19), date(2021, 12, 24), date(2022, 6, 20), date(2024, 6, 19)]
    assert not closes["date"].is_in(shut).any()


def test_every_symbol_has_plausible_closes_and_splits() -> None:
    source = DemoSource()
    assert {"AAPL", "NVDA", "SPY", "SIM001", "SIM500"} <= set(source.symbols())
    days = set(source.closes("SPY")["date"])
    split = 0
    for symbol in source.symbols()[::10]:
        close, splits = source.closes(symbol)["close"], source.splits(symbol)
        assert close.min() > 1 and close.max() < 10000, symbol  # type: ignore[operator]
        assert 0.1 < returns(source, symbol).std() * 252**0.5 < 0.9, symbol
        split += splits.height > 0
        assert symbol.startswith("SIM") or set(splits["ex_date"]) <= days
    assert split > 5


def test_sparse_quotes_three_days_a_week_until_november_2024_and_daily_since() -> None:
    days = chain("sparse", "MSFT", 2024)["date"].unique()
    early = days.filter(days < date(2024, 11, 1))
    assert set(early.dt.weekday()) == {1, 3, 5}
    late = set(days.filter(days >= date(2024, 11, 1)))
    assert late == {d for d in DemoSource().closes("MSFT")["date"] if d >= date(2024, 11, 1)}


@pytest.mark.parametrize("symbol", ["AMZN", "NVDA", "SPY"])
def test_sparse_has_three_expirations_of_27_strikes(symbol: str) -> None:
    frame = chain("sparse", symbol, 2021).with_columns(dte=(pl.col("expiration") - pl.col("date")).dt.total_days())
    strikes = frame.group_by("date", "expiration", "dte").agg(pl.col("strike").n_unique())
    assert set(strikes["strike"]) == {27}
    assert set(strikes.group_by("date").len()["len"]) == {3}
    assert strikes["dte"].is_between(10, 60).all()


def test_dense_has_eight_expirations_of_about_sixty_strikes_every_trading_day() -> None:
    frame = chain("dense", "AAPL", 2023)
    assert frame["date"].n_unique() == 250
    strikes = frame.group_by("date", "expiration").agg(pl.col("strike").n_unique())
    assert set(strikes.group_by("date").len()["len"]) == {8}
    assert 50 < strikes["strike"].mean() < 75  # type: ignore[operator]


def test_dense_quotes_a_contract_every_day_until_it_expires() -> None:
    frame = chain("dense", "MSFT", 2022)
    days = frame["date"].unique().sort()
    lives = frame.group_by("expiration", "strike", "right").agg(
        first=pl.col("date").min(), last=pl.col("date").max(), days=pl.len()
    )
    position = {day: k for k, day in enumerate(days)}
    expected = lives.select(
        pl.min_horizontal("expiration", pl.lit(days[-1])).alias("last"),
        (pl.col("last").replace_strict(position) - pl.col("first").replace_strict(position) + 1).alias("days"),
    )
    assert lives["last"].equals(expected["last"])
    assert (lives["days"] == expected["days"]).all()


@pytest.mark.parametrize("profile", PROFILES)
def test_expirations_are_fridays_or_the_thursday_before_a_holiday(profile: Profile) -> None:
    expirations = chain(profile, "SPY", 2022)["expiration"].unique()
    assert set(expirations.filter(expirations.dt.weekday() != 5)) == {date(2022, 4, 14)}


def divided_by_four(quotes: pl.DataFrame) -> pl.DataFrame:
    return quotes.with_columns((pl.col("strike") / 4 * 100 + 0.5).floor() / 100)


def test_every_dense_contract_continues_across_a_split_at_its_divided_strike() -> None:
    frame = chain("dense", "NVDA", 2021)
    before = frame.filter(pl.col("date") == date(2021, 7, 19))
    after = frame.filter(pl.col("date") == date(2021, 7, 20))
    found = divided_by_four(before).join(after, on=["expiration", "strike", "right"], how="semi")
    assert found.height == before.height
    closes = dict(DemoSource().closes("NVDA").iter_rows())
    assert closes[date(2021, 7, 19)] / closes[date(2021, 7, 20)] == pytest.approx(4, rel=0.2)


def test_sparse_contracts_come_back_after_a_split_at_their_divided_strikes() -> None:
    frame = chain("sparse", "NVDA", 2021)
    before = frame.filter(pl.col("date") < date(2021, 7, 20), pl.col("expiration") == date(2021, 8, 6))
    after = frame.filter(pl.col("date") >= date(2021, 7, 20), pl.col("expiration") == date(2021, 8, 6))
    found = after.join(divided_by_four(before), on=["expiration", "strike", "right"], how="semi")
    assert found.height > 0.7 * after.height > 0


@pytest.mark.parametrize("profile", PROFILES)
def test_puts_and_calls_agree_with_parity_within_their_spreads(profile: Profile) -> None:
    frame = clean(profile, "META", 2020)
    both = (
        frame.filter(pl.col("right") == "call")
        .join(frame.filter(pl.col("right") == "put"), on=KEY[:3], suffix="_put")
        .join(DemoSource().closes("META"), on="date")
    )
    forward = pl.col("close") - pl.col("strike") * (-0.02 * pl.col("dte") / 365).exp()
    spread = (pl.col("ask") - pl.col("bid") + pl.col("ask_put") - pl.col("bid_put")) / 2
    gap = both.select((pl.col("mid") - pl.col("mid_put") - forward).abs() - spread).to_series()
    assert both.height > 5000
    assert gap.max() < 0.011  # type: ignore[operator]  # cents are rounded


@pytest.mark.parametrize("profile", PROFILES)
def test_dearer_strikes_make_cheaper_calls_and_dearer_puts(profile: Profile) -> None:
    frame = clean(profile, "SPY", 2020)
    step = pl.col("mid").diff().over("date", "expiration", "right")
    half = (pl.col("ask") - pl.col("bid")) / 2
    slack = half + half.shift().over("date", "expiration", "right")
    wrong = pl.when(pl.col("right") == "call").then(step).otherwise(-step) - slack
    assert frame.select(wrong.max()).item() < 0.011


@pytest.mark.parametrize("profile", PROFILES)
def test_quotes_are_whole_cents_and_mostly_in_order(profile: Profile) -> None:
    frame = chain(profile, "SIM007", 2020)
    cents = frame.select((pl.col("bid", "ask") * 100 - (pl.col("bid", "ask") * 100).round()).abs().max())
    assert max(cents.row(0)) < 1e-6
    assert frame["bid"].min() == 0 and frame["ask"].min() >= 0.01  # type: ignore[operator]
    share = frame.select(crossed=(pl.col("ask") < pl.col("bid")).mean(), blind=pl.col("delta").is_null().mean()).row(
        0, named=True
    )
    assert 0 < share["crossed"] < 0.003
    assert 0 < share["blind"] < 0.005


def test_deltas_have_their_rights_sign_and_fall_with_the_strike() -> None:
    frame = chain("sparse", "AAPL", 2023).drop_nulls("delta")
    assert frame.filter(pl.col("right") == "put")["delta"].is_between(-1, 0).all()
    assert frame.filter(pl.col("right") == "call")["delta"].is_between(0, 1).all()
    fall = frame.select(pl.col("delta").diff().over("date", "expiration", "right").max()).item()
    assert fall <= 0


def test_greeks_are_the_slopes_of_prices() -> None:
    """Between neighbouring days of a dense contract, delta, gamma, theta and vega explain the move."""
    frame = clean("dense", "SPY", 2019).join(DemoSource().closes("SPY"), on="date")
    later = pl.col("mid", "close", "iv", "dte").shift(-1).over("expiration", "strike", "right")
    pairs = frame.with_columns(later.name.suffix("_1"))
    near = pairs.filter(pl.col("dte").is_between(30, 60), pl.col("delta").abs().is_between(0.2, 0.8))
    near = near.filter(pl.col("dte") - pl.col("dte_1") == 1)
    move = pl.col("close_1") - pl.col("close")
    explained = pl.col("delta") * move + pl.col("gamma") * move**2 / 2 + pl.col("theta")
    explained += pl.col("vega") * (pl.col("iv_1") - pl.col("iv")) * 100
    errors = near.select((pl.col("mid_1") - pl.col("mid") - explained).abs()).to_series()
    assert errors.len() > 1000
    assert errors.median() < 0.04  # type: ignore[operator]


def test_implied_volatility_lies_a_little_above_what_follows() -> None:
    ratios = []
    for seed in range(1, 5):
        source = DemoSource(seed=seed)
        realised = returns(source, "SPY").std() * 252**0.5
        money = pl.col("delta").is_between(-0.55, -0.45)
        implied = pl.concat(frame.filter(money) for _, frame in source.chain("SPY", range(2019, 2025)))
        ratios.append(implied["iv"].mean() / realised)
    assert 0.95 < np.mean(ratios) < 1.3


def test_implied_volatility_rises_towards_lower_strikes() -> None:
    puts = chain("sparse", "SPY", 2022).filter(pl.col("right") == "put")
    bands = {"money": (-0.55, -0.45), "wing": (-0.30, -0.20)}
    iv = puts.group_by("date", "expiration").agg(
        pl.col("iv").filter(pl.col("delta").is_between(*band)).mean().alias(name) for name, band in bands.items()
    )
    assert iv.select((pl.col("wing") / pl.col("money")).mean()).item() == pytest.approx(1.1, abs=0.03)


def test_symbols_move_together() -> None:
    source = DemoSource()
    market = returns(source, "SPY").to_numpy()
    for symbol, least in {"QQQ": 0.7, "AAPL": 0.4, "NVDA": 0.3, "SIM001": 0.15}.items():
        assert np.corrcoef(market, returns(source, symbol).to_numpy())[0, 1] > least, symbol


def test_the_extent_holds_every_quote() -> None:
    source = DemoSource()
    assert source.extent() == (date(2019, 1, 1), date(2024, 12, 31))
    assert source.closes("SPY")["date"].max() == date(2024, 12, 31)
    assert chain("dense", "AAPL", 2023)["expiration"].max() - date(2023, 12, 29) > timedelta(days=60)  # type: ignore[operator]
