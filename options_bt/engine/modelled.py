"""Prices for contracts that are alive but not quoted, from the day's own quotes (section 10 of docs/semantics.md)."""

from __future__ import annotations

from math import exp, isnan, log, nan, sqrt

from options_bt.data.market.implied import DAYS_PER_YEAR
from options_bt.data.market.market import Chain
from options_bt.engine.black_scholes import black_scholes
from options_bt.engine.jit import kernel_part
from options_bt.engine.records import NOT_FOUND, PUT, Records

LEAST_HALF_SPREAD = 0.01


@kernel_part
def first_from(quotes: Records, low: int, high: int, strike: float) -> int:
    """Return the first row from a strike on upwards; `high` if there is none."""
    while low < high:
        middle = (low + high) // 2
        if quotes[middle].strike < strike:
            low = middle + 1
        else:
            high = middle
    return low


@kernel_part
def smile(chain: Chain, group: Records, right: int, strike: float) -> tuple[float, float]:
    """Return an expiration's variance per year and spread over vega at a strike; NaN where no quote implies any.

    Linear in the logarithm of the strike between the neighbours that imply one, flat beyond the last of them.
    """
    low = group.puts_from if right == PUT else group.calls_from
    high = group.calls_from if right == PUT else group.calls_to
    above = first_from(chain.quotes, low, high, strike)
    below = above if above < high and chain.quotes[above].strike == strike else above - 1
    while above < high and isnan(chain.implied[above].volatility):
        above += 1
    while below >= low and isnan(chain.implied[below].volatility):
        below -= 1
    below, above = below if below >= low else NOT_FOUND, above if above < high else NOT_FOUND
    if below == NOT_FOUND and above == NOT_FOUND:
        return nan, nan
    below = above if below == NOT_FOUND else below
    above = below if above == NOT_FOUND else above
    one, other = chain.implied[below], chain.implied[above]
    share = 0.0
    if chain.quotes[below].strike < chain.quotes[above].strike:
        lowest = log(chain.quotes[below].strike)
        share = (log(strike) - lowest) / (log(chain.quotes[above].strike) - lowest)
    variance = one.volatility**2 + share * (other.volatility**2 - one.volatility**2)
    return variance, one.spread + share * (other.spread - one.spread)


@kernel_part
def surface(chain: Chain, day: Records, right: int, strike: float, expiration: int) -> tuple[float, float]:
    """Return the volatility per year and the spread over vega that a day's quotes of a right imply for a contract.

    Between expirations linear in time: the total variance, and the spread. Beyond the last the volatility of the last
    at the same strike; before the first that of the first at the strike as many deviations away from the close, since
    smiles are steeper in strikes the nearer the expiration.
    """
    years = (expiration - day.date) / DAYS_PER_YEAR
    before, variance_before, spread_before = nan, nan, nan
    for number in range(day.groups_from, day.groups_to):
        group = chain.groups[number]
        if group.expiration <= day.date:
            continue
        after = (group.expiration - day.date) / DAYS_PER_YEAR
        seen_from = strike
        if group.expiration > expiration and isnan(before):
            seen_from = day.close * exp(log(strike / day.close) * sqrt(after / years))
        variance, spread = smile(chain, group, right, seen_from)
        if isnan(variance):
            continue
        if group.expiration == expiration or (group.expiration > expiration and isnan(before)):
            return sqrt(variance), spread
        if group.expiration > expiration:
            share = (years - before) / (after - before)
            total = before * variance_before + share * (after * variance - before * variance_before)
            return sqrt(total / years), spread_before + share * (spread - spread_before)
        before, variance_before, spread_before = after, variance, spread
    return sqrt(variance_before), spread_before


@kernel_part
def modelled(chain: Chain, day: Records, right: int, strike: float, expiration: int) -> tuple[float, float, float]:
    """Return the mid, the half-spread and the delta of a contract that is not quoted.

    Parameters
    ----------
    chain : Chain
    day : record of DAY
        With a close, and with a volatility of the right.
    right, strike, expiration
        Of the contract, in the terms of the day; it expires after the day.
    """
    volatility, spread = surface(chain, day, right, strike, expiration)
    years = (expiration - day.date) / DAYS_PER_YEAR
    value, delta, vega = black_scholes(right, day.close, strike, years, volatility)
    half_spread = max(spread * vega, LEAST_HALF_SPREAD)
    return max(value, half_spread), half_spread, delta  # a bid is never below zero
