"""Ctrl-C and SIGTERM: the coordinator answers the first, the second ends everything.

Ctrl-C reaches every process of the terminal; workers leave it to the coordinator.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType


@contextmanager
def caught_signals() -> Iterator[list[int]]:
    """Yield a list to which the first Ctrl-C or SIGTERM is added; the second raises KeyboardInterrupt."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def receive(number: int, frame: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    before = {number: signal.signal(number, receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def hold_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back, for good from a process that starts meanwhile."""
    if sys.platform == "win32":  # it has no signal masks
        yield
        return
    # It starts with the first process, and lets Ctrl-C through again when it has.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_interrupts() -> None:
    """Leave Ctrl-C to the coordinator, in a worker where it was held back since before its imports."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Ignoring is not enough: while polars collects, it answers Ctrl-C whatever the process has said.
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
