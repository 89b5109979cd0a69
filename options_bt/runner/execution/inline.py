"""The inline executor: every task in this process, one after the other."""

from __future__ import annotations

from collections import deque

from options_bt.runner.execution.batch import Task, run_task
from options_bt.runner.execution.executor import Finished, Lost, TransferStats, ended


class Inline:
    """Runs tasks in `wait`; a job that never ends or kills the process cannot be stopped here."""

    slots, description = 1, "this process"

    def __init__(self) -> None:
        self.transfers = TransferStats()
        self._tasks: deque[Task] = deque()

    def submit(self, task: Task) -> None:
        """Keep a task for the next `wait`."""
        self._tasks.append(task)

    def wait(self, timeout: float) -> list[Finished | Lost]:
        """Run what was submitted."""
        tasks = [self._tasks.popleft() for _ in range(len(self._tasks))]
        return [ended(task.number, run_task(task)) for task in tasks]

    def kill(self, number: int) -> None:
        """Do nothing: no task runs between two calls of `wait`."""

    def close(self) -> None:
        """Do nothing: there is no worker."""
