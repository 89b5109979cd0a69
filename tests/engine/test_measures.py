from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_bt.engine.account import equity_metrics
from options_bt.engine.measures import mean_of_lowest
from options_bt.engine.metrics import EQUITY_METRICS

ROUNDING = 1e-11


RETURNS = st.floats(-1.0, 1.0) | st.sampled_from([0.0, -0.01])


@given(values=st.lists(RETURNS, min_size=1, max_size=100), share=st.floats(0, 1), guess=RETURNS)
def test_the_mean_of_the_lowest_is_that_of_the_first_when_sorted(
    values: list[float], share: float, guess: float
) -> None:
    count = max(1, round(share * len(values)))
    found = mean_of_lowest(np.array(values), count, guess)
    assert found == pytest.approx(np.sort(values)[:count].mean(), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("left", [0.0, ROUNDING, -ROUNDING])
def test_an_account_that_is_used_up_but_for_rounding_has_lost_everything(left: float) -> None:
    metrics = equity_metrics(np.array([1000.0, 500.0, left]), 2, 1461, 1000.0, 0.0)
    named = dict(zip(EQUITY_METRICS, metrics.tolist(), strict=True))
    assert named["cagr"] == -1.0
    assert named["calmar"] == pytest.approx(-1.0)


def test_an_account_below_nothing_has_no_growth() -> None:
    metrics = equity_metrics(np.array([1000.0, -1.0]), 2, 1461, 1000.0, 0.0)
    assert np.isnan(metrics[EQUITY_METRICS.index("cagr")])
