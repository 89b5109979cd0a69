from __future__ import annotations

from pathlib import Path

import pytest

from options_bt.job.reading import read_job
from options_bt.job.schema import JobFile
from options_bt.runner.execution import batch
from options_bt.runner.run_folder.parts import batch_metadata


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that the tests of this room share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def job() -> JobFile:
    """24 backtests of one year of two symbols."""
    read, faults = read_job(
        {
            "name": "small",
            "symbols": ["NVDA", "SPY"],
            "period": {"start": "2024-01-01", "end": "2024-12-31"},
            "grid": {"delta": [0.15, 0.2, 0.25], "dte": ["21-30", "30-45"], "slippage": [0.0, 0.5]},
        }
    )
    assert read is not None, faults
    return read


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The jobs that are run from now on."""
    run_batch, jobs = batch.run_batch, list[str]()

    def counting(task: batch.Task, job: JobFile) -> batch.Result:
        result = run_batch(task, job)
        jobs.extend(batch_metadata(result.trades).jobs)
        return result

    monkeypatch.setattr("options_bt.runner.execution.batch.run_batch", counting)
    return jobs
