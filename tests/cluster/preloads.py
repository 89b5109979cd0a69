"""Loaded by Dask into workers that are to misbehave; what they do wrong is in their environment."""

from __future__ import annotations

import os
from typing import Any

import psutil

from options_bt.job.schema import JobFile
from options_bt.runner.cluster import on_worker
from options_bt.runner.execution.batch import Result, Task, run_batch


def dask_setup(worker: Any) -> None:
    module: Any = on_worker
    if "OTHER_SEMANTICS" in os.environ:
        module.SEMANTICS_VERSION = 1000
    if "POISON" in os.environ:

        def poisoned(task: Task, job: JobFile) -> Result:
            if int(os.environ["POISON"]) in task.batch.positions:
                psutil.Process().kill()
            return run_batch(task, job)

        module.run_batch = poisoned
