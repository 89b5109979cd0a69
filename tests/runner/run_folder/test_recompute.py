"""Tables that a run did not keep are computed again, the same to the last bit, or it is said why they cannot be."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from polars.testing import assert_frame_equal

from options_bt.analysis import run_reader as opened
from options_bt.analysis.run_reader import Run, Table, open_run
from options_bt.engine.metrics import METRICS
from options_bt.errors import RunFolderError
from options_bt.job.spec import SEMANTICS_VERSION
from options_bt.runner.run import run_job
from tests.small_run import job_of

pytestmark = pytest.mark.slow

TABLES: tuple[Table, ...] = ("trades", "equity")
BY_TREND = {
    "name": "by_trend",
    "arms": [
        {"when": "close > sma_50", "strategy": "put_credit_spread"},
        {"when": "iv_rank > 30", "strategy": "iron_condor"},
    ],
}
STRATEGIES = ["put_credit_spread", "iron_butterfly", "short_strangle", "covered_call", BY_TREND]
SWEEP: dict[str, Any] = {
    "symbols": ["SPY", "NVDA"],
    "strategy": None,
    "grid": {"strategy": STRATEGIES, "max_positions": [1, 3]},
    "windows": {"train": "1y", "test": "6m"},
}


def ran(runs: Path, cache: Path, keep: str, **entries: Any) -> Run:
    job = job_of(**entries, name=keep.replace(" ", "-"), run={"keep": keep})
    return open_run(run_job(job, runs=runs, cache=cache, workers=1, shown=False).path, cache)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> tuple[Run, Run, Run]:
    """Five strategies in two windows of two symbols, that keep all, the best 7 and nothing."""
    folder = tmp_path_factory.mktemp("runs")
    return tuple(ran(folder, cache, keep, **SWEEP) for keep in ("all", "top 7", "metrics"))  # type: ignore[return-value]


@pytest.fixture
def bare(cache: Path, tmp_path: Path) -> Run:
    """Two backtests of SPY without tables."""
    return ran(tmp_path, cache, "metrics")


def test_what_is_computed_again_is_what_is_kept(runs: tuple[Run, Run, Run]) -> None:
    whole, best, none = runs
    assert whole.results().height == 80 and none.results().equals(whole.results())
    assert (whole.results()["trades"] > 0).sum() > 60
    for run in (best, none):
        assert_frame_equal(run.trades(), whole.trades(), check_exact=True)
        assert_frame_equal(run.equity(), whole.equity(), check_exact=True)


@pytest.mark.parametrize("table", TABLES)
def test_one_job_is_the_same_however_it_is_come_by(runs: tuple[Run, Run, Run], table: Table) -> None:
    whole, best, none = runs
    for job in whole.results()["job"]:
        ours, *theirs = (getattr(run, table)(job) for run in (whole, best, none))
        for other in theirs:
            assert_frame_equal(other, ours, check_exact=True)


def test_some_jobs_may_be_kept_and_others_not(runs: tuple[Run, Run, Run]) -> None:
    whole, best, _ = runs
    jobs = best.batches().sample(fraction=1.0, shuffle=True, seed=0)["job"].to_list()[:40]
    ours, theirs = (run.scan("equity", jobs).collect().sort("job", "date") for run in (whole, best))
    assert set(ours["job"]) == set(jobs)
    assert_frame_equal(ours, theirs, check_exact=True)


def test_a_market_that_is_gone_is_built_again(bare: Run, cache: Path, tmp_path: Path) -> None:
    before = bare.trades()
    copy = Path(shutil.copytree(cache, tmp_path / "cache"))
    shutil.rmtree(copy / "demo/market")
    again = open_run(bare.path, copy)
    assert again.trades().equals(before)
    assert (copy / "demo/market/SPY").is_dir()


def test_a_market_of_earlier_data_still_serves(bare: Run, cache: Path, tmp_path: Path) -> None:
    before = bare.trades()
    copy = Path(shutil.copytree(cache, tmp_path / "cache"))
    shutil.rmtree(copy / "demo/chain")
    shutil.rmtree(copy / "demo/manifest")
    (copy / "demo/manifest").mkdir()
    assert open_run(bare.path, copy).trades().equals(before)


def test_without_its_data_it_is_said_how_to_get_them(bare: Run, tmp_path: Path) -> None:
    run = open_run(bare.path, tmp_path / "empty")
    assert run.results().height == 2
    for table in (run.trades, run.equity):
        with pytest.raises(RunFolderError) as caught:
            table(run.results()["job"][0])
        text = str(caught.value)
        assert text.startswith(
            "metrics does not keep these trades and equity, and they cannot be computed again: SPY: "
        )
        assert f"not cached in {tmp_path / 'empty'}; run `options-bt data pull` with the job file" in text


def test_data_that_have_changed_are_refused(bare: Run, cache: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(cache, tmp_path / "cache"))
    bare.info = structs.replace(bare.info, fingerprints={"SPY": "0123456789abcdef"})
    changed = Run(bare.path, copy)
    changed.info = bare.info
    with pytest.raises(RunFolderError, match=r"SPY: the cached data differ: their fingerprint was 0123456789abcdef"):
        changed.trades()


def test_other_rules_are_refused(bare: Run) -> None:
    bare.info = structs.replace(bare.info, semantics=1)
    with pytest.raises(RunFolderError, match=f"made by rules of version 1, and this program has {SEMANTICS_VERSION}"):
        bare.equity()


def test_other_numbers_are_refused(bare: Run) -> None:
    with closing(sqlite3.connect(bare.path / "ledger.sqlite")) as connection:
        connection.execute("UPDATE job SET metrics = ?", (bytes(8 * len(METRICS)),))
        connection.commit()
    job = bare.results()["job"][0]
    with pytest.raises(RunFolderError, match=rf"{job} gives other metrics here than with python 3.*numpy .*--fresh"):
        bare.trades(job)


def test_more_than_can_be_computed_again_names_the_setting(
    runs: tuple[Run, Run, Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened, "MOST", 72)
    whole, best, _ = runs
    assert whole.trades().height > 0
    for table in (best.trades, best.equity):
        with pytest.raises(RunFolderError) as caught:
            table()
        assert "did not keep the trades and equity of 73 of these 80 backtests, and at most 72 are" in str(caught.value)
        assert "`run: {keep: all}`" in str(caught.value)
    assert best.trades(best.results()["job"][0]).columns == whole.trades().columns
