"""A job spec as the numbers that the kernel reads."""

from __future__ import annotations

from functools import lru_cache
from math import nan
from operator import attrgetter

import numpy as np

from options_bt.engine.records import ARM, CALL, KINDS, LEG, OFF, PUT, RULES, SELECTORS, Arms, Records
from options_bt.job.parameters import Parameters, dte_range
from options_bt.job.strategies import Strategy


def encoded_rules(params: Parameters) -> Records:
    """Give the rules of a job: one record of RULES."""
    low, high, target = dte_range(params.dte)
    values = (low, high, target, *_unencoded(params), params.unquoted == "model", params.early_assignment)
    row = tuple([null if value is None else value for value, null in zip(values, _OFF, strict=True)])
    return np.array([row], RULES).view(np.recarray)[0]


_NAMES = RULES.names or ()
_unencoded = attrgetter(*_NAMES[3:-2])  # what is a number already
_OFF = [OFF if RULES[name].kind == "i" else nan for name in _NAMES]


@lru_cache(maxsize=1024)
def encoded_arms(strategy: Strategy, delta: float, width: float, width_pct: float | None, moneyness: float) -> Arms:
    """Give the arms of a strategy; a leg without a value of its own takes the job's."""
    defaults = {"delta": delta, "width": width, "moneyness": moneyness, "same_strike": nan}
    arms: list[tuple[float, ...]] = []
    legs: list[tuple[float, ...]] = []
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
    return Arms(np.array(arms, ARM).view(np.recarray), np.array(legs, LEG).view(np.recarray))
