"""The rooms of docs/design.md: imports go only leftwards in the flow."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

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
