"""Puts deliberate one-line faults into the engine and tells which test catches each: `make mutations`.

Every fault is made in a copy of the project, and the engine's tests run on it until the first one fails.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
TABLE = Path(__file__).with_name("mutations.md")


class Fault(NamedTuple):
    """A line of the engine, and what it is changed to."""

    what: str
    file: str
    line: str
    wrong: str


KERNEL, LIFECYCLE, LEGS, POSITIONS, MODELLED = "kernel.py", "lifecycle.py", "legs.py", "positions.py", "modelled.py"
FAULTS = (
    Fault("a split rounds strikes down", POSITIONS, "/ ratio * 100 + 0.5 + TOLERANCE) / 100", "/ ratio * 100) / 100"),
    Fault(
        "a split on the day of expiration is left out",
        LIFECYCLE,
        "action.date > position.expiration:",
        "action.date >= position.expiration:",
    ),
    Fault("yesterday's quote counts as today's", POSITIONS, "and chain.quotes[following].day == today:", ":"),
    Fault(
        "a stop loss counts from the premium alone",
        POSITIONS,
        "profit <= -rules.stop_loss * basis",
        "profit <= -rules.stop_loss",
    ),
    Fault(
        "a profit target wants a tick more",
        POSITIONS,
        "rules.profit_target * basis - TOLERANCE",
        "rules.profit_target * basis + 0.01",
    ),
    Fault(
        "exit_dte is a day late",
        POSITIONS,
        "position.expiration - date <= rules.exit_dte",
        "position.expiration - date < rules.exit_dte",
    ),
    Fault(
        "settlement uses the close of the day",
        LIFECYCLE,
        "position.close_exit = position.settlement",
        "position.close_exit = day.close",
    ),
    Fault(
        "commission is forgotten at the exit",
        LIFECYCLE,
        "position.fees += position.contracts * arm.contracts * rules.commission",
        "position.fees += 0.0",
    ),
    Fault(
        "sizes are taken from today's cash",
        KERNEL,
        "day, before, committed, position)",
        "day, state.cash, committed, position)",
    ),
    Fault(
        "margin of a new trade is not committed",
        KERNEL,
        "return slot.max_loss",
        "return 0.0",
    ),
    Fault("the day before the last has no entry", KERNEL, "len(equity) - 1:", "len(equity) - 2:"),
    Fault(
        "a slot is free when the last position closes, not the first",
        KERNEL,
        "day = min(day, open_slots[number].exit_day)",
        "day = max(day, open_slots[number].exit_day)",
    ),
    Fault("slippage is paid at the mid", LEGS, "mid + side * slippage * half_spread", "mid"),
    Fault(
        "of two expirations as near the later is taken",
        LEGS,
        "abs(dte - rules.dte_target) < distance - TOLERANCE",
        "abs(dte - rules.dte_target) <= distance + TOLERANCE",
    ),
    Fault("a short leg may be sold at a bid of zero", LEGS, "if rows[row].bid <= least_bid:", "if False:"),
    Fault("a put settles as a call", LEGS, "close - strike if right == CALL else strike - close", "close - strike"),
    Fault(
        "half of the margin of a naked call",
        LEGS,
        "0.2 * close - max(0.0, strike - close)",
        "0.1 * close - max(0.0, strike - close)",
    ),
    Fault(
        "a held position is modelled",
        POSITIONS,
        "has_model = rules.model_unquoted and",
        "has_model =",
    ),
    Fault(
        "a modelled exit is not told of",
        POSITIONS,
        "position.modelled_exit = source == MODELLED",
        "position.modelled_exit = False",
    ),
    Fault("smiles before the first expiration are not scaled", MODELLED, "* sqrt(after / years))", ")"),
    Fault(
        "volatilities are interpolated, not variances", MODELLED, "share * (after * variance -", "share * (variance -"
    ),
    Fault("a modelled spread has no floor", MODELLED, "max(spread * vega, LEAST_HALF_SPREAD)", "spread * vega"),
    Fault("a call is assigned for any dividend", POSITIONS, "and time_value < dividend.dividend - TOLERANCE", ""),
    Fault(
        "an assigned call costs its last mark",
        POSITIONS,
        "intrinsic(CALL, position.strike[number], dividend.close)\n            position.fees",
        "position.mid[number]\n            position.fees",
    ),
)


def caught_by(fault: Fault, folder: Path) -> str:
    """Return the test that fails first with a fault in a copy of the project; empty when none does."""
    path = folder / "options_bt" / "engine" / fault.file
    original = path.read_text()
    if original.count(fault.line) < 1:
        raise SystemExit(f"{fault.file} has no {fault.line!r} any more: correct benchmarks/mutations.py")
    path.write_text(original.replace(fault.line, fault.wrong, 1))
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "tests/engine"]
    output = subprocess.run(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": str(folder)}, capture_output=True, text=True
    ).stdout
    path.write_text(original)
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)
    return found.group(1) if found else ""


def main() -> None:
    """Try every fault, print and save the table; exit with 1 when one is not caught."""
    lines = ["# One-line faults in the engine, and the test that catches each", "", "| fault | caught by |"]
    lines.append("| --- | --- |")
    missed = 0
    with TemporaryDirectory() as place:
        folder = Path(place) / "main"
        left_out = shutil.ignore_patterns(".git", ".venv", "runs", "cache", "__pycache__", ".*_cache")
        shutil.copytree(ROOT, folder, ignore=left_out)
        if test := caught_by(Fault("none", KERNEL, "simulate", "simulate"), folder):
            raise SystemExit(f"{test} fails without any fault")
        for fault in FAULTS:
            test = caught_by(fault, folder)
            missed += not test
            lines.append(f"| {fault.what} | {test or '**nothing**'} |")
            print(lines[-1], flush=True)
    TABLE.write_text("\n".join(lines) + "\n")
    sys.exit(int(missed > 0))


if __name__ == "__main__":
    main()
