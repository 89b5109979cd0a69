"""Predicates on a source's own volatility history, from its file to the days of entry."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from options_bt.analysis.run_reader import open_run
from options_bt.errors import SourceError
from options_bt.job.reading import read_job
from options_bt.runner.run import run_job

DAYS = [date(2020, 3, 2) + timedelta(days=number) for number in range(5)]
LEVELS = (0.2, 0.4, 0.4, 0.2, 0.2)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rows = [f"{day},X,2020-04-10,95,Put,1.0,1.1,0.3,-0.2" for day in DAYS]
    (tmp_path / "option_chain.csv").write_text(
        "\n".join(["date,act_symbol,expiration,strike,call_put,bid,ask,vol,delta", *rows])
    )
    (tmp_path / "ohlcv.csv").write_text("\n".join(["date,act_symbol,close", *(f"{day},X,100" for day in DAYS)]))
    return tmp_path


def with_history(source: Path) -> Path:
    rows = [f"{day},X,0.25,{level}" for day, level in zip(DAYS, LEVELS, strict=True)]
    (source / "volatility_history.csv").write_text("\n".join(["date,act_symbol,hv_current,iv_current", *rows]))
    return source


def entry_days(source: Path, when: str) -> list[date]:
    period = {"start": str(DAYS[0]), "end": str(DAYS[-1])}
    params = {"entry_when": when, "max_positions": 9}
    job, faults = read_job(
        {
            "name": "history",
            "symbols": ["X"],
            "period": period,
            "source": f"files:{source}",
            "strategy": "short_put",
            "params": params,
        }
    )
    assert job is not None, faults
    summary = run_job(job, runs=source / "runs", cache=source / "cache", workers=1, shown=False)
    days: list[date] = open_run(summary.path).trades()["entry_date"].to_list()
    return days


def test_entries_follow_the_history(source: Path) -> None:
    assert entry_days(with_history(source), "history_iv > 0.3 and history_hv < 0.3") == DAYS[1:3]


def test_a_symbol_without_a_history_is_refused_where_a_predicate_asks_for_it(source: Path) -> None:
    with pytest.raises(SourceError, match=r"use history_iv_rank, but the source has no volatility_history for X"):
        entry_days(source, "history_iv_rank > 50")
    assert entry_days(source, "close > 1") == DAYS[:-1]
