"""A written job is read as the job that was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec import structs

from options_bt.job.load import load_job
from options_bt.job.reading import read_job
from options_bt.job.schema import JobFile
from options_bt.job.strategies import STRATEGIES
from options_bt.job.writing import written_job

JOBS = sorted((Path(__file__).parents[2] / "jobs").glob("*.yaml"))
BASE: dict[str, Any] = {"name": "x", "symbols": ["SPY", "ON"], "period": {"start": "2019-01-01", "end": "2024-12-31"}}
SHORT = {"name": "short", "right": "put", "side": "short", "delta": 0.3}
LONG = {"name": "long", "right": "put", "side": "long", "ratio": 2}
CALL = {"name": "call", "right": "call", "side": "short", "moneyness": 1.05}


def read_again(job: JobFile) -> JobFile:
    again, faults = read_job(yaml.safe_load(written_job(job)))
    assert again is not None, faults
    return again


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.stem)
@pytest.mark.parametrize("quick", [False, True])
def test_the_job_files_of_the_project(path: Path, quick: bool) -> None:
    job = load_job(path, quick=quick)
    assert read_again(job) == job


@pytest.mark.parametrize(
    "entries",
    [
        {"strategy": {"legs": [SHORT, LONG | {"width": 10, "of": "short", "inward": True}]}},
        {"strategy": {"legs": [SHORT, LONG | {"width_pct": 0.1, "of": "short"}, CALL], "name": "mine", "shares": 1}},
        {"strategy": {"legs": [CALL, LONG | {"right": "call", "same_strike": "call"}]}},
        {"strategy": {"legs": [SHORT, LONG | {"of": "short"}]}},
        {"strategy": {"arms": [{"when": "rsi_14 < 30", "strategy": "short_put"}, {"name": "b", "legs": [SHORT]}]}},
        {"grid": {"strategy": ["short_put", {"name": "mine", "legs": [SHORT]}], "profit_target": [0.5, None]}},
        {"grid": {"dte": ["30-45", "30-45@35", 7], "entry_every": ["any", ["mon", "wed"]]}},
        {"params": {"entry_when": "close < sma_20 and iv_rank > 0.5 -- ünïcode: 'yes'", "width_pct": 0.05}},
        {"windows": {"train": "2y", "test": "1y", "anchored": True}, "objective": "calmar", "run": {"workers": 2}},
        {"quick": {"start": "2023-01-01", "symbols": ["ON"]}},
        {"source": "files:/data/my chains", "columns": {"date": "quote_date"}},
    ],
    ids=str,
)
def test_every_kind_of_entry(entries: dict[str, Any]) -> None:
    job, faults = read_job(BASE | entries)
    assert job is not None, faults
    assert read_again(job) == job


def test_every_named_strategy_is_written_by_its_name() -> None:
    job, _ = read_job(BASE)
    assert job is not None
    for name, strategy in STRATEGIES.items():
        text = written_job(structs.replace(job, strategy=strategy))
        assert ("strategy" in text) == (name != "put_credit_spread")
        assert read_again(structs.replace(job, strategy=strategy)).strategy == strategy
