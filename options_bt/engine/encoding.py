"""Job specs as the numbers that the kernel reads."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import nan
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from options_bt.engine.records import ARM, CALL, KINDS, LEG, OFF, PUT, RULES, SELECTORS, Arms
from options_bt.job.parameters import Parameters, dte_range
from options_bt.job.spec import JobSpec
from options_bt.job.strategies import Strategy


class ResolvedStrategy(NamedTuple):
    """A strategy with the job's values for legs without one of their own."""

    strategy: Strategy
    delta: float
    width: float
    width_pct: float | None
    moneyness: float


def encoded(specs: Sequence[JobSpec], calendars: Sequence[int]) -> tuple[list[tuple[float, ...]], Arms]:
    """Return the rules of jobs, the values of a record of RULES each, and the arms of their strategies.

    Parameters
    ----------
    specs : sequence of JobSpec
    calendars : sequence of int
        Each job's row in the entry signals.
    """
    resolved = [_resolved(spec.strategy, spec.params) for spec in specs]
    first_arms: dict[ResolvedStrategy, int] = {}
    arms = 0
    for one in resolved:
        if one not in first_arms:
            first_arms[one] = arms
            arms += len(one.strategy.arms)
    rows = [
        (*_rules(spec.params), first_arms[one], calendar)
        for spec, one, calendar in zip(specs, resolved, calendars, strict=True)
    ]
    return rows, _arms(tuple(first_arms))


def _resolved(strategy: Strategy, params: Parameters) -> ResolvedStrategy:
    return ResolvedStrategy(strategy, params.delta, params.width, params.width_pct, params.moneyness)


def _rules(params: Parameters) -> tuple[float, ...]:
    low, high, target = dte_range(params.dte)
    model = params.unquoted == "model"
    values = (low, high, target, *_as_they_are(params), model, params.early_assignment, params.risk_free)
    return tuple([null if value is None else value for value, null in zip(values, _OFF, strict=True)])


_NAMES = RULES.names or ()
_as_they_are = attrgetter(*_NAMES[3 : _NAMES.index("model_unquoted")])
_OFF = [OFF if RULES[name].kind == "i" else nan for name in _NAMES[: _NAMES.index("first_arm")]]


@lru_cache(maxsize=1024)
def _arms(strategies: Sequence[ResolvedStrategy]) -> Arms:
    """Return the arms of strategies, one after the other."""
    arms: list[tuple[float, ...]] = []
    legs: list[tuple[float, ...]] = []
    for strategy, delta, width, width_pct, moneyness in strategies:
        defaults = {"delta": delta, "width": width, "moneyness": moneyness, "same_strike": nan}
        for arm in strategy.arms:
            contracts = sum(leg.ratio for leg in arm.legs)
            arms.append((KINDS.index(arm.kind), arm.shares, len(arm.legs), len(legs), contracts))
            names = [leg.name for leg in arm.legs]
            for leg in arm.legs:
                has_own_width = leg.value is not None or leg.width_pct is not None
                fraction = leg.width_pct if has_own_width else width_pct
                outward = (1 if leg.right == "call" else -1) * (-1 if leg.inward else 1)
                legs.append(
                    (
                        CALL if leg.right == "call" else PUT,
                        1.0 if leg.side == "long" else -1.0,
                        leg.ratio,
                        SELECTORS.index(leg.select),
                        OFF if leg.of is None else names.index(leg.of),
                        defaults[leg.select] if leg.value is None else leg.value,
                        nan if fraction is None else fraction,
                        outward,
                    )
                )
    found = Arms(np.array(arms, ARM), np.array(legs, LEG))
    for array in found:
        array.flags.writeable = False
    return found
