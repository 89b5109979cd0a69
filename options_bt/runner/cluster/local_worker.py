"""Loaded by Dask into each worker process of a local cluster, in its main thread."""

from __future__ import annotations

from typing import Any

from options_bt.runner.signals import ignore_interrupts


def dask_setup(worker: Any) -> None:
    """Leave Ctrl-C to the coordinator."""
    ignore_interrupts()
