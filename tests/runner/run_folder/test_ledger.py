from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from options_bt.engine.metrics import METRICS
from options_bt.errors import RunFolderError
from options_bt.job.planner import Plan
from options_bt.job.schema import JobFile
from options_bt.runner.run_folder.ledger import Ledger
from options_bt.runner.run_folder.parts import Batch, BatchMetadata, Receipt


def record(
    ledger: Ledger, plan: Plan, number: int, positions: tuple[int, ...], errors: dict[int, str] | None = None
) -> None:
    metadata = BatchMetadata(
        batch=Batch(number=number, symbol="NVDA", positions=positions),
        jobs=tuple(f"job{position}" for position in positions),
        metrics=np.full((len(positions), len(METRICS)), float(number)).tobytes(),
        errors=errors or {},
        equity="",
    )
    ledger.record(Receipt(number=number, trades="", equity="", seconds=0.5), metadata, plan)


def test_knows_what_is_done_what_failed_and_in_what_order(tmp_path: Path, job: JobFile) -> None:
    plan = Plan(job)
    ledger = Ledger(tmp_path / "ledger.sqlite")
    record(ledger, plan, 3, (2, 3), {1: "Boom"})
    record(ledger, plan, 0, (0,))
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
    record(writer, Plan(job), 0, (0,))
    reader = Ledger(tmp_path / "ledger.sqlite", read_only=True)
    assert reader.counts() == (1, 0)
    reader.close()
    writer.close()


def test_a_missing_ledger_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"ledger\.sqlite"):
        Ledger(tmp_path / "ledger.sqlite", read_only=True)
