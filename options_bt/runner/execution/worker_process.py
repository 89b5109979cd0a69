"""What a worker process is started with, and what it does before its first task."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from options_bt.runner.signals import ignore_interrupts

_THREADS = ("POLARS_MAX_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
ONE_THREAD = dict.fromkeys(_THREADS, "1")
"""The variables that a worker process is started with: workers are as many as there are cores for threads."""


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables while the block runs; a process that it starts inherits them."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def initialize_worker() -> None:
    """Leave Ctrl-C to the coordinator, and end this process when the coordinator ends."""
    ignore_interrupts()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_exit_with, args=(parent,), daemon=True).start()


def _exit_with(parent: BaseProcess) -> None:
    with suppress(OSError):
        wait([parent.sentinel])
    os._exit(1)
