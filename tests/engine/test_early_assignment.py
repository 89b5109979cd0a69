"""Short calls that are exercised for a dividend, worked out by hand, from a folder of files to the trade."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

import options_bt

# Entry; the day before the ex-date; the ex-date; the last day.
ENTRY, EVE, EX_DATE, END = (date(2020, 3, day) for day in (2, 4, 5, 6))
EXPIRATION = date(2020, 4, 1)
CLOSES = {ENTRY: 100.0, EVE: 108.0, EX_DATE: 107.5, END: 101.0}
CALLS = {  # bid and ask of the calls at 100 and 105
    ENTRY: ((2.9, 3.1), (0.9, 1.1)),
    EVE: ((8.0, 8.2), (3.4, 3.6)),
    EX_DATE: ((7.6, 7.8), (3.2, 3.4)),
    END: ((2.0, 2.2), (0.4, 0.6)),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = ["date,act_symbol,expiration,strike,call_put,bid,ask,vol,delta"]
    for day, calls in CALLS.items():
        for strike, delta, (bid, ask) in zip((100, 105), (0.5, 0.25), calls, strict=True):
            lines.append(f"{day},X,{EXPIRATION},{strike},Call,{bid},{ask},0.2,{delta}")
    (tmp_path / "option_chain.csv").write_text("\n".join(lines))
    closes = "".join(f"{day},X,{close}\n" for day, close in CLOSES.items())
    (tmp_path / "ohlcv.csv").write_text(f"date,act_symbol,close\n{closes}")
    return tmp_path


def trade(folder: Path, dividend: float | None = 0.5, **params: Any) -> dict[str, Any]:
    """The trade that is entered on the first day and held."""
    if dividend is not None:
        (folder / "dividend.csv").write_text(f"act_symbol,ex_date,amount\nX,{EX_DATE},{dividend}\n")
    held: dict[str, Any] = {
        "delta": 0.5,
        "dte": "20-40",
        "stop_loss": None,
        "profit_target": None,
        "slippage": 1.0,
        "commission": 0.5,
    }
    source, cache = f"files:{folder}", folder / "cache"
    result = options_bt.backtest("X", ENTRY, END, source=source, cache=cache, **(held | params))
    return dict(result.trades.to_dicts()[0]) | {"assignments": result.metrics["assignments"]}


def test_a_call_with_less_time_value_than_the_dividend_is_assigned_at_intrinsic_value(folder: Path) -> None:
    # Sold at the bid of 2.90. On the eve its mid is 8.10 and the close 108: 0.10 of time value is below 0.50.
    found = trade(folder, strategy="short_call", assignment_fee=5.0)
    assert (found["exit_reason"], found["exit_date"], found["close_exit"]) == ("assignment", EX_DATE, 108.0)
    assert (found["exit_cost"], found["fees"]) == (8.0, 0.5 + 5.0)
    assert found["pnl"] == pytest.approx(100 * (2.9 - 8.0) - 5.5)
    assert found["assignments"] == 1


@pytest.mark.parametrize(("dividend", "switched"), [(0.1, True), (0.05, True), (None, True), (0.5, False)], ids=str)
def test_it_is_kept_where_waiting_is_worth_more_or_the_rule_is_off(
    folder: Path, dividend: float | None, switched: bool
) -> None:
    found = trade(folder, dividend, strategy="short_call", early_assignment=switched)
    assert (found["exit_reason"], found["exit_date"], found["assignments"]) == ("window_end", END, 0)


def test_the_other_legs_are_closed_at_their_last_marks(folder: Path) -> None:
    # Bought at the ask of 1.10, sold at the eve's bid of 3.40 for a commission; the short call costs 8.00 and none.
    found = trade(folder, strategy="call_credit_spread", width=5)
    assert found["exit_reason"] == "assignment"
    assert found["exit_cost"] == pytest.approx(8.0 - 3.4)
    assert found["fees"] == 3 * 0.5
    assert found["pnl"] == pytest.approx(100 * (2.9 - 1.1 - 4.6) - 1.5)


def test_an_assigned_covered_call_delivers_its_shares(folder: Path) -> None:
    # Shares bought at 100 go for 108 - 8 = the strike: what is left is the premium.
    found = trade(folder, strategy="covered_call")
    assert found["exit_reason"] == "assignment"
    assert found["pnl"] == pytest.approx(100 * 2.9 - 0.5)


def test_a_long_call_is_never_assigned(folder: Path) -> None:
    assert trade(folder, 5.0, strategy="long_call")["exit_reason"] == "window_end"


def test_a_call_out_of_the_money_is_not_assigned(folder: Path) -> None:
    closes = (folder / "ohlcv.csv").read_text().replace("108.0", "99.0")
    (folder / "ohlcv.csv").write_text(closes)
    assert trade(folder, 20.0, strategy="short_call")["exit_reason"] == "window_end"
