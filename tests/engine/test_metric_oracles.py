"""The metrics against empyrical and scipy, with the definitions that differ converted into one another.

docs/semantics.md has the same in words, below "Other people's metrics".
"""

from __future__ import annotations

from typing import Any

import empyrical
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

import options_bt
from options_bt.api import Backtest
from options_bt.data.market.building import build_market
from options_bt.data.market.features import features
from options_bt.data.sources.demo import DemoSource
from options_bt.engine.account import equity_metrics
from options_bt.engine.metrics import EQUITY_METRICS
from tests.data.quotes import chain_frame, quote, splits_frame

Floats = NDArray[np.float64]
CAPITAL, RISK_FREE = 100_000.0, 0.02
EXPOSURE = "exposure"  # the one of these metrics that empyrical knows nothing of


def our_metrics(returns: Floats, span: int, risk_free: float) -> tuple[dict[str, float], Floats]:
    """The metrics of an equity curve, and its returns as its floats have them."""
    equity: Floats = CAPITAL * np.cumprod(1 + returns, dtype=np.float64)
    metrics = equity_metrics(equity, len(equity), span, CAPITAL, risk_free)
    exact = empyrical.simple_returns(np.append(CAPITAL, equity))
    return dict(zip(EQUITY_METRICS, metrics.tolist(), strict=True)), exact


def their_metrics(returns: Floats, span: int, risk_free: float) -> dict[str, float]:
    """The same by empyrical, told how many returns there are to a year and what the risk-free rate is for each."""
    years = span / 365.25
    per_year = (len(returns) - 1) / years  # days to a year: the first return has no length of time
    growing = {"annualization": len(returns) / years}  # growth spreads every return over the span
    risk = {"annualization": per_year}
    daily = risk_free / per_year
    # Their downside is below the risk-free rate, ours below zero.
    below_rate, below_zero = (empyrical.downside_risk(returns, rate, **risk) for rate in (daily, 0.0))
    return {
        "total_return": empyrical.cum_returns_final(returns),
        "cagr": empyrical.cagr(returns, **growing),
        "sharpe": empyrical.sharpe_ratio(returns, daily, **risk),
        "sortino": empyrical.sortino_ratio(returns, daily, **risk) * below_rate / below_zero,
        "max_drawdown": -empyrical.max_drawdown(returns),
        "calmar": empyrical.calmar_ratio(returns, **growing),
        "skew": stats.skew(returns),
        "kurtosis": stats.kurtosis(returns),
        "cvar_95": empyrical.conditional_value_at_risk(returns, 0.05),
    }


RETURNS = st.lists(st.floats(-0.3, 0.3), min_size=2, max_size=90).map(np.array)
RATES = st.sampled_from([0.0, 0.03, -0.01])


@given(returns=RETURNS, days=st.floats(1.0, 5.0), risk_free=RATES)
def test_every_metric_of_random_curves_agrees(returns: Floats, days: float, risk_free: float) -> None:
    # What divides by next to nothing agrees in no digit; the next test has what divides by nothing.
    assume(np.std(returns) > 1e-3 and min(returns) < -1e-3)
    span = round(days * (len(returns) - 1))
    ours, exact = our_metrics(returns, span, risk_free)
    theirs = their_metrics(exact, span, risk_free)
    assert ours.keys() == {*theirs, EXPOSURE}
    assert theirs == pytest.approx({name: ours[name] for name in theirs}, rel=1e-9, abs=1e-9)


@given(returns=RETURNS)
def test_the_expected_shortfall_is_no_better_than_the_value_at_risk(returns: Floats) -> None:
    ours, exact = our_metrics(returns, 365, 0.0)
    assert ours["cvar_95"] <= empyrical.value_at_risk(exact, 0.05) + 1e-12


def test_without_a_loss_our_sortino_is_undefined_and_theirs_infinite() -> None:
    ours, exact = our_metrics(np.array([0.01, 0.02]), 20, 0.0)
    assert np.isnan([ours["sortino"], ours["calmar"], empyrical.calmar_ratio(exact)]).all()
    assert empyrical.sortino_ratio(exact) == np.inf


def test_on_a_flat_curve_ratios_are_undefined_here_and_there() -> None:
    ours, exact = our_metrics(np.zeros(9), 20, 0.0)
    theirs = [ratio(exact) for ratio in (empyrical.sharpe_ratio, empyrical.sortino_ratio, empyrical.calmar_ratio)]
    assert np.isnan([*theirs, ours["sharpe"], ours["sortino"], ours["calmar"]]).all()


@pytest.fixture(scope="module")
def backtest(tmp_path_factory: pytest.TempPathFactory) -> Backtest:
    params: dict[str, Any] = {"delta": 0.3, "dte": "20-45", "risk": 0.05, "risk_free": RISK_FREE}
    return options_bt.backtest("SPY", "2021-01-01", "2022-12-31", cache=tmp_path_factory.mktemp("cache"), **params)


def returns_and_span(backtest: Backtest) -> tuple[Floats, int]:
    equity, days = backtest.equity["equity"].to_numpy(), backtest.equity["date"]
    return empyrical.simple_returns(np.append(CAPITAL, equity)), (days[-1] - days[0]).days


def test_every_metric_of_a_backtest_agrees(backtest: Backtest) -> None:
    theirs = their_metrics(*returns_and_span(backtest), RISK_FREE)
    assert theirs == pytest.approx({name: backtest.metrics[name] for name in theirs}, rel=1e-9)


def test_what_empyrical_gives_untold_is_annualised_by_252_days(backtest: Backtest) -> None:
    returns, span = returns_and_span(backtest)
    ours, years = backtest.metrics, span / 365.25
    per_year = (len(returns) - 1) / years
    assert 145 < per_year < 155  # the demo has three quote days a week
    sharpe = empyrical.sharpe_ratio(returns, RISK_FREE / per_year)
    assert ours["sharpe"] == pytest.approx(sharpe * np.sqrt(per_year / 252), rel=1e-9)
    growth = (1 + empyrical.annual_return(returns)) ** (len(returns) / 252)
    assert ours["cagr"] == pytest.approx(growth ** (1 / years) - 1, rel=1e-9)


def test_sharpe_is_the_mean_excess_of_a_year_over_its_volatility(backtest: Backtest) -> None:
    returns, span = returns_and_span(backtest)
    per_year = (len(returns) - 1) / (span / 365.25)
    volatility = empyrical.annual_volatility(returns, annualization=per_year)
    excess = returns.mean() * per_year - RISK_FREE
    assert backtest.metrics["sharpe"] == pytest.approx(excess / volatility, rel=1e-9)


def test_the_profit_factor_is_the_omega_ratio_of_the_trades(backtest: Backtest) -> None:
    omega = empyrical.omega_ratio(backtest.trades["pnl"].to_numpy())
    assert backtest.metrics["profit_factor"] == pytest.approx(omega, rel=1e-9)


def test_the_feature_hv_20_is_the_annual_volatility_of_log_returns() -> None:
    closes = DemoSource().closes("SPY").head(60)
    rows = [quote(day, day, 100.0, "put") for day in closes["date"]]
    market = build_market("X", "hv_20", chain_frame(rows), closes, splits_frame([]))
    theirs = empyrical.roll_annual_volatility(np.diff(np.log(closes["close"])), window=20)
    assert len(theirs) == 40
    assert features(market)["hv_20"].to_list()[20:] == pytest.approx(theirs.tolist(), rel=1e-9)
