"""The rooms of docs/design.md: imports go only leftwards in the flow."""

from __future__ import annotations

import ast
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from options_bt.engine import kernel, legs, metrics, modelled, positions

PACKAGE = Path(__file__).parents[1] / "options_bt"
FLOW = ("job", "data", "engine", "runner", "analysis", "report")
MODULES = sorted(path for room in FLOW for path in (PACKAGE / room).rglob("*.py"))


def imported_rooms(module: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("options_bt."):
            rooms.add(node.module.split(".")[1])
    return rooms


@pytest.mark.parametrize("module", MODULES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_imports_go_only_leftwards(module: Path) -> None:
    own = FLOW.index(module.relative_to(PACKAGE).parts[0])
    allowed = {*FLOW[: own + 1], "errors", "storage"}
    assert imported_rooms(module) <= allowed


@pytest.mark.parametrize("module", sorted(PACKAGE.rglob("*.py")), ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_no_module_has_grown_past_500_lines(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= 500


COMPILED_IN = {
    legs: ("engine/compiling", "engine/records"),
    metrics: ("engine/compiling", "engine/records"),
    modelled: ("data/black_scholes", "data/market", "engine/compiling", "engine/records"),
    positions: (
        "data/black_scholes",
        "data/market",
        "engine/compiling",
        "engine/legs",
        "engine/modelled",
        "engine/records",
    ),
    kernel: (
        "data/black_scholes",
        "data/market",
        "engine/compiling",
        "engine/legs",
        "engine/metrics",
        "engine/modelled",
        "engine/positions",
        "engine/records",
    ),
}


@pytest.mark.parametrize("module", COMPILED_IN)
def test_compiled_code_says_what_it_was_compiled_with(module: Any) -> None:
    # Else numba would go on with a kernel that it compiled with the legs of an earlier version.
    sources = b"".join((PACKAGE / f"{name}.py").read_bytes() for name in COMPILED_IN[module])
    digest = sha256(sources).hexdigest()[:16]
    assert digest == module.COMPILED_WITH, f'set COMPILED_WITH = "{digest}" in {module.__file__}'
