"""Trades on real quotes, worked out by hand from the rows that stand beside them.

Slippage is a half, so that a fill lies a quarter of the spread from the mid; commission is 0.65 a contract and leg.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import options_bt
from options_bt.job.strategies import STRATEGIES

MONDAY, WEDNESDAY, THURSDAY, FRIDAY = (date(2011, 1, day) for day in (3, 5, 6, 7))
NEAR, NEXT = date(2011, 1, 7), date(2011, 1, 21)

# (quote date, expiration, strike, right, bid, ask), as they stand in the files.
ROWS = [
    (MONDAY, NEXT, 1230.0, "Put", 4.60, 5.40),
    (FRIDAY, NEXT, 1230.0, "Put", 2.40, 4.00),
    (MONDAY, NEXT, 1205.0, "Put", 2.20, 3.40),
    (FRIDAY, NEXT, 1205.0, "Put", 1.00, 2.10),
    (MONDAY, NEXT, 1220.0, "Put", 3.30, 4.80),
    (FRIDAY, NEXT, 1220.0, "Put", 1.80, 3.00),
    (MONDAY, NEXT, 1195.0, "Put", 1.80, 2.80),
    (FRIDAY, NEXT, 1195.0, "Put", 0.65, 1.75),
    (MONDAY, NEXT, 1305.0, "Call", 2.20, 3.00),
    (FRIDAY, NEXT, 1305.0, "Call", 1.40, 2.50),
    (MONDAY, NEXT, 1330.0, "Call", 0.35, 0.75),
    (FRIDAY, NEXT, 1330.0, "Call", 0.35, 0.55),
    (MONDAY, NEAR, 1270.0, "Call", 6.20, 6.90),
    (MONDAY, NEAR, 1270.0, "Put", 7.20, 7.50),
    (MONDAY, NEXT, 1290.0, "Call", 5.50, 7.20),
    (FRIDAY, NEXT, 1290.0, "Call", 4.60, 5.80),
    (MONDAY, NEAR, 1255.0, "Put", 2.60, 3.10),
    (WEDNESDAY, NEAR, 1255.0, "Put", 0.80, 1.00),
    (WEDNESDAY, NEAR, 1265.0, "Put", 1.95, 2.45),
    (MONDAY, NEAR, 1280.0, "Call", 2.35, 2.80),
    (MONDAY, NEAR, 1300.0, "Call", 0.30, 0.40),
    (THURSDAY, NEAR, 1255.0, "Put", 0.80, 0.85),
    (THURSDAY, NEAR, 1285.0, "Call", 0.80, 1.10),
    (MONDAY, NEAR, 1285.0, "Call", 1.30, 1.65),
]


def trades(real_data: Path, cache: Path, **params: Any) -> list[dict[str, Any]]:
    source = f"files:{real_data}"
    fixed = {"width": 25, "capital": 1_000_000}
    result = options_bt.backtest("SPX", MONDAY, FRIDAY, source=source, cache=cache, **(fixed | params))
    return result.trades.to_dicts()


def check(trade: dict[str, Any], **expected: Any) -> None:
    found = {name: trade[name] for name in expected}
    assert found == pytest.approx(expected, abs=1e-9)


def test_the_rows_of_this_page_are_in_the_files(real_data: Path) -> None:
    quotes = pl.read_parquet(real_data / "option_chain.parquet")
    for day, expiration, strike, right, bid, ask in ROWS:
        key = {"act_symbol": "SPX", "date": day, "expiration": expiration, "strike": strike, "call_put": right}
        assert quotes.filter(**key).select("bid", "ask").rows() == [(bid, ask)]


def test_put_credit_spread_closed_at_the_end_of_the_window(real_data: Path, tmp_path: Path) -> None:
    (trade,) = trades(real_data, tmp_path, delta=0.2, dte="10-40")
    # Deltas on Monday: 1230 has -0.1874, 1235 has -0.2206; 0.0126 is nearer than 0.0206. 1230 - 25 = 1205.
    assert [leg["strike"] for leg in trade["legs"]] == [1230.0, 1205.0]
    check(trade["legs"][0], entry_fill=5.00 - 0.20, exit_fill=3.20 + 0.40)
    check(trade["legs"][1], entry_fill=2.80 + 0.30, exit_fill=1.55 - 0.275)
    check(
        trade,
        premium=4.80 - 3.10,
        exit_cost=3.60 - 1.275,
        fees=4 * 0.65,
        pnl=100 * (1.70 - 2.325) - 2.60,
        max_loss=100 * (25 - 1.70),
    )
    assert (trade["exit_date"], trade["exit_reason"]) == (FRIDAY, "window_end")


def test_iron_condor(real_data: Path, tmp_path: Path) -> None:
    (trade,) = trades(real_data, tmp_path, strategy="iron_condor", delta=0.16, dte="10-40")
    assert [leg["strike"] for leg in trade["legs"]] == [1220.0, 1195.0, 1305.0, 1330.0]
    check(trade["legs"][2], entry_fill=2.60 - 0.20, exit_fill=1.95 + 0.275)
    check(
        trade,
        premium=(4.05 - 0.375) - (2.30 + 0.25) + (2.60 - 0.20) - (0.55 + 0.10),
        exit_cost=(2.40 + 0.30) - (1.20 - 0.275) + (1.95 + 0.275) - (0.45 - 0.05),
        fees=8 * 0.65,
        pnl=100 * (2.875 - 3.60) - 5.20,
        max_loss=100 * (25 - 2.875),
    )


def test_short_straddle_held_to_settlement(real_data: Path, tmp_path: Path) -> None:
    (trade,) = trades(real_data, tmp_path, strategy="short_straddle", dte="1-10")
    # The close is 1271.87 on Monday, so 1270 is at the money, and 1271.50 on Friday: the call is worth 1.50.
    assert [leg["strike"] for leg in trade["legs"]] == [1270.0, 1270.0]
    margin_call, margin_put = 0.2 * 1271.87, 0.2 * 1271.87 - 1.87
    check(
        trade,
        premium=(6.55 - 0.175) + (7.35 - 0.075),
        exit_cost=1.50,
        fees=2 * 0.65,
        pnl=100 * (13.65 - 1.50) - 1.30,
        max_loss=100 * max(margin_call, margin_put),
        close_exit=1271.50,
    )
    assert (trade["exit_date"], trade["exit_reason"]) == (FRIDAY, "settlement")


def test_covered_call(real_data: Path, tmp_path: Path) -> None:
    (trade,) = trades(real_data, tmp_path, strategy="covered_call", delta=0.3, dte="10-40")
    assert [leg["strike"] for leg in trade["legs"]] == [1290.0]
    check(
        trade,
        premium=(6.35 - 0.425) - 1271.87,
        exit_cost=(5.20 + 0.30) - 1271.50,
        fees=2 * 0.65,
        pnl=100 * ((5.925 - 1271.87) - (5.50 - 1271.50)) - 1.30,
        max_loss=100 * (1271.87 - 5.925),
    )


def test_short_put_takes_its_profit_and_enters_again_the_same_day(real_data: Path, tmp_path: Path) -> None:
    first, second = trades(real_data, tmp_path, strategy="short_put", delta=0.2, dte="1-10")
    # Profit on Wednesday: 2.725 - 0.95 = 1.775, more than half of 2.725.
    check(first, premium=2.85 - 0.125, exit_cost=0.90 + 0.05, pnl=100 * (2.725 - 0.95) - 1.30)
    assert (first["exit_date"], first["exit_reason"], first["expiration"]) == (WEDNESDAY, "profit_target", NEAR)
    check(second, premium=2.20 - 0.125, exit_cost=0.0, fees=0.65, pnl=207.50 - 0.65)
    assert (second["entry_date"], second["legs"][0]["strike"]) == (WEDNESDAY, 1265.0)


def test_call_debit_spread_expires_worthless(real_data: Path, tmp_path: Path) -> None:
    (trade,) = trades(real_data, tmp_path, strategy="call_debit_spread", delta=0.3, dte="1-10")
    # 1305 would be 25 wide, but the listed strikes of this expiration end at 1300.
    assert [leg["strike"] for leg in trade["legs"]] == [1280.0, 1300.0]
    check(
        trade,
        premium=(0.35 - 0.025) - (2.575 + 0.1125),
        exit_cost=0.0,
        pnl=-236.25 - 1.30,
        max_loss=236.25,
        return_on_risk=-237.55 / 236.25,
    )


def test_short_strangle_takes_its_profit(real_data: Path, tmp_path: Path) -> None:
    trade, _ = trades(real_data, tmp_path, strategy="short_strangle", delta=0.2, dte="1-10")
    assert [leg["strike"] for leg in trade["legs"]] == [1255.0, 1285.0]
    check(
        trade,
        premium=(2.85 - 0.125) + (1.475 - 0.0875),
        exit_cost=(0.825 + 0.0125) + (0.95 + 0.075),
        pnl=100 * (4.1125 - 1.8625) - 2.60,
    )
    assert (trade["exit_date"], trade["exit_reason"]) == (THURSDAY, "profit_target")


def test_every_price_of_every_strategy_is_a_quote_of_the_files(real_data: Path, tmp_path: Path) -> None:
    quotes = pl.read_parquet(real_data / "option_chain.parquet").filter(act_symbol="SPX")
    mids = {
        (row["date"], row["expiration"], row["strike"], row["call_put"].lower()): (row["bid"] + row["ask"]) / 2
        for row in quotes.to_dicts()
    }
    priced = 0
    for strategy in STRATEGIES:
        for dte in ("1-10", "10-40"):
            for trade in trades(real_data, tmp_path, strategy=strategy, dte=dte, slippage=0, delta=0.3):
                for leg in trade["legs"]:
                    contract = (trade["expiration"], leg["strike"], leg["right"])
                    assert leg["entry_fill"] == pytest.approx(mids[(trade["entry_date"], *contract)])
                    if trade["exit_reason"] != "settlement":
                        assert leg["exit_fill"] == pytest.approx(mids[(trade["exit_date"], *contract)])
                    priced += 1
    assert priced > 40
