from __future__ import annotations

import polars as pl
import pytest

from options_bt.job.predicates import FEATURES, predicate_problem
from options_bt.job.strategies import BEARISH, BULLISH


@pytest.mark.parametrize("feature", FEATURES)
def test_every_feature_can_be_used(feature: str) -> None:
    assert predicate_problem(f"{feature} > 0.5") is None


@pytest.mark.parametrize(
    "predicate",
    [
        "rsi_14 < 30 AND close > sma_200",
        "rsi_14 between 30 and 70",
        "iv_rank >= 50 or iv_percentile >= 50",
        "not (close < sma_50)",
        "hv_20 IS NOT NULL",
        "ABS(return_1) < 0.02",
        "iv_30 / hv_20 > 1.2",
        "CASE WHEN close > 100 THEN rsi_14 < 30 ELSE rsi_14 < 40 END",
        "TRUE",
        BULLISH,
        BEARISH,
    ],
)
def test_expressions_that_are_true_or_false_are_accepted(predicate: str) -> None:
    assert predicate_problem(predicate) is None


@pytest.mark.parametrize(
    "predicate", ["", "(", "close >", "'", "SELECT 1", "close > 5; DROP TABLE x", "close, close", "*"]
)
def test_what_is_no_expression_is_rejected_with_the_features(predicate: str) -> None:
    problem = predicate_problem(predicate)
    assert problem is not None
    assert problem.got.startswith(f"got {predicate!r}: ")
    assert "\n" not in problem.got
    assert problem.allowed == f"SQL over {', '.join(FEATURES)}"


@pytest.mark.parametrize("rest", ["; drop table x", "; close > 6", ";", ", close > 6", " drop table x"])
def test_more_than_one_expression_is_rejected_whatever_polars_makes_of_the_rest(
    rest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parse = pl.sql_expr

    def ignoring_the_rest(sql: str) -> pl.Expr:
        """Parse as some versions of polars do: what follows the first expression is ignored."""
        return parse(sql.removesuffix(rest))

    monkeypatch.setattr(pl, "sql_expr", ignoring_the_rest)
    assert predicate_problem("close > 5") is None
    assert predicate_problem(f"close > 5{rest}") is not None


def test_a_predicate_may_end_with_a_comment() -> None:
    assert predicate_problem("close > 5 -- a floor") is None


@pytest.mark.parametrize("predicate", ["rsi < 30", "CLOSE > 5", "volume > 100"])
def test_a_column_that_is_no_feature_is_named(predicate: str) -> None:
    problem = predicate_problem(predicate)
    assert problem is not None
    assert predicate.split()[0] in problem.got.partition(": ")[2]


@pytest.mark.parametrize("predicate", ["close", "rsi_14 + 1", "NULL", "'yes'"])
def test_an_answer_that_is_neither_true_nor_false_is_rejected(predicate: str) -> None:
    problem = predicate_problem(predicate)
    assert problem is not None
    assert problem.allowed == "something true or false"


@pytest.mark.parametrize("predicate", ["close > 'high'", "rsi_14 = 'oversold'"])
def test_a_comparison_that_fails_when_it_is_made_is_rejected(predicate: str) -> None:
    table = pl.DataFrame({feature: [1.0] for feature in FEATURES})
    with pytest.raises(pl.exceptions.PolarsError):
        table.select(pl.sql_expr(predicate))
    assert predicate_problem(predicate) is not None
