"""The inline executor: every task in this process, one after the other."""

from __future__ import annotations

from collections import deque

from options_bt.runner.execution.batch import Task, run_batch
from options_bt.runner.execution.executor import Brought, Finished, Lost


class Inline:
    """Runs tasks where it is called; a job that never ends or kills the process cannot be stopped here."""

    slots, place = 1, "this process"

    def __init__(self) -> None:
        self.brought = Brought()
        self._tasks: deque[Task] = deque()

    def submit(self, task: Task) -> None:
        """Keep a task for the next `wait`."""
        self._tasks.append(task)

    def wait(self, timeout: float) -> list[Finished | Lost]:
        """Run what was submitted."""
        return [_ended(self._tasks.popleft()) for _ in range(len(self._tasks))]

    def kill(self, number: int) -> None:
        """Do nothing: between two calls of `wait` no task runs."""

    def close(self) -> None:
        """Do nothing: there is no worker."""


def _ended(task: Task) -> Finished | Lost:
    try:
        return Finished(run_batch(task))
    except Exception as error:
        return Lost(task.number, f"{type(error).__name__}: {error}")
