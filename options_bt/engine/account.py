"""The metrics of one account, whichever backtests its equity comes from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from options_bt.engine.metrics import METRICS, REFUSED_FROM, TRADE_METRICS
from options_bt.engine.workspace import Workspace


def equity_metrics(
    equity: NDArray[np.float64], exposed_days: int, span: int, capital: float, risk_free: float
) -> NDArray[np.float64]:
    """Return the values of EQUITY_METRICS of one account; NaN where one is undefined.

    Parameters
    ----------
    equity : array of float64, one element a day
    exposed_days : int
        Days with an open position at their close.
    span : int
        Calendar days from the first day to the last.
    capital : float
    risk_free : float
        Per year.
    """
    from options_bt.engine.measures import measure  # numba takes half a second, which only those pay who measure

    workspace = Workspace()
    workspace.fit(slots=0, days=len(equity), jobs=1)
    workspace.states["exposed_days"], workspace.jobs["capital"], workspace.jobs["risk_free"] = (
        exposed_days,
        capital,
        risk_free,
    )
    workspace.equity[:] = equity
    metrics = np.empty((1, len(METRICS)))
    measure(workspace.states, workspace.jobs, workspace.equity, span, workspace.returns, metrics)
    return metrics[0, len(TRADE_METRICS) : REFUSED_FROM]
