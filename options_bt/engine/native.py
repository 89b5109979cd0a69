"""The compiled kernel: numba makes its machine code once a machine, and llvmlite alone loads it.

Importing numba takes longer than a grid of backtests, and 60 MB in each worker; so a run that finds the machine code of
its very sources does without.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from options_bt.data.market.market import Market
from options_bt.engine.encoding import Located
from options_bt.engine.workspace import Room, address
from options_bt.errors import StorageError
from options_bt.storage import write_atomically

logger = logging.getLogger(__name__)

_PACKAGE = Path(__file__).parents[1]
_ARGUMENTS = {"simulate": 27, "measure": 8}
"""How many addresses and counts each entry point takes, all of them of eight bytes."""
_SOURCES = ("data/market/market.py", "job/strategies.py")


class Entry(NamedTuple):
    """An entry point of the kernel: its name within its machine code."""

    name: str
    code: bytes


def simulate(market: Market, arms: Located, arm_today: NDArray[np.int64], first: int, room: Room, jobs: int) -> None:
    """Run `kernel.simulate`, compiled, on the first jobs of a room, which they fit into."""
    calendars, days = arm_today.shape
    if _compiles():
        at = room.at
        _functions()["simulate"](
            *market.located,
            *(at["jobs"], jobs, *arms.at),
            *(address(arm_today), calendars, days, first, at["states"], at["book"], len(room.book)),
            *(at["positions"], at["equity"], at["open_positions"], at["margin"]),
        )
        return
    from options_bt.engine.kernel import simulate as interpreted

    with np.errstate(all="ignore"):  # as compiled
        interpreted(
            market.chain,
            room.jobs[:jobs].view(np.recarray),
            arms.arms,
            arm_today,
            first,
            room.states.view(np.recarray),
            room.book.view(np.recarray),
            room.positions.view(np.recarray),
            room.equity_of(jobs, days),
            room.open_positions,
            room.margin,
        )


def measure(room: Room, jobs: int, days: int, span: int, metrics: NDArray[np.float64]) -> None:
    """Run `measures.measure`, compiled, on the first jobs of a room and the first days of each."""
    if _compiles():
        at = room.at
        _functions()["measure"](
            at["states"], at["jobs"], jobs, at["equity"], days, span, at["returns"], address(metrics)
        )
        return
    from options_bt.engine.measures import measure as interpreted

    states, rules = (records[:jobs].view(np.recarray) for records in (room.states, room.jobs))
    interpreted(states, rules, room.equity_of(jobs, days), span, room.returns[:days], metrics)


def warm_up() -> None:
    """Load the compiled engine, or compile it now if this machine has not yet."""
    if _compiles():
        _functions()


def is_compiled() -> bool:
    """Return whether the engine needs no compiling any more."""
    return not _compiles() or any(path.is_file() for path in _places())


def _compiles() -> bool:
    return os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"


@cache
def _functions() -> dict[str, Callable[..., None]]:
    """Return the entry points, each as a function of addresses and counts."""
    entries = _entries()
    return {
        what: ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * arguments)(_loaded(entries[what]))
        for what, arguments in _ARGUMENTS.items()
    }


def _loaded(entry: Entry) -> int:
    """Return the address of an entry point."""
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_default_triple().create_target_machine()
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), machine)
    engine.add_object_file(binding.ObjectFileRef.from_data(entry.code))
    engine.finalize_object()
    _kept.append(engine)
    address: int = engine.get_function_address(entry.name)
    return address


_kept: list[Any] = []
"""What holds the machine code."""


def _entries() -> dict[str, Entry]:
    """Return the entry points: from the file of this machine, or compiled now and kept for the next process."""
    places = _places()
    for path in places:
        try:
            return msgspec.msgpack.decode(path.read_bytes(), type=dict[str, Entry])
        except (OSError, msgspec.DecodeError):
            continue
    logger.info("Compiling the engine for this machine; it takes about half a minute and happens once")
    from options_bt.engine.entries import entries

    compiled = entries()
    for path in places:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, msgspec.msgpack.encode(compiled))
            break
        except (OSError, StorageError):  # a package that somebody else has installed
            continue
    else:
        logger.warning(
            "The compiled engine could not be kept in %s, and will be compiled again by every process; set "
            "NUMBA_CACHE_DIR to a folder that can be written",
            " or ".join(str(path.parent) for path in places),
        )
    return compiled


def _places() -> list[Path]:
    """Return where the machine code may lie: beside the sources, else with the user's other caches."""
    name = f"kernel-{_key()}.msgpack"
    if given := os.environ.get("NUMBA_CACHE_DIR"):
        return [Path(given) / name]
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return [Path(__file__).parent / "__pycache__" / name, home / "options-bt" / name]


@cache
def _key() -> str:
    """Return what machine code is good for: these sources, this compiler and this processor."""
    from llvmlite import binding

    about = [version("numba"), version("llvmlite"), np.__version__, sys.version, binding.get_host_cpu_name()]
    return _hash(*about, binding.get_host_cpu_features().flatten(), source_hash())


def source_hash() -> str:
    """Return a hash of the engine's sources: where it is the same, backtests are the same."""
    sources = [*sorted(Path(__file__).parent.glob("*.py")), *(_PACKAGE / name for name in _SOURCES)]
    return _hash(*(path.read_text() for path in sources))


def _hash(*texts: str) -> str:
    return sha256("\n".join(texts).encode()).hexdigest()[:16]
