"""Section 4 of the reference: strategies as lists of leg rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.reference.numbers import CALL, LONG, PUT, SHORT, Params

# ------------------------------------------------------------------ section 4: strategies


@dataclass(frozen=True)
class LegRule:
    """How a strategy finds one leg. `by`: delta, width, width_pct, moneyness or same_strike."""

    name: str
    right: str
    side: int
    by: str
    value: float = 0.0
    of: str = ""
    inward: bool = False
    ratio: float = 1


@dataclass(frozen=True)
class Strategy:
    """`kind` is credit, debit, or custom (then the premium decides)."""

    kind: str
    rules: tuple[LegRule, ...]
    shares: int = 0  # long shares per contract, in multiples of `multiplier`


def strategy_of(params: Params) -> Strategy:
    given = params["strategy"]
    if isinstance(given, Mapping):
        rules = tuple(custom_rule(leg, params) for leg in given["legs"])
        if len({rule.name for rule in rules}) < len(rules):
            raise ValueError("two legs of one name")
        return Strategy("custom", rules, given.get("shares", 0))
    return named_strategy(given, params)


def custom_rule(leg: Mapping[str, Any], params: Params) -> LegRule:
    ways = ("delta", "width", "width_pct", "moneyness", "same_strike")
    given = [way for way in ways if leg.get(way) is not None]
    if len(given) > 1:
        raise ValueError(f"leg {leg['name']}: one way to find the strike, not {given}")
    default = "delta"
    if leg.get("of"):
        default = "width" if params["width_pct"] is None else "width_pct"
    by = given[0] if given else default
    value = leg[by] if given else params[default]
    return LegRule(
        name=leg["name"],
        right=leg["right"],
        side={"long": LONG, "short": SHORT}[leg["side"]],
        by=by,
        value=0.0 if by == "same_strike" else value,
        of=value if by == "same_strike" else leg.get("of", ""),
        inward=bool(leg.get("inward", False)),
        ratio=leg.get("ratio", 1),
    )


def named_strategy(name: str, params: Params) -> Strategy:
    def by_delta(right: str, side: int) -> LegRule:
        return LegRule(leg_name(right, side), right, side, "delta", params["delta"])

    def by_width(right: str, side: int) -> LegRule:
        """The wing of the leg of the same right and the other side."""
        way = "width" if params["width_pct"] is None else "width_pct"
        anchor = leg_name(right, -side)
        return LegRule(leg_name(right, side), right, side, way, params[way], of=anchor)

    def at_money(right: str, side: int) -> LegRule:
        return LegRule(leg_name(right, side), right, side, "moneyness", params["moneyness"])

    def same_strike(right: str, side: int, of: str) -> LegRule:
        return LegRule(leg_name(right, side), right, side, "same_strike", of=of)

    match name:
        case "put_credit_spread":
            return Strategy("credit", (by_delta(PUT, SHORT), by_width(PUT, LONG)))
        case "call_credit_spread":
            return Strategy("credit", (by_delta(CALL, SHORT), by_width(CALL, LONG)))
        case "put_debit_spread":
            return Strategy("debit", (by_delta(PUT, LONG), by_width(PUT, SHORT)))
        case "call_debit_spread":
            return Strategy("debit", (by_delta(CALL, LONG), by_width(CALL, SHORT)))
        case "short_put":
            return Strategy("credit", (by_delta(PUT, SHORT),))
        case "short_call":
            return Strategy("credit", (by_delta(CALL, SHORT),))
        case "long_put":
            return Strategy("debit", (by_delta(PUT, LONG),))
        case "long_call":
            return Strategy("debit", (by_delta(CALL, LONG),))
        case "short_strangle":
            return Strategy("credit", (by_delta(PUT, SHORT), by_delta(CALL, SHORT)))
        case "short_straddle":
            call = at_money(CALL, SHORT)
            return Strategy("credit", (call, same_strike(PUT, SHORT, call.name)))
        case "iron_condor":
            puts = (by_delta(PUT, SHORT), by_width(PUT, LONG))
            calls = (by_delta(CALL, SHORT), by_width(CALL, LONG))
            return Strategy("credit", puts + calls)
        case "iron_butterfly":
            put = at_money(PUT, SHORT)
            body = (put, same_strike(CALL, SHORT, put.name))
            return Strategy("credit", (*body, by_width(PUT, LONG), by_width(CALL, LONG)))
        case "covered_call":
            return Strategy("debit", (by_delta(CALL, SHORT),), shares=1)
    raise ValueError(f"unknown strategy {name!r}")


def leg_name(right: str, side: int) -> str:
    return f"{'long' if side == LONG else 'short'}_{right}"
