"""The rooms of docs/design.md: imports go only leftwards in the flow, and never in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "options_bt"
FLOW = ("job", "data", "engine", "runner", "analysis", "report")
LINES = 500
"""More than this no module has."""


def modules() -> dict[str, Path]:
    """Return the file of each module of the package by its name."""
    paths = {path.relative_to(PACKAGE.parent).with_suffix(""): path for path in PACKAGE.rglob("*.py")}
    return {".".join(name.parts).removesuffix(".__init__"): path for name, path in paths.items()}


def imports(path: Path) -> Iterator[str]:
    """Yield the name of everything that a module imports, also for types only or within a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (each.name for each in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield from (f"{module}.{each.name}" for each in names)
            case ast.ImportFrom():
                raise AssertionError(f"{path}: a relative import")


def module_graph() -> dict[str, set[str]]:
    """Return which modules of the package each of them imports."""
    found = modules()

    def imported(name: str) -> str:
        return name if name in found else name.rpartition(".")[0]

    return {name: {imported(each) for each in imports(path)} & found.keys() - {name} for name, path in found.items()}


def room(module: str) -> str:
    return f"{module}.".split(".")[1]


def rightward(graph: Mapping[str, set[str]]) -> list[str]:
    """Return the imports of a room that lies to the right, or of a part that no room may use."""
    return [
        f"{name} imports {other}"
        for name, others in graph.items()
        if room(name) in FLOW
        for other in sorted(others)
        if room(other) not in (*FLOW[: FLOW.index(room(name)) + 1], "errors", "storage")
    ]


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """Return modules that import each other in turn; nothing where there are none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def test_imports_go_only_leftwards_through_modules_of_one_job() -> None:
    assert rightward(module_graph()) == []
    lines = {name: len(path.read_text().splitlines()) for name, path in modules().items()}
    assert {name: count for name, count in lines.items() if count > LINES} == {}


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert " -> ".join(circle(module_graph())) == ""
