"""Every named strategy, held to expiration without costs, against its textbook payoff diagram."""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache

import numpy as np
import pytest

from options_bt.job.strategies import STRATEGIES
from tests.data.quotes import quote
from tests.engine.test_laws import equity, outcome_of, trades
from tests.markets import RandomMarket

ENTRY, EXPIRATION = date(2020, 1, 6), date(2020, 2, 7)
CLOSE = 100.0
CAPITAL = 1_000_000.0
PUTS = {90.0: (0.90, -0.13), 95.0: (2.20, -0.28), 100.0: (4.10, -0.48)}
CALLS = {100.0: (3.90, 0.52), 105.0: (1.80, 0.28), 110.0: (0.70, 0.12)}
"""Mid and delta by strike. Spreads are 20 cents wide, which costs nothing without slippage."""

# (settlement, profit per share): the corners, the ends of what is tested, and straight lines between them.
Corners = list[tuple[float, float]]
PUT_CREDIT: Corners = [(0, 1.30 - 5), (90, 1.30 - 5), (95, 1.30), (200, 1.30)]
CALL_CREDIT: Corners = [(0, 1.10), (105, 1.10), (110, 1.10 - 5), (200, 1.10 - 5)]
DIAGRAMS: dict[str, Corners] = {
    "put_credit_spread": PUT_CREDIT,
    "call_credit_spread": CALL_CREDIT,
    "put_debit_spread": [(0, 5 - 1.30), (90, 5 - 1.30), (95, -1.30), (200, -1.30)],
    "call_debit_spread": [(0, -1.10), (105, -1.10), (110, 5 - 1.10), (200, 5 - 1.10)],
    "short_put": [(0, 2.20 - 95), (95, 2.20), (200, 2.20)],
    "short_call": [(0, 1.80), (105, 1.80), (200, 1.80 - 95)],
    "long_put": [(0, 95 - 2.20), (95, -2.20), (200, -2.20)],
    "long_call": [(0, -1.80), (105, -1.80), (200, 95 - 1.80)],
    "short_strangle": [(0, 4.00 - 95), (95, 4.00), (105, 4.00), (200, 4.00 - 95)],
    "short_straddle": [(0, 8.00 - 100), (100, 8.00), (200, 8.00 - 100)],
    "iron_condor": [(0, 2.40 - 5), (90, 2.40 - 5), (95, 2.40), (105, 2.40), (110, 2.40 - 5), (200, 2.40 - 5)],
    "iron_butterfly": [(0, 4.00 - 5), (95, 4.00 - 5), (100, 4.00), (105, 4.00 - 5), (200, 4.00 - 5)],
    "covered_call": [(0, 1.80 - 100), (105, 1.80 + 5), (200, 1.80 + 5)],
}
NAKED = {"short_put", "short_call", "short_strangle", "short_straddle"}
SETTLEMENTS = [0.01, 45.0, 89.99, 90.0, 92.5, 93.7, 95.0, 96.0, 98.2, 100.0, 101.01, 104.0, 105.0, 106.1, 108.0]
SETTLEMENTS += [110.0, 110.01, 131.5, 200.0]


@cache
def market(settlement: float, step: float = 0.0) -> RandomMarket:
    """Quotes on the entry day alone; closes that went by `step` a day before it, and one on the expiration.

    A contract that nobody holds is quoted on the expiration, so that this is a day at all.
    """
    rows = [
        quote(ENTRY, EXPIRATION, strike, right, bid=mid - 0.10, ask=mid + 0.10, delta=delta)
        for right, ladder in (("put", PUTS), ("call", CALLS))
        for strike, (mid, delta) in ladder.items()
    ]
    rows.append(quote(EXPIRATION, EXPIRATION + timedelta(days=28), CLOSE, "put"))
    before: list[tuple[date, float | None]] = [
        (ENTRY - timedelta(days=ago), CLOSE - ago * step) for ago in range(20, -1, -1)
    ]
    return RandomMarket(rows, [*before, (EXPIRATION, settlement)], [], ENTRY, EXPIRATION)


def check_against(diagram: Corners, strategy: str, market: RandomMarket, settlement: float) -> None:
    free = {"slippage": 0.0, "commission": 0.0, "capital": CAPITAL}
    outcome = outcome_of(market, strategy, free | {"delta": 0.28, "width": 5.0})
    (trade,) = trades(outcome)
    prices, profits = zip(*diagram, strict=True)
    assert trade["pnl"] == pytest.approx(100 * np.interp(settlement, prices, profits), abs=1e-9)
    assert equity(outcome)[-1]["equity"] == pytest.approx(CAPITAL + trade["pnl"], abs=1e-9)
    assert (trade["exit_reason"], trade["exit_date"], trade["close_exit"]) == ("settlement", EXPIRATION, settlement)
    if strategy not in NAKED:
        assert trade["max_loss"] == pytest.approx(-100 * min(profits), abs=1e-9)


def test_every_strategy_has_a_diagram() -> None:
    assert {*DIAGRAMS, "vertical_spread"} == set(STRATEGIES)


@pytest.mark.parametrize("settlement", SETTLEMENTS)
@pytest.mark.parametrize("strategy", DIAGRAMS)
def test_profit_at_expiration_is_the_textbook_payoff(strategy: str, settlement: float) -> None:
    check_against(DIAGRAMS[strategy], strategy, market(settlement), settlement)


@pytest.mark.parametrize("settlement", SETTLEMENTS)
@pytest.mark.parametrize(
    ("step", "diagram"), [(-1.0, PUT_CREDIT), (1.0, CALL_CREDIT)], ids=["puts after a fall", "calls after a rise"]
)
def test_vertical_spread_sells_against_the_last_move(step: float, diagram: Corners, settlement: float) -> None:
    check_against(diagram, "vertical_spread", market(settlement, step), settlement)
