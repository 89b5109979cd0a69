"""Reading a custom strategy from a job file: legs, or arms of legs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, structs

from options_bt.errors import nearest
from options_bt.job.parameters import Positive, Share
from options_bt.job.predicates import predicate_problem
from options_bt.job.strategies import (
    MAX_LEGS,
    ONE_ARMED,
    Arm,
    Leg,
    Ratio,
    Right,
    Side,
    Strategy,
    named_arm,
)
from options_bt.job.validation import INVALID, Invalid, Validator, shortened

_ARM_KEYS = ("name", "when", "strategy", "legs", "shares")


class _LegEntry(Struct, frozen=True, kw_only=True):
    """A leg as in a job file."""

    name: str
    right: Right
    side: Side
    ratio: Ratio = 1
    delta: Share | None = None
    width: Positive | None = None
    width_pct: Positive | None = None
    of: str | None = None
    inward: bool = False
    moneyness: Positive | None = None
    same_strike: str | None = None


def read_strategy(validator: Validator, value: Mapping[str, Any], path: str) -> Strategy | Invalid:
    """Return the strategy that a mapping describes, or INVALID with its faults on the validator's list."""
    entries = validator.mapping(value, path, ("name", "legs", "shares", "arms"))
    name = validator.value(entries.get("name", "custom"), str, f"{path}.name")
    if ("legs" in entries) == ("arms" in entries):
        got = "both" if "legs" in entries else "neither"
        return validator.reject(path, f"got {got} of legs and arms", "legs, or arms")
    if "legs" in entries:
        arms = [_read_arm(validator, {k: v for k, v in entries.items() if k != "name"}, path, None)]
    elif not isinstance(entries["arms"], list | tuple) or not entries["arms"]:
        return validator.reject(f"{path}.arms", f"got {shortened(entries['arms'])}", "a list of arms")
    else:
        arms = [
            _read_arm(validator, entry, f"{path}.arms[{i}]", f"arm_{i + 1}") for i, entry in enumerate(entries["arms"])
        ]
    read = tuple(arm for arm in arms if isinstance(arm, Arm))
    return Strategy(name=name, arms=read) if len(read) == len(arms) else INVALID


def _read_arm(validator: Validator, value: Any, path: str, name: str | None) -> Arm | Invalid:
    before = len(validator.faults)
    entries = validator.mapping(value, path, _ARM_KEYS)
    when = validator.value(entries.get("when"), str | None, f"{path}.when")
    own_name = validator.value(entries.get("name"), str | None, f"{path}.name")
    if isinstance(when, str) and (problem := predicate_problem(when)):
        validator.reject(f"{path}.when", problem.got, problem.allowed)
    if "strategy" in entries and "legs" not in entries:
        arm = _named_arm(validator, entries["strategy"], f"{path}.strategy")
    else:
        arm = Arm(
            legs=_read_legs(validator, entries.get("legs"), f"{path}.legs"),
            shares=validator.value(entries.get("shares", 0), int, f"{path}.shares"),
        )
        if "strategy" in entries:
            validator.reject(path, "got both of legs and strategy", "legs, or strategy")
        elif isinstance(arm.shares, int) and arm.shares not in (0, 1):
            validator.reject(f"{path}.shares", f"got {arm.shares}", "0 or 1")
    if len(validator.faults) > before or isinstance(arm, Invalid):
        return INVALID
    return structs.replace(arm, name=own_name or arm.name or name, when=when)


def _named_arm(validator: Validator, value: Any, path: str) -> Arm | Invalid:
    if not isinstance(value, str) or value not in ONE_ARMED:
        hint = nearest(str(value), ONE_ARMED)
        return validator.reject(path, f"got {shortened(value)}{hint}", ", ".join(ONE_ARMED))
    return named_arm(value)


def _read_legs(validator: Validator, value: Any, path: str) -> tuple[Leg, ...]:
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= MAX_LEGS:
        validator.reject(path, f"got {shortened(value)}", f"a list of 1 to {MAX_LEGS} legs")
        return ()
    legs: list[Leg] = []
    names = [entry.get("name") if isinstance(entry, Mapping) else None for entry in value]
    for index, entry in enumerate(value):
        where = f"{path}[{index}]"
        read = validator.struct(entry, _LegEntry, where)
        if isinstance(read, _LegEntry):
            leg = _resolved_leg(validator, read, where, [str(name) for name in names[:index] if name is not None])
            legs += [leg] if isinstance(leg, Leg) else []
    return tuple(legs)


def _resolved_leg(validator: Validator, entry: _LegEntry, path: str, earlier: list[str]) -> Leg | Invalid:
    by_width = entry.width is not None or entry.width_pct is not None or entry.of is not None
    given = {
        "delta": entry.delta is not None,
        "width": by_width,
        "moneyness": entry.moneyness is not None,
        "same_strike": entry.same_strike is not None,
    }
    chosen = [select for select, is_given in given.items() if is_given] or ["delta"]
    if len(chosen) > 1 or (entry.width is not None and entry.width_pct is not None):
        ways = "one of delta, width with of, width_pct with of, moneyness, same_strike"
        return validator.reject(path, "got more than one way to choose its strike", ways)
    if entry.name in earlier:
        return validator.reject(f"{path}.name", f"got {shortened(entry.name)} again", "a different name")
    select = chosen[0]
    anchor = entry.of if select == "width" else entry.same_strike
    if select in ("width", "same_strike") and anchor not in earlier:
        key = "of" if select == "width" else "same_strike"
        return validator.reject(
            f"{path}.{key}", f"got {shortened(anchor)}", f"an earlier leg: {', '.join(earlier) or 'there is none'}"
        )
    return Leg(
        name=entry.name,
        right=entry.right,
        side=entry.side,
        ratio=entry.ratio,
        select=select,  # type: ignore[arg-type]  # the keys above are the selectors
        value=None if select == "same_strike" else getattr(entry, select),
        width_pct=entry.width_pct,
        of=anchor,
        inward=entry.inward,
    )
