"""The metrics of section 7 of docs/semantics.md, computed: compiled like the kernel."""

from __future__ import annotations

from math import isfinite, nan, sqrt

import numpy as np
from numba import int64
from numpy.typing import NDArray

from options_bt.engine.jit import array_of, entry_point, kernel_part
from options_bt.engine.metrics import DAYS_PER_YEAR, REFUSED_FROM, TRADE_METRICS
from options_bt.engine.records import ASSIGNMENT, RULES, STATE, TOLERANCE, Records

NO_DEVIATION = 1e-15
EQUITY_FROM = len(TRADE_METRICS)


@kernel_part
def ratio(numerator: float, denominator: float) -> float:
    """Return a quotient, NaN where it is undefined."""
    return numerator / denominator if denominator != 0 else nan


@kernel_part
def tally(state: Records, position: Records) -> None:
    """Count a closed position."""
    pnl = position.pnl
    state.best = pnl if state.trades == 0 else max(state.best, pnl)
    state.worst = pnl if state.trades == 0 else min(state.worst, pnl)
    state.trades += 1
    state.pnl += pnl
    state.fees += position.fees
    state.days += position.exit_day - position.entry_day
    state.quote_days += position.quote_days
    state.stale_days += position.stale_days
    state.modelled_days += position.modelled_days
    state.modelled_exits += position.modelled_exit
    state.assignments += position.exit_reason == ASSIGNMENT
    if pnl > TOLERANCE:
        state.wins += 1
        state.gain += pnl
    elif pnl < -TOLERANCE:
        state.losses += 1
        state.loss += pnl


@kernel_part
def trade_metrics(state: Records) -> tuple[float, ...]:
    """Return the values of TRADE_METRICS; NaN where one is undefined."""
    count = state.trades
    return (
        float(count),
        float(state.wins),
        ratio(state.wins, count),
        state.pnl,
        ratio(state.gain, -state.loss),
        ratio(state.pnl, count),
        ratio(state.gain, state.wins),
        ratio(state.loss, state.losses),
        state.best if count > 0 else nan,
        state.worst if count > 0 else nan,
        ratio(state.days, count),
        state.fees,
        float(state.quote_days),
        float(state.stale_days),
        float(state.modelled_days),
        ratio(state.modelled_exits, count),
        float(state.assignments),
    )


@kernel_part
def partition(values: NDArray[np.float64], first: int, last: int, limit: float, included: bool) -> int:
    """Move the values of a range below a limit, or at it, to its front; return where the others begin."""
    begin = first
    for place in range(first, last):  # without a branch, which a processor would often guess wrongly
        value = values[place]
        values[place], values[begin] = values[begin], value
        begin += value <= limit if included else value < limit
    return begin


@kernel_part
def mean_of_lowest(values: NDArray[np.float64], count: int, limit: float) -> float:
    """Return the mean of the lowest values, which are moved to the front; `limit` is a guess of the highest of them.

    By quickselect: Hoare, Algorithm 65: Find, Communications of the ACM 4 (1961).
    """
    first, last = 0, len(values)  # before the first are the lowest alone, and from the last on none of them
    while first < count < last:
        begin = partition(values, first, last, limit, True)
        if begin == last:  # the limit is the highest, perhaps several times
            begin = partition(values, first, last, limit, False)
            if begin <= count:
                break
        first, last = (begin, last) if begin <= count else (first, begin)
        limit = values[(first + last) // 2]
    total = 0.0
    for number in range(count):
        total += values[number]
    return total / count


@kernel_part
def equity_metrics(
    equity: NDArray[np.float64],
    exposed_days: int,
    span: int,
    capital: float,
    risk_free: float,
    returns: NDArray[np.float64],
    result: NDArray[np.float64],
) -> None:
    """Write the values of EQUITY_METRICS; `returns` takes a value a day."""
    n = len(equity)
    result[:] = nan
    result[0] = 0.0
    if n == 0:
        return
    previous = peak = lowest = capital
    drawdown, total, solvent = 0.0, 0.0, True
    for day in range(n):
        solvent &= previous > TOLERANCE
        value = equity[day]
        returns[day] = value / previous - 1 if solvent else nan
        total += returns[day]
        if value > peak:
            peak, lowest = value, value * (1 - drawdown)
        elif value < lowest:
            drawdown, lowest = max(drawdown, 1 - value / peak), value
        previous = value
    years = span / DAYS_PER_YEAR
    growth = previous / capital
    left = growth if abs(previous) > TOLERANCE else 0.0  # used up, but for rounding
    cagr = left ** (1 / years) - 1 if left >= 0 and years > 0 else nan
    cagr = cagr if isfinite(cagr) else nan
    result[0], result[1], result[4] = growth - 1, cagr, drawdown
    result[5] = cagr / drawdown if drawdown > NO_DEVIATION else nan
    result[6] = exposed_days / n
    if not solvent:
        return
    mean = total / n
    squares, cubes, fourths, below = 0.0, 0.0, 0.0, 0.0
    for one in returns:
        away = one - mean
        square = away * away
        squares += square
        cubes += square * away
        fourths += square * square
        below += min(one, 0.0) ** 2
    deviation = sqrt(squares / n)
    if years > 0 and n > 1:
        per_year = (n - 1) / years
        excess = (mean - risk_free / per_year) * sqrt(per_year)
        sample = sqrt(squares / (n - 1))
        downside = sqrt(below / n)
        result[2] = excess / sample if sample > NO_DEVIATION else nan
        result[3] = excess / downside if downside > NO_DEVIATION else nan
    if deviation > NO_DEVIATION:
        square = deviation * deviation  # a power would be another function in plain Python
        result[7] = cubes / n / (square * deviation)
        result[8] = fourths / n / (square * square) - 3
    result[9] = mean_of_lowest(returns, (n + 19) // 20, mean - deviation)


@entry_point(
    array_of(STATE), array_of(RULES), array_of(np.float64, 2), int64, array_of(np.float64), array_of(np.float64, 2)
)
def measure(
    states: Records,
    jobs: Records,
    equity: NDArray[np.float64],
    span: int,
    returns: NDArray[np.float64],
    metrics: NDArray[np.float64],
) -> None:
    """Write the values of METRICS of jobs; NaN where one is undefined.

    Parameters
    ----------
    states, jobs : arrays of STATE and RULES
    equity : array of float64, (jobs, days)
    span : int
        Calendar days from the first day to the last.
    returns : array of float64, one element a day
        Written: each job writes over those of the others.
    metrics : array of float64, (jobs, len(METRICS))
        Written.
    """
    for number in range(len(jobs)):
        state, rules, row = states[number], jobs[number], metrics[number]
        for index, value in enumerate(trade_metrics(state)):
            row[index] = value
        equity_metrics(
            equity[number],
            state.exposed_days,
            span,
            rules.capital,
            rules.risk_free,
            returns,
            row[EQUITY_FROM:REFUSED_FROM],
        )
        for reason in range(len(state.refused)):
            row[REFUSED_FROM + reason] = state.refused[reason]
