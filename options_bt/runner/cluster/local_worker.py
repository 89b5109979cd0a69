"""Loaded by Dask into each worker process of a local cluster, in its main thread."""

from __future__ import annotations

import signal
from typing import Any


def dask_setup(worker: Any) -> None:
    """Leave Ctrl-C, which reaches the whole terminal, to the coordinator."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
