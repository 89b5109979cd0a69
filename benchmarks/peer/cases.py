"""The cases: strategies and rules, as each program names them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

SYMBOL, START, END = "SPY", "2023-01-01", "2023-12-31"
DENSE, SPARSE = "demo?profile=dense", "demo"
DTE_MIN, DTE_MAX = 30, 45
DTE_TARGET = (DTE_MIN + DTE_MAX) / 2
DELTA_TOLERANCE = 0.05
COMMISSION = 0.65
LONG, SHORT = 1, -1


class Leg(NamedTuple):
    """An option leg chosen by delta."""

    side: int
    right: str
    delta: float

    @property
    def low(self) -> float:
        """The smallest delta."""
        return round(self.delta - DELTA_TOLERANCE, 2)

    @property
    def high(self) -> float:
        """The largest delta."""
        return round(self.delta + DELTA_TOLERANCE, 2)


class Rules(NamedTuple):
    """Prices and exits of a case, as parameters of options-bt and as keywords of optopsy.

    `chain` is the chain for optopsy: ``whole``; ``cut``, without the days after the planned exit; ``settled``, with
    bid = ask = intrinsic value on the expiration day; or ``sparse``, another market with few quotes.
    """

    name: str
    chain: str
    ours: dict[str, Any]
    theirs: dict[str, Any]

    @property
    def planned_dte(self) -> int:
        """Days to expiration at the planned exit."""
        return int(self.theirs["exit_dte"])

    @property
    def source(self) -> str:
        """The source of options-bt."""
        return SPARSE if self.chain == "sparse" else DENSE


class Case(NamedTuple):
    """One strategy under one set of rules; `legs` are in optopsy's order, by ascending strike."""

    strategy: str
    optopsy: str
    legs: tuple[Leg, ...]
    rules: Rules

    @property
    def name(self) -> str:
        """The rules and the strategy."""
        return f"{self.rules.name}: {self.strategy}"


LOW_PUT, LOW_CALL = Leg(LONG, "put", 0.1), Leg(LONG, "call", 0.1)
SHORT_PUT, SHORT_CALL = Leg(SHORT, "put", 0.2), Leg(SHORT, "call", 0.2)
STRATEGIES = (
    ("short_put", "short_puts", (SHORT_PUT,)),
    ("long_call", "long_calls", (Leg(LONG, "call", 0.4),)),
    ("put_credit_spread", "short_put_spread", (LOW_PUT, SHORT_PUT)),
    ("call_credit_spread", "short_call_spread", (SHORT_CALL, LOW_CALL)),
    ("short_strangle", "short_strangles", (SHORT_PUT, SHORT_CALL)),
    ("iron_condor", "iron_condor", (LOW_PUT, SHORT_PUT, SHORT_CALL, LOW_CALL)),
    ("iron_butterfly", "iron_butterfly", (LOW_PUT, Leg(SHORT, "put", 0.5), Leg(SHORT, "call", 0.5), LOW_CALL)),
)

# optopsy's `per_leg` slippage without a penalty per leg is our `slippage: 0.5`; its default is the mid.
_HALF = {"slippage": "per_leg", "fill_ratio": 0.5, "per_leg_slippage": 0.0}
_MANAGED, _THEIR_MANAGED = {"stop_loss": 1.0, "profit_target": 0.5}, {"stop_loss": -1.0, "take_profit": 0.5}
EQUAL = (
    Rules("closed", "whole", {"exit_dte": 7, "slippage": 0.5}, {"exit_dte": 7, **_HALF}),
    Rules("managed", "cut", {"exit_dte": 7, "slippage": 0, **_MANAGED}, {"exit_dte": 7, **_THEIR_MANAGED}),
    Rules("settled", "settled", {"slippage": 0.5}, {"exit_dte": 0, **_HALF}),
)
AS_IT_COMES = (
    Rules(
        "managed, plain",
        "whole",
        {"exit_dte": 7, "slippage": 0.5, **_MANAGED},
        {"exit_dte": 7, **_HALF, **_THEIR_MANAGED},
    ),
    Rules("settled, plain", "whole", {"slippage": 0.5}, {"exit_dte": 0, **_HALF}),
    Rules("closed, sparse", "sparse", {"exit_dte": 7, "slippage": 0.5}, {"exit_dte": 7, **_HALF}),
)


def cases() -> Iterator[Case]:
    """Yield every case."""
    for rules in (*EQUAL, *AS_IT_COMES):
        for strategy, optopsy, legs in STRATEGIES:
            yield Case(strategy, optopsy, legs, rules)


def our_strategy(case: Case) -> dict[str, Any]:
    """Return the legs of a case as a strategy of a job file; the body of a butterfly shares its strike."""
    legs: list[dict[str, Any]] = []
    for number, leg in enumerate(case.legs, start=1):
        side = "long" if leg.side == LONG else "short"
        legs.append({"name": f"leg{number}", "right": leg.right, "side": side, "delta": leg.delta})
    if case.strategy == "iron_butterfly":
        legs[2] = {"name": "leg3", "right": "call", "side": "short", "same_strike": "leg2"}
    return {"name": case.strategy, "legs": legs}


def our_params(case: Case) -> dict[str, Any]:
    """Return the parameters of a case, with everything off that optopsy lacks."""
    off = {"stop_loss": None, "profit_target": None, "min_credit": 0, "capital": 1e9, "unquoted": "hold"}
    dte = f"{DTE_MIN}-{DTE_MAX}"
    return {**off, "dte": dte, "delta_tolerance": DELTA_TOLERANCE, "commission": COMMISSION, **case.rules.ours}


def their_keywords(case: Case) -> dict[str, Any]:
    """Return the optopsy keywords of a case, with the commission per share."""
    ranges = {
        f"leg{number}_delta": {"target": leg.delta, "min": leg.low, "max": leg.high}
        for number, leg in enumerate(case.legs, start=1)
    }
    return {
        "max_entry_dte": DTE_MAX,
        "min_bid_ask": 0.001,
        "commission": COMMISSION / 100,
        **case.rules.theirs,
        **ranges,
    }
