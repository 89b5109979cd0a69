"""The comparison with optopsy: its rules on a small chain, and the whole of it where optopsy is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from benchmarks.peer.__main__ import main as compare
from benchmarks.peer.cases import Case, cases
from benchmarks.peer.differences import UNEXPLAINED, difference, more_commission, one_at_a_time
from benchmarks.peer.rules import Chain, Trade, dropped, modelled

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CASES = {case.name: case for case in cases()}
MONDAY = date(2023, 1, 2)
SOON, LATER = MONDAY + timedelta(35), MONDAY + timedelta(42)
PLANNED = SOON - timedelta(7)
NEXT = MONDAY + timedelta(1)

Quote = tuple[date, date, str, float, float, float, float]


def quote(day: date, expiration: date, strike: float, bid: float, delta: float) -> Quote:
    """A quote of a put, 0.10 wide."""
    return day, expiration, "put", strike, bid, bid + 0.10, delta


def chain(*quotes: Quote) -> Chain:
    columns = ["quote_date", "expiration", "option_type", "strike", "bid", "ask", "delta"]
    return Chain(pl.DataFrame(quotes, schema=columns, orient="row"))


ENTRY = (quote(MONDAY, SOON, 90, 1.00, -0.19), quote(MONDAY, SOON, 91, 1.10, -0.21))
LATER_ENTRY = quote(MONDAY, LATER, 90, 1.30, -0.20)
LATER_EXIT = quote(LATER - timedelta(7), LATER, 90, 0.20, -0.05)
EXIT = quote(PLANNED, SOON, 90, 0.40, -0.05)
MANAGED = CASES["managed: short_put"]
CLOSED = CASES["closed: short_put"]


def trade_of(quotes: Chain, case: Case) -> Trade:
    trade = modelled(quotes, case, MONDAY)
    assert trade is not None
    return trade


# optopsy's rules


def test_a_tie_of_deltas_goes_to_the_nearer_float_and_then_to_the_lower_strike() -> None:
    # 0.20 - 0.19 and 0.21 - 0.20 are not the same float; the same delta twice is.
    assert trade_of(chain(*ENTRY, EXIT, quote(PLANNED, SOON, 91, 0.5, -0.1)), CLOSED).strikes == (91.0,)
    twice = (quote(MONDAY, SOON, 90, 1.0, -0.2), quote(MONDAY, SOON, 91, 1.0, -0.2))
    assert trade_of(chain(*twice, EXIT), CLOSED).strikes == (90.0,)


def test_a_planned_exit_is_filled_with_slippage_and_pays_commission_twice() -> None:
    trade = trade_of(chain(ENTRY[0], EXIT), CLOSED)
    assert trade.premium == pytest.approx(1.05 - 0.025)
    assert trade.exit_cost == pytest.approx(0.45 + 0.025)
    assert trade.pnl == pytest.approx(100 * (1.025 - 0.475) - 1.30)
    assert (trade.exit_date, trade.how) == (PLANNED, "planned")


def test_an_early_exit_is_filled_at_the_mid_and_pays_no_commission() -> None:
    trade = trade_of(chain(ENTRY[0], quote(NEXT, SOON, 90, 0.30, -0.1), EXIT), MANAGED)
    assert (trade.exit_date, trade.how) == (NEXT, "early")
    assert trade.pnl == pytest.approx(100 * (1.05 - 0.35))


@pytest.mark.parametrize(
    ("exits", "why"),
    [
        ((quote(PLANNED - timedelta(1), SOON, 90, 0.4, -0.1),), "end"),
        ((LATER_EXIT,), "holiday"),
        ((quote(PLANNED, SOON, 80, 0.1, -0.02), LATER_EXIT), "unquoted"),
        ((EXIT,), ""),
    ],
)
def test_an_expiration_without_a_quote_at_the_planned_exit_is_passed_over(exits: tuple[Quote, ...], why: str) -> None:
    quotes = chain(ENTRY[0], LATER_ENTRY, *exits)
    assert dropped(quotes, CLOSED, MONDAY, SOON) == why
    found = modelled(quotes, CLOSED, MONDAY)
    expected = SOON if not why else LATER if LATER_EXIT in exits else None
    assert (found and found.expiration) == expected


# differences


def test_the_same_trade_does_not_differ() -> None:
    quotes = chain(ENTRY[0], EXIT)
    theirs = trade_of(quotes, CLOSED)
    assert difference(quotes, CLOSED, theirs._replace(how="exit_dte"), theirs) == ""


@pytest.mark.parametrize("field", ["premium", "exit_cost"])
def test_a_cent_that_no_rule_explains_is_unexplained(field: str) -> None:
    quotes = chain(ENTRY[0], EXIT)
    theirs = trade_of(quotes, CLOSED)
    ours = theirs._replace(how="exit_dte")
    off = ours._replace(premium=ours.premium + 0.01) if field == "premium" else ours._replace(exit_cost=0.01)
    assert difference(quotes, CLOSED, off, theirs) == UNEXPLAINED


def test_a_trade_of_one_program_that_no_rule_explains_is_unexplained() -> None:
    quotes = chain(ENTRY[0], EXIT)
    theirs = trade_of(quotes, CLOSED)
    assert difference(quotes, CLOSED, theirs, None) == UNEXPLAINED
    assert difference(quotes, CLOSED, None, theirs) == UNEXPLAINED


def test_strikes_that_differ_must_be_as_far_from_the_delta() -> None:
    for delta, why in ((-0.21, "tie"), (-0.22, UNEXPLAINED)):
        quotes = chain(ENTRY[0], quote(MONDAY, SOON, 91, 1.1, delta), EXIT)
        ours = trade_of(chain(ENTRY[0], EXIT), CLOSED)
        assert difference(quotes, CLOSED, ours, ours._replace(strikes=(91.0,))) == why


def test_a_threshold_that_is_met_exactly_explains_a_later_exit() -> None:
    for bid, why in ((0.475, "threshold"), (0.3, UNEXPLAINED)):
        quotes = chain(ENTRY[0], quote(NEXT, SOON, 90, bid, -0.1), EXIT)
        theirs = trade_of(chain(ENTRY[0], EXIT), MANAGED)
        ours = theirs._replace(exit_date=NEXT, exit_cost=bid + 0.05, how="profit_target")
        assert difference(quotes, MANAGED, ours, theirs) == why


def test_an_exit_after_the_planned_one_is_late() -> None:
    plain = CASES["managed, plain: short_put"]
    after = PLANNED + timedelta(1)
    quotes = chain(ENTRY[0], quote(PLANNED, SOON, 90, 0.9, -0.2), quote(after, SOON, 90, 0.1, -0.01))
    quotes.contracts["put", SOON, 90.0][SOON] = 0.0, 0.01
    theirs = trade_of(quotes, plain)
    assert (theirs.exit_date, theirs.how) == (after, "early")
    ours = theirs._replace(exit_date=PLANNED, exit_cost=0.975, how="exit_dte")
    assert difference(quotes, plain, ours, theirs) == "late"


@pytest.mark.parametrize(("ours", "theirs", "more"), [("exit_dte", "planned", 0), ("settlement", "planned", -0.65)])
def test_commission_is_counted_alike(ours: str, theirs: str, more: float) -> None:
    trade = trade_of(chain(ENTRY[0], EXIT), CLOSED)
    assert more_commission(CLOSED, trade._replace(how=ours), trade._replace(how=theirs)) == pytest.approx(more)


def test_a_book_of_one_position_may_enter_on_the_day_it_is_free() -> None:
    trade = trade_of(chain(ENTRY[0], EXIT), CLOSED)
    days = [trade._replace(entry_date=day, exit_date=day + timedelta(2)) for day in (MONDAY, NEXT, NEXT + timedelta(1))]
    assert one_at_a_time(days) == [days[0], days[2]]


# the table


def test_the_page_shows_what_was_measured() -> None:
    measured = (ROOT / "benchmarks" / "peer.md").read_text().splitlines()
    shown = [line for line in (ROOT / "docs" / "peer.md").read_text().splitlines() if line.startswith("| ")]
    assert [line for line in shown if line not in measured] == []


def test_optopsy_makes_the_same_trades_but_for_what_the_rules_explain(tmp_path: Path) -> None:
    python = os.environ.get("OPTIONS_BT_PEER")
    if python is None:
        reason = "OPTIONS_BT_PEER names no Python that has optopsy; benchmarks/peer/__main__.py says how to make one"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    # Every set of rules on two strategies; `make peer` takes them all, and several times as long.
    wanted = [case for case in cases() if case.strategy in ("put_credit_spread", "iron_butterfly")]
    table = tmp_path / "peer.md"
    assert compare(python, table, wanted) == 0
    measured = (ROOT / "benchmarks" / "peer.md").read_text().splitlines()
    rows = [line for line in table.read_text().splitlines() if re.match(r"\| [a-z, ]+ \| (put_|iron_)", line)]
    assert len(rows) >= len(wanted)
    assert [row for row in rows if row not in measured] == []


def test_an_interpreter_without_optopsy_is_told_how_to_get_it() -> None:
    for python in ("", "/no/such/python"):
        command = [sys.executable, "-m", "benchmarks.peer", "--python", python]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "pip install optopsy==2.3.0" in done.stderr
        assert "Traceback" not in done.stderr
