"""Memory: how much a process holds and held at most, and how much the machine has left."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import psutil

_PEAK = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


def reset_peak() -> None:
    """Begin to count this process's peak anew; only Linux can."""
    with suppress(OSError):
        _PEAK.write_text("5")


def peak_memory() -> int:
    """Return the bytes that this process held at most: since `reset_peak` on Linux, elsewhere in all."""
    with suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().rss)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def held_memory() -> int:
    """Return the bytes that this process and the ones below it hold now; what they share counts for each."""
    this = psutil.Process()
    total = 0
    for process in (this, *this.children(recursive=True)):
        with suppress(psutil.Error):  # it has ended
            total += int(process.memory_info().rss)
    return total


def memory_floor() -> int:
    """Return the bytes of memory that a run leaves free: a twentieth of the machine's, half a gigabyte at most."""
    return min(int(psutil.virtual_memory().total) // 20, 500_000_000)


def free_memory() -> int:
    """Return the bytes that can be had without swapping, in a container no more than its limit leaves."""
    free = int(psutil.virtual_memory().available)
    for limit, used in _CGROUPS:
        with suppress(OSError, ValueError):  # absent, or "max"
            free = min(free, int(Path(limit).read_text()) - int(Path(used).read_text()))
    return free


_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
