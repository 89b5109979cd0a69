"""Strategies as arms of legs.

A strategy has one or more arms. An arm is a position that may be entered on a day: one to four option legs and, for
a covered call, shares. All but the directional strategies have a single arm without a predicate.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, structs

Right = Literal["put", "call"]
Side = Literal["long", "short"]
Selector = Literal["delta", "width", "moneyness", "same_strike"]
Ratio = Annotated[int, Meta(ge=1)]
MAX_LEGS = 4


class Leg(Struct, frozen=True, kw_only=True, cache_hash=True):
    """One option leg and how its strike is chosen.

    Attributes
    ----------
    select : {'delta', 'width', 'moneyness', 'same_strike'}
        How the strike is chosen.
    value : float or None
        The delta, width in dollars or moneyness; None stands for the job's parameter of that name.
    width_pct : float or None
        A width as a fraction of the close, instead of `value`.
    of : str or None
        The earlier leg that `width` or `same_strike` refers to.
    inward : bool
        Whether the width goes towards the money instead of away from it.
    """

    name: str
    right: Right
    side: Side
    ratio: Ratio = 1
    select: Selector = "delta"
    value: float | None = None
    width_pct: float | None = None
    of: str | None = None
    inward: bool = False


class Arm(Struct, frozen=True, kw_only=True, cache_hash=True):
    """A position that may be entered on a day when `when` is true.

    Attributes
    ----------
    name : str or None
        Shown in the trades' `arm` column; None for a strategy without arms.
    legs : tuple of Leg
        In the order in which they are chosen; one to four.
    kind : {'credit', 'debit', 'custom'}
        What the premium must be; ``custom`` goes by its sign.
    shares : int
        Lots of `multiplier` shares held long per contract.
    when : str or None
        SQL predicate over the features; None is always true.
    """

    name: str | None = None
    legs: tuple[Leg, ...]
    kind: Literal["credit", "debit", "custom"] = "custom"
    shares: int = 0
    when: str | None = None


class Strategy(Struct, frozen=True, kw_only=True, cache_hash=True):
    """A named strategy, ready for the engine."""

    name: str
    arms: tuple[Arm, ...]


def _leg(side: Side, right: Right, select: Selector = "delta", of: str | None = None) -> Leg:
    return Leg(name=f"{side}_{right}", right=right, side=side, select=select, of=of)


def _spread(anchor: Side, right: Right) -> tuple[Leg, Leg]:
    wing: Side = "long" if anchor == "short" else "short"
    return _leg(anchor, right), _leg(wing, right, "width", of=f"{anchor}_{right}")


_STRADDLE_CALL_FIRST = (
    _leg("short", "call", "moneyness"),
    _leg("short", "put", "same_strike", of="short_call"),
)
_BUTTERFLY_BODY = (
    _leg("short", "put", "moneyness"),
    _leg("short", "call", "same_strike", of="short_put"),
)
_WINGS = (
    _leg("long", "put", "width", of="short_put"),
    _leg("long", "call", "width", of="short_call"),
)

ONE_ARMED = {
    "put_credit_spread": Arm(legs=_spread("short", "put"), kind="credit"),
    "call_credit_spread": Arm(legs=_spread("short", "call"), kind="credit"),
    "put_debit_spread": Arm(legs=_spread("long", "put"), kind="debit"),
    "call_debit_spread": Arm(legs=_spread("long", "call"), kind="debit"),
    "short_put": Arm(legs=(_leg("short", "put"),), kind="credit"),
    "short_call": Arm(legs=(_leg("short", "call"),), kind="credit"),
    "long_put": Arm(legs=(_leg("long", "put"),), kind="debit"),
    "long_call": Arm(legs=(_leg("long", "call"),), kind="debit"),
    "short_strangle": Arm(legs=(_leg("short", "put"), _leg("short", "call")), kind="credit"),
    "short_straddle": Arm(legs=_STRADDLE_CALL_FIRST, kind="credit"),
    "iron_condor": Arm(legs=_spread("short", "put") + _spread("short", "call"), kind="credit"),
    "iron_butterfly": Arm(legs=_BUTTERFLY_BODY + _WINGS, kind="credit"),
    "covered_call": Arm(legs=(_leg("short", "call"),), kind="debit", shares=1),
}

BULLISH = "rsi_14 <= 45 OR (rsi_14 < 55 AND close > sma_20 AND sma_20 > sma_50)"
BEARISH = "rsi_14 >= 55 OR (rsi_14 > 45 AND close < sma_20 AND sma_20 < sma_50)"


def named_arm(strategy: str, when: str | None = None) -> Arm:
    """Return the arm of a named strategy with one arm, to be entered when `when` is true."""
    return structs.replace(ONE_ARMED[strategy], name=strategy, when=when)


STRATEGIES: dict[str, Strategy] = {name: Strategy(name=name, arms=(arm,)) for name, arm in ONE_ARMED.items()} | {
    "vertical_spread": Strategy(
        name="vertical_spread",
        arms=(named_arm("put_credit_spread", BULLISH), named_arm("call_credit_spread", BEARISH)),
    )
}
"""Every strategy that a job file can name."""
