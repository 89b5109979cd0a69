"""What the examples in docstrings may use besides what they import."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def _example_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Any]:
    import options_bt

    job = options_bt.load_job("jobs/delta.yaml", symbols=["SPY"], quick=True, overrides=["delta=[0.15, 0.25]"])
    run = options_bt.run(job, workers=1, runs=tmp_path_factory.mktemp("runs"))
    return lambda: run


@pytest.fixture(autouse=True)
def _names_of_examples(
    request: pytest.FixtureRequest, doctest_namespace: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.chdir(Path(__file__).parent)
        doctest_namespace["example_run"] = request.getfixturevalue("_example_run")
