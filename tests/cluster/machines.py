"""Machines for a cluster: each a network namespace with an address of its own, and a folder of its own for its cache.

Where namespaces cannot be made, machines are addresses of the loopback, and being cut off is being stopped.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import psutil
import pytest

PROGRAM = Path(sys.executable).parent / "options-bt"
PORT = 8786
_NUMBER = os.getpid() % 250
SUBNET, LOOPBACK = f"10.77.{_NUMBER}", f"127.77.{_NUMBER}"
_networks = count()
QUICK = {
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "12s",
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "8s",
}
"""So that Dask notices within seconds what it would notice within half a minute."""


def require_ci() -> None:
    """Skip a test of several machines, which takes minutes, unless in CI."""
    if not os.environ.get("CI"):
        pytest.skip("starts a scheduler and workers in network namespaces; runs when CI is set")


def environment(**variables: str) -> dict[str, str]:
    """Return the environment of what runs on any machine."""
    return os.environ | QUICK | variables


class Machine:
    """One machine: where it is, and what runs on it."""

    def __init__(self, number: int, folder: Path, network: str | None) -> None:
        self.network = network
        self.address = f"{SUBNET if network else LOOPBACK}.{number}"
        self.name = f"{network}-{number}" if network else ""
        self.cache = folder / f"cache-{number}"
        self.log = folder / f"machine-{number}.log"
        self.processes: list[subprocess.Popen[bytes]] = []
        if network:
            _ip(f"netns add {self.name}")
            _ip(f"link add {self.name} type veth peer name eth0 netns {self.name}")
            _ip(f"link set {self.name} master {network} up")
            for command in ("link set lo up", f"addr add {self.address}/24 dev eth0", "link set eth0 up"):
                _ip(f"-n {self.name} {command}")

    def start(self, *command: str | Path, **variables: str) -> subprocess.Popen[bytes]:
        """Start a program on this machine."""
        inside = ["ip", "netns", "exec", self.name] if self.network else []
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [*inside, *map(str, command)],
                env=environment(**variables),
                stdout=log,
                stderr=log,
                cwd=self.log.parent,
            )
        self.processes.append(process)
        return process

    def start_scheduler(self, *more: str) -> str:
        """Start a scheduler; return its address."""
        dask = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
        self.start(*dask, "--host", self.address, "--port", str(PORT), "--no-dashboard", *more)
        until(lambda: _answers(self.address), "the scheduler answers")
        return f"tcp://{self.address}:{PORT}"

    def start_worker(self, scheduler: str, *more: str, **variables: str) -> None:
        """Start a worker for a scheduler."""
        options = ["--workers", "1", "--cache", str(self.cache), "--host", self.address, *more]
        self.start(PROGRAM, "worker", scheduler, *options, **variables)

    def worker_processes(self) -> list[psutil.Process]:
        """Return the processes that run batches, which those that watch over them have started."""
        nannies = [psutil.Process(process.pid) for process in self.processes if process.poll() is None]
        children = [child for nanny in nannies for child in nanny.children(recursive=True)]
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]

    def cut(self) -> None:
        """Cut this machine off from the others."""
        if self.network:
            _ip(f"link set {self.name} down")
        else:
            self._each(psutil.Process.suspend)

    def reconnect(self) -> None:
        """Undo a cut."""
        if self.network:
            _ip(f"link set {self.name} up")
        else:
            self._each(psutil.Process.resume)

    def kill(self) -> None:
        """End everything on this machine at once."""
        self._each(psutil.Process.kill)
        for process in self.processes:
            process.wait()
        self.processes.clear()

    def remove(self) -> None:
        """End everything, and take the machine away."""
        self.kill()
        if self.network:
            _ip(f"netns del {self.name}")

    def _each(self, act: Callable[[psutil.Process], object]) -> None:
        for process in self.processes:
            with suppress(psutil.NoSuchProcess):
                watched = psutil.Process(process.pid)
                for each in [watched, *watched.children(recursive=True)]:
                    with suppress(psutil.NoSuchProcess):
                        act(each)


@contextmanager
def machines(numbers: Sequence[int], folder: Path, *, apart: bool = True) -> Iterator[list[Machine]]:
    """Yield machines that reach each other and this process, in networks of their own where that is allowed."""
    network = _network() if apart else None
    made: list[Machine] = []
    try:
        for number in numbers:
            made.append(Machine(number, folder, network))
        yield made
    finally:
        for machine in made:
            machine.remove()
        if network:
            _ip(f"link del {network}")


def _network() -> str | None:
    """Make a bridge; None where that is not allowed."""
    # Never the same twice: the kernel takes a while to let go of a name.
    name = f"obt{os.getpid() % 100_000}.{next(_networks)}"
    try:
        for command in (f"netns add {name}", f"netns del {name}", f"link add {name} type bridge"):
            _ip(command)
    except (OSError, subprocess.CalledProcessError):
        return None
    _ip(f"addr add {SUBNET}.1/24 dev {name}")
    _ip(f"link set {name} up")
    return name


def _ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True, capture_output=True)


def _answers(address: str) -> bool:
    with suppress(OSError), socket.create_connection((address, PORT), timeout=1):
        return True
    return False


def until(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s until {what}"
        time.sleep(0.05)
