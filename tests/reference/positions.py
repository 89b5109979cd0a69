"""Section 5 of the reference: open positions and their exits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from tests.reference.choosing import Leg
from tests.reference.deals import option_premium
from tests.reference.market import Quote
from tests.reference.modelled import model_quote
from tests.reference.numbers import SHORT, Key, Params, above, below, round_strike

# ------------------------------------------------------------------ positions


@dataclass
class Position:
    """An open position, in the terms of the current day."""

    entry_date: date
    expiration: date
    legs: list[Leg]
    shares: int
    share_entry: float  # the close at entry, adjusted by splits
    close_mark: float | None  # of the day of the last marks
    close_entry: float  # as traded
    contracts: float
    max_loss: float  # of the whole position, in dollars
    split_factor: float = 1.0
    fees: float = 0.0
    stale: bool = False
    quote_days: int = 0
    stale_days: int = 0
    modelled: bool = False  # whether the last marks are
    modelled_days: int = 0

    @property
    def premium(self) -> float:
        return option_premium(self.legs) - self.shares * self.share_entry

    def split(self, f: float) -> None:
        for leg in self.legs:
            leg.strike = round_strike(leg.strike / f)
            leg.entry_fill /= f
            leg.bid /= f
            leg.ask /= f
        self.share_entry /= f
        if self.close_mark is not None:
            self.close_mark /= f
        self.contracts *= f
        self.split_factor *= f

    def mark(self, day: date, chain: Mapping[Key, Quote], close: float | None, unquoted: str) -> None:
        """Take today's prices when every leg has one, else keep the last marks."""
        self.quote_days += 1
        listed = [chain.get((self.expiration, leg.strike, leg.right)) for leg in self.legs]
        quotes = list(listed)
        if unquoted == "model" and close is not None:
            for i, leg in enumerate(self.legs):
                if quotes[i] is None:
                    quotes[i] = model_quote(day, chain, close, self.expiration, leg.strike, leg.right)
        self.stale = any(quote is None for quote in quotes) or (self.shares > 0 and close is None)
        if self.stale:
            self.stale_days += 1
            return
        self.modelled = None in listed
        self.modelled_days += self.modelled
        for leg, quote in zip(self.legs, quotes, strict=True):
            assert quote is not None
            leg.bid, leg.ask, leg.delta = quote.bid, quote.ask, quote.delta
        self.close_mark = close

    def mid_value(self) -> float:
        """Per share."""
        options = sum(leg.side * leg.ratio * leg.mid for leg in self.legs)
        if self.shares == 0:
            return options
        assert self.close_mark is not None
        return options + self.shares * self.close_mark

    def contracts_in_legs(self) -> float:
        """What commission counts: a leg counts `ratio` times."""
        return self.contracts * sum(leg.ratio for leg in self.legs)


def cost_of(legs: Iterable[Leg], fills: Iterable[float]) -> float:
    return sum(-leg.side * leg.ratio * fill for leg, fill in zip(legs, fills, strict=True))


def exit_reason(position: Position, day: date, params: Params) -> str | None:
    """Section 5: the first rule that holds. Rules 1 and 2 look at the options alone."""
    legs = position.legs
    premium = option_premium(legs)
    profit = premium - cost_of(legs, [leg.closing_fill(params["slippage"]) for leg in legs])
    basis = abs(premium)
    stop, target = params["stop_loss"], params["profit_target"]
    if stop is not None and not above(profit, -stop * basis):
        return "stop_loss"
    if target is not None and not below(profit, target * basis):
        return "profit_target"
    if params["exit_dte"] is not None and (position.expiration - day).days <= params["exit_dte"]:
        return "exit_dte"
    if params["max_days"] is not None and (day - position.entry_date).days >= params["max_days"]:
        return "max_days"
    limit = params["exit_delta"]
    deltas = [leg.delta for leg in legs if leg.side == SHORT and leg.delta is not None]
    if limit is not None and any(not below(abs(delta), limit) for delta in deltas):
        return "exit_delta"
    return None
