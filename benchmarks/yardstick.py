"""The yardstick of the kernel: the least that one hard-wired put spread can cost.

It sells the put nearest to a delta and buys the one nearest to a width below it, one position at a time, closes at a
stop, a target or expiration, and gives the profit of each trade and the equity of each day; nothing can be set that
`jobs/grid.yaml` leaves alone. It reads the same arrays as the engine and of them only the rows that it must: a search
ends where the deltas or the strikes have passed the target.
"""

from __future__ import annotations

from datetime import date
from math import inf, isnan

import numpy as np
from numba import njit
from numpy.typing import NDArray

from options_bt.data.market.market import Market, Records
from options_bt.job.parameters import dte_range
from options_bt.job.spec import JobSpec


@njit(cache=True)
def put_spreads(
    days: Records,
    groups: Records,
    quotes: Records,
    first: int,
    delta: float,
    least_dte: int,
    most_dte: int,
    profits: NDArray[np.float64],
    equity: NDArray[np.float64],
) -> int:
    """Write the profit of each trade and the equity of each day from `first` on, in dollars; return how many trades.

    The last day closes what is open; a day without a quote changes nothing. Slippage is half the half-spread, the
    commission 0.65 dollars, the width 5 dollars, the profit target half of the credit and the stop twice it, as in
    `jobs/grid.yaml`.
    """
    target = (least_dte + most_dte) / 2
    cash, count, short, long = 100_000.0, 0, -1, -1
    credit, value, given, fees, settlement, expiration = 0.0, 0.0, 0.0, 0.0, 0.0, 0
    short_strike, long_strike = 0.0, 0.0
    last = first + len(equity) - 1
    for today in range(first, last + 1):
        day = days[today]
        if short >= 0:
            cost, done = 0.0, False
            if expiration <= day.date:
                done = True
                cost = max(0.0, short_strike - settlement) - max(0.0, long_strike - settlement)
            else:
                next_short, next_long = quotes[short].next, quotes[long].next
                if next_short >= 0 and quotes[next_short].day == today:
                    short = next_short
                if next_long >= 0 and quotes[next_long].day == today:
                    long = next_long
                one, other = quotes[short], quotes[long]
                if one.day == today and other.day == today:
                    value = (other.bid + other.ask - one.bid - one.ask) / 2
                    given = 0.25 * (one.ask - one.bid + other.ask - other.bid)
                    cost = given - value
                    done = credit - cost <= -2.0 * credit + 1e-9 or credit - cost >= 0.5 * credit - 1e-9
                else:  # a quote is missing: the last marks hold
                    cost = given - value
                if done or today == last:
                    done = True
                    fees += 1.3
            if done:
                cash -= 100 * cost + fees - 1.3
                profits[count] = 100 * (credit - cost) - fees
                count += 1
                short = -1
        if short < 0 and today < last and not isnan(day.close):
            chosen, away = -1, inf
            for number in range(day.groups_from, day.groups_to):
                dte = groups[number].expiration - day.date
                if least_dte <= dte <= most_dte and abs(dte - target) < away:
                    chosen, away = number, abs(dte - target)
            if chosen >= 0:
                group = groups[chosen]
                found, away = -1, inf
                for row in range(group.puts_from, group.calls_from):
                    beyond = -quotes[row].delta - delta
                    if abs(beyond) < away - 1e-9 and quotes[row].bid > 0.0:
                        found, away = row, abs(beyond)
                    if beyond > away:
                        break
                if found >= 0 and away <= 0.1 + 1e-9:
                    wing, off = -1, inf
                    for row in range(found - 1, group.puts_from - 1, -1):
                        gap = abs(quotes[found].strike - quotes[row].strike - 5.0)
                        if gap >= off - 1e-9:
                            break
                        wing, off = row, gap
                    if wing >= 0 and off <= 2.5 + 1e-9:
                        one, other = quotes[found], quotes[wing]
                        mid = (one.bid + one.ask - other.bid - other.ask) / 2
                        given = 0.25 * (one.ask - one.bid + other.ask - other.bid)
                        credit = mid - given
                        if 0.05 - 1e-9 <= credit < one.strike - other.strike - 1e-9:
                            short, long, value, fees = found, wing, -mid, 1.3
                            short_strike, long_strike = one.strike, other.strike
                            expiration, settlement = group.expiration, group.settlement
                            cash += 100 * credit - fees
        equity[today - first] = cash + (100 * value if short >= 0 else 0.0)
    return count


def yardstick(spec: JobSpec, market: Market) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the profit of each trade, in dollars, and the equity of each day of a job of `jobs/grid.yaml`."""
    chain = market.chain
    epoch = date(1970, 1, 1).toordinal()
    days = (spec.start.toordinal() - epoch, spec.end.toordinal() - epoch + 1)
    first, end = chain.days.date.searchsorted(days)
    least, most, _ = dte_range(spec.params.dte)
    profits, equity = np.empty(end - first), np.empty(end - first)
    count = put_spreads(*chain[:3], first, spec.params.delta, least, most, profits, equity)
    return profits[:count], equity
