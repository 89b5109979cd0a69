"""A job spec as the numbers that the kernel reads."""

from __future__ import annotations

from functools import lru_cache
from math import nan

import numpy as np

from options_bt.engine.records import CALL, KINDS, OFF, PUT, SELECTORS, Arms, Rules
from options_bt.job.parameters import Parameters, dte_range
from options_bt.job.strategies import Leg, Strategy

_COPIED = (
    "delta_tolerance",
    "width_tolerance",
    "moneyness_tolerance",
    "slippage",
    "min_credit",
    "capital",
    "commission",
    "assignment_fee",
    "multiplier",
)
_NULLABLE = ("min_credit_pct", "max_spread_pct", "stop_loss", "profit_target", "exit_delta", "risk")


def encoded_rules(params: Parameters) -> Rules:
    """Give the rules of a job."""
    low, high, target = dte_range(params.dte)
    nullable = {name: getattr(params, name) for name in _NULLABLE}
    return Rules(
        dte_min=low,
        dte_max=high,
        dte_target=target,
        exit_dte=OFF if params.exit_dte is None else params.exit_dte,
        max_days=OFF if params.max_days is None else params.max_days,
        max_positions=params.max_positions,
        contracts=float(params.contracts),
        **{name: float(getattr(params, name)) for name in _COPIED},
        **{name: nan if value is None else float(value) for name, value in nullable.items()},
    )


@lru_cache(maxsize=1024)
def encoded_arms(strategy: Strategy, delta: float, width: float, width_pct: float | None, moneyness: float) -> Arms:
    """Give the arms of a strategy; a leg without a value of its own takes the job's."""
    defaults = {"delta": delta, "width": width, "moneyness": moneyness, "same_strike": nan}
    legs = [leg for arm in strategy.arms for leg in arm.legs]
    earlier = [arm.legs for arm in strategy.arms for _ in arm.legs]

    def value(leg: Leg) -> float:
        return defaults[leg.select] if leg.value is None else leg.value

    def fraction(leg: Leg) -> float:
        own = leg.width_pct if leg.width_pct is not None or leg.value is not None else width_pct
        return nan if own is None or leg.select != "width" else own

    def anchor(leg: Leg, arm: tuple[Leg, ...]) -> int:
        return next((index for index, other in enumerate(arm) if other.name == leg.of), OFF)

    def outward(leg: Leg) -> int:
        return (1 if leg.right == "call" else -1) * (-1 if leg.inward else 1)

    return Arms(
        kind=np.array([KINDS.index(arm.kind) for arm in strategy.arms]),
        shares=np.array([float(arm.shares) for arm in strategy.arms]),
        first_leg=np.cumsum([0, *(len(arm.legs) for arm in strategy.arms)]),
        right=np.array([CALL if leg.right == "call" else PUT for leg in legs]),
        side=np.array([1.0 if leg.side == "long" else -1.0 for leg in legs]),
        ratio=np.array([float(leg.ratio) for leg in legs]),
        select=np.array([SELECTORS.index(leg.select) for leg in legs]),
        of=np.array([anchor(leg, arm) for leg, arm in zip(legs, earlier, strict=True)]),
        value=np.array([value(leg) for leg in legs]),
        width_pct=np.array([fraction(leg) for leg in legs]),
        outward=np.array([outward(leg) for leg in legs]),
    )
