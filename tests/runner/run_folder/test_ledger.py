from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from options_bt.engine.metrics import METRICS
from options_bt.errors import RunFolderError
from options_bt.job.planner import Plan
from options_bt.job.schema import JobFile
from options_bt.runner.execution.batch import Batch, Result
from options_bt.runner.run_folder.ledger import Ledger


def result(number: int, jobs: tuple[str, ...], errors: dict[int, str] | None = None) -> Result:
    metrics = np.full((len(jobs), len(METRICS)), float(number)).tobytes()
    return Result(number=number, jobs=jobs, metrics=metrics, errors=errors or {}, trades=b"", equity=b"", seconds=0.5)


def test_knows_what_is_done_what_failed_and_in_what_order(tmp_path: Path, job: JobFile) -> None:
    plan = Plan(job)
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.record(Batch(number=3, symbol="NVDA", positions=(2, 3)), result(3, ("job2", "job3"), {1: "Boom"}), plan)
    ledger.record(Batch(number=0, symbol="NVDA", positions=(0,)), result(0, ("job0",)), plan)
    ledger.quarantine(1, "job1", plan[1], 2, "killed by SIGSEGV")
    assert ledger.counts() == (2, 2)
    assert ledger.done(6).tolist() == [True, True, True, True, False, False]
    assert ledger.next_batch() == 4
    assert ledger.batches() == [0, 3]
    ((positions, ids, states, metrics),) = ledger.rows()
    assert positions == [0, 1, 2, 3]
    assert ids == ["job0", "job1", "job2", "job3"]
    assert states == ["done", "failed", "done", "failed"]
    assert metrics[2, 0] == 3.0
    assert np.isnan(metrics[1]).all()
    failures = ledger.failures()
    assert [(f.position, f.attempts, f.error) for f in failures] == [(1, 2, "killed by SIGSEGV"), (3, 1, "Boom")]
    assert '"symbol":"NVDA"' in failures[0].spec
    ledger.close()


def test_can_be_read_while_it_is_written(tmp_path: Path, job: JobFile) -> None:
    writer = Ledger(tmp_path / "ledger.sqlite")
    writer.record(Batch(number=0, symbol="NVDA", positions=(0,)), result(0, ("job0",)), Plan(job))
    reader = Ledger(tmp_path / "ledger.sqlite", read_only=True)
    assert reader.counts() == (1, 0)
    reader.close()
    writer.close()


def test_a_missing_ledger_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"ledger\.sqlite"):
        Ledger(tmp_path / "ledger.sqlite", read_only=True)
