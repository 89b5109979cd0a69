"""Section 2 of the reference: the walk over the days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from tests.reference.choosing import Leg, choose_expiration, choose_legs
from tests.reference.deals import check_deal, intrinsic, price_deal
from tests.reference.market import Market
from tests.reference.numbers import (
    CALL,
    CAPITAL_TOL,
    LONG,
    REFUSALS,
    SHORT,
    WEEKDAYS,
    Params,
    RefusedError,
    above,
    below,
    divide,
    floor,
)
from tests.reference.positions import Position, cost_of, exit_reason
from tests.reference.strategies import Strategy

# ------------------------------------------------------------------ section 2: the walk


@dataclass
class Walk:
    """The state of one backtest while it walks the days."""

    market: Market
    dividends: list[tuple[date, float]]
    params: Params
    strategy: Strategy
    days: list[date]
    arm_of_day: Mapping[date, bool | None]
    cash: float
    last_equity: float  # of the previous day; the capital before the first
    open: list[Position] = field(default_factory=list)
    trades: list[dict[str, Any]] = field(default_factory=list)
    equity: list[dict[str, Any]] = field(default_factory=list)
    refusals: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REFUSALS, 0))

    def run(self) -> None:
        for i, day in enumerate(self.days):
            self.apply_actions(self.days[i - 1] if i > 0 else day, day)
            self.settle(day)
            for position in self.open:
                position.mark(day, self.market.chains[day], self.market.close_of(day), self.params["unquoted"])
            self.take_exits(day)
            if i == len(self.days) - 1:
                self.close_all(day)
            elif self.may_enter(i):
                self.try_entry(day)
            self.record_equity(day)

    def apply_actions(self, previous: date, day: date) -> None:
        """Splits and dividends day by day, of positions that were alive; on one day the split first."""
        date_ = previous + timedelta(days=1)
        while date_ <= day:
            for position in list(self.open):
                if date_ > position.expiration:
                    continue
                for ex_date, f in self.market.splits:
                    if ex_date == date_:
                        position.split(f)
                for ex_date, amount in self.dividends:
                    if ex_date == date_ and self.params["early_assignment"]:
                        self.assign(position, day, ex_date, amount)
            date_ += timedelta(days=1)

    def assign(self, position: Position, day: date, ex_date: date, amount: float) -> None:
        """Early exercise of short calls by their owners, on the day before the ex-date."""
        eve = ex_date - timedelta(days=1)
        close = self.market.settlement_close(eve) / self.market.split_factor(eve, ex_date)
        assigned = [
            leg.side == SHORT
            and leg.right == CALL
            and above(close, leg.strike)
            and position.close_mark is not None
            and below(leg.mid - max(0.0, position.close_mark - leg.strike), amount)
            for leg in position.legs
        ]
        if not any(assigned):
            return
        fills = []
        for leg, is_assigned in zip(position.legs, assigned, strict=True):
            contracts = position.contracts * leg.ratio
            self.charge(position, self.params["assignment_fee" if is_assigned else "commission"] * contracts)
            fills.append(close - leg.strike if is_assigned else leg.closing_fill(self.params["slippage"]))
        self.finish(position, day, "assignment", fills, close, close)

    def settle(self, day: date) -> None:
        for position in list(self.open):
            if position.expiration > day:
                continue
            close = self.market.settlement_close(position.expiration)
            values = [intrinsic(leg, close) for leg in position.legs]
            for leg, value in zip(position.legs, values, strict=True):
                if above(value, 0):
                    contracts = position.contracts * leg.ratio
                    self.charge(position, self.params["assignment_fee"] * contracts)
            self.finish(position, day, "settlement", values, close, close)

    def take_exits(self, day: date) -> None:
        for position in list(self.open):
            if position.stale:
                continue
            reason = exit_reason(position, day, self.params)
            if reason is not None:
                self.close_at_marks(position, day, reason)

    def close_all(self, day: date) -> None:
        for position in list(self.open):
            self.close_at_marks(position, day, "window_end")

    def close_at_marks(self, position: Position, day: date, reason: str) -> None:
        """Trade out at the last marks, which are today's unless the position is stale."""
        self.charge(position, self.params["commission"] * position.contracts_in_legs())
        fills = [leg.closing_fill(self.params["slippage"]) for leg in position.legs]
        close = self.market.close_of(day)
        self.finish(position, day, reason, fills, position.close_mark, close)

    def charge(self, position: Position, dollars: float) -> None:
        position.fees += dollars
        self.cash -= dollars

    def finish(
        self,
        position: Position,
        day: date,
        reason: str,
        fills: list[float],
        share_price: float | None,
        close: float | None,
    ) -> None:
        """Pay the exit cost and turn the position into a trade."""
        exit_cost = cost_of(position.legs, fills)
        if position.shares > 0:
            assert share_price is not None
            exit_cost -= position.shares * share_price
        self.cash -= position.contracts * self.params["multiplier"] * exit_cost
        self.open.remove(position)
        gross = position.contracts * self.params["multiplier"] * (position.premium - exit_cost)
        pnl = gross - position.fees
        self.trades.append(
            {
                "entry_date": position.entry_date,
                "exit_date": day,
                "expiration": position.expiration,
                "dte": (position.expiration - position.entry_date).days,
                "legs": [leg_row(leg, fill) for leg, fill in zip(position.legs, fills, strict=True)],
                "close_entry": position.close_entry,
                "close_exit": close,
                "contracts": position.contracts,
                "split_factor": position.split_factor,
                "premium": position.premium,
                "exit_cost": exit_cost,
                "fees": position.fees,
                "pnl": pnl,
                "max_loss": position.max_loss,
                "return_on_risk": divide(pnl, position.max_loss),
                "days_held": (day - position.entry_date).days,
                "exit_reason": reason,
                "quote_days": position.quote_days,
                "stale_days": position.stale_days,
                "modelled_days": position.modelled_days,
                "modelled_exit": position.modelled and reason != "settlement",
            }
        )

    def may_enter(self, i: int) -> bool:
        """Room, the entry days, and the predicate: none of them counts a refusal."""
        day = self.days[i]
        if len(self.open) >= self.params["max_positions"]:
            return False
        every = self.params["entry_every"]
        if every == "first_of_week":
            if i > 0 and iso_week(self.days[i - 1]) == iso_week(day):
                return False
        elif every != "any" and WEEKDAYS[day.weekday()] not in every:
            return False
        allowed = self.arm_of_day.get(day)
        return allowed is None or bool(allowed)

    def try_entry(self, day: date) -> None:
        try:
            position = self.pick(day)
        except RefusedError as refused:
            self.refusals[refused.reason] += 1
            return
        self.open.append(position)
        self.cash += position.contracts * self.params["multiplier"] * position.premium
        self.charge(position, self.params["commission"] * position.contracts_in_legs())

    def pick(self, day: date) -> Position:
        """Today's position, or RefusedError."""
        params, chain = self.params, self.market.chains[day]
        close = self.market.close_of(day)
        if close is None:
            raise RefusedError("no_close")
        expiration = choose_expiration(day, chain, params["dte"])
        legs = choose_legs(self.strategy.rules, expiration, chain, close, params)
        deal = price_deal(self.strategy, legs, close, params["multiplier"])
        check_deal(deal, legs, params)
        contracts = self.size(deal.max_loss)
        return Position(
            entry_date=day,
            expiration=expiration,
            legs=legs,
            shares=self.strategy.shares,
            share_entry=close,
            close_mark=close,
            close_entry=close,
            contracts=float(contracts),
            max_loss=contracts * deal.max_loss,
        )

    def size(self, max_loss: float) -> int:
        """How many contracts; Refused when none or when the capital does not cover them."""
        contracts: int = self.params["contracts"]
        if self.params["risk"] is not None:
            contracts = floor(self.last_equity * self.params["risk"] / max_loss)
        if contracts <= 0:
            raise RefusedError("no_capital")
        if self.margin() + contracts * max_loss > self.last_equity + CAPITAL_TOL:
            raise RefusedError("no_capital")
        return contracts

    def margin(self) -> float:
        return sum(position.max_loss for position in self.open)

    def record_equity(self, day: date) -> None:
        multiplier = self.params["multiplier"]
        equity = self.cash
        for position in self.open:
            equity += position.contracts * multiplier * position.mid_value()
        self.last_equity = equity
        self.equity.append(
            {
                "date": day,
                "equity": equity,
                "open_positions": len(self.open),
                "margin": self.margin(),
            }
        )


def iso_week(day: date) -> tuple[int, int]:
    year, week, _ = day.isocalendar()
    return year, week


def leg_row(leg: Leg, exit_fill: float) -> dict[str, Any]:
    return {
        "name": leg.name,
        "right": leg.right,
        "side": "long" if leg.side == LONG else "short",
        "ratio": leg.ratio,
        "strike": leg.strike,
        "entry_fill": leg.entry_fill,
        "exit_fill": exit_fill,
        "entry_delta": leg.entry_delta,
    }
