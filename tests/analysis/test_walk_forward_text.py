from __future__ import annotations

from typing import Any

import pytest

from options_bt.analysis.walk_forward import walk_forward
from options_bt.analysis.walk_forward_text import walk_forward_text
from tests.analysis.made_run import MadeRun
from tests.small_run import job_of

RETURN = [0.0, 0.02, 0.0, 0.01] * 3


def made(**columns: Any) -> MadeRun:
    job = job_of(
        symbols=["A", "B", "C"],
        period={"start": "2020-01-01", "end": "2021-12-31"},
        grid={"delta": [0.1, 0.2]},
        windows={"train": "1y", "test": "1y"},
    )
    filled: dict[str, Any] = {"sharpe": [1, 2, 4, 3] * 3, "total_return": RETURN, **columns}
    return MadeRun(job, total_pnl=[1e5 * value for value in RETURN], **filled)


def text(run: MadeRun, most: int | None = None, **how: Any) -> str:
    return walk_forward_text(run, walk_forward(run, **how), most)


def test_the_whole_answer() -> None:
    expected = """\
two: parameters chosen by sharpe in training, and their results in the next test:
On average a choice beats 0% of the other combinations in its test; by chance it would be 50%.

symbol  window  train                   test                    delta  train_sharpe  test_sharpe  test_pnl  best_delta  best_sharpe  rank
------  ------  ----------------------  ----------------------  -----  ------------  -----------  --------  ----------  -----------  ------
A            1  2020-01-01..2020-12-31  2021-01-01..2021-12-31    0.2          2.00         3.00  1,000.00         0.1         4.00  2 of 2
B            1  2020-01-01..2020-12-31  2021-01-01..2021-12-31    0.2          2.00         3.00  1,000.00         0.1         4.00  2 of 2
C            1  2020-01-01..2020-12-31  2021-01-01..2021-12-31    0.2          2.00         3.00  1,000.00         0.1         4.00  2 of 2

Out of sample, 2021-01-01 to 2021-01-11:
symbol  trades  win_rate  total_pnl    cagr  sharpe  max_drawdown  in_sample  out_of_sample  efficiency
------  ------  --------  ---------  ------  ------  ------------  ---------  -------------  ----------
all          0         -   3,000.00  43.83%    4.27         0.00%      2.00%          1.00%        0.50
A            0         -   1,000.00  43.83%    4.27         0.00%      2.00%          1.00%        0.50
B            0         -   1,000.00  43.83%    4.27         0.00%      2.00%          1.00%        0.50
C            0         -   1,000.00  43.83%    4.27         0.00%      2.00%          1.00%        0.50

Chosen values:
axis   value  windows    share
-----  -----  -------  -------
delta  0.1          0    0.00%
delta  0.2          3  100.00%

Successive windows with the same choice:
axis      same    distance
--------  ------  --------
all axes  0 of 0         -
delta     0 of 0         -
"""  # noqa: E501  # a table is as wide as it is
    assert text(made()) == expected


def test_what_the_choice_was_compared_by_stands_beside_its_own_metric() -> None:
    shown = text(made(), plateau=True, pooled=True)
    assert shown.startswith("two: parameters chosen by sharpe (mean over neighbours and symbols) in training, and ")
    assert "  mean_sharpe  train_sharpe  " in shown
    # One choice for all symbols counts once.
    assert "delta  0.1          1  100.00%\n" in shown


def test_a_long_answer_is_cut_and_says_how_to_see_all() -> None:
    lines = text(made(), most=2).splitlines()
    assert lines.count("and 1 more: options-bt walk-forward runs/made") == 1
    assert lines.count("and 2 more: options-bt walk-forward runs/made") == 1
    assert sum(line.startswith("C ") for line in lines) == 0


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (
            {"status": ["failed", *["done"] * 9, None, None]},
            "Of 12 jobs 1 failed and 2 have not run.",
        ),
        ({"sharpe": [None, None, 1, 2] * 3}, "3 of 3 trainings have no sharpe, and so no choice."),
        ({"status": [*["done"] * 11, None]}, "1 of 3 choices have no finished test."),
    ],
    ids=["jobs", "choices", "tests"],
)
def test_what_is_missing_is_told(columns: Any, line: str) -> None:
    assert line in text(made(**columns)).splitlines()


def test_without_a_choice_there_is_no_account() -> None:
    shown = text(made(sharpe=[None] * 12))
    assert "\nOut of sample:\n" in shown
    assert "chance" not in shown
