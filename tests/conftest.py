from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

from options_bt.engine.compiling import warm_up
from options_bt.job.load import load_job
from options_bt.runner.run import run_job
from tests.data.servers import SERVERS
from tests.small_run import JOB, SmallRun

SHARED = Path(__file__).resolve().parents[2] / "shared"

# A busy machine is no failure: hypothesis would call a test flaky that took longer the second time.
settings.register_profile("options-bt", deadline=None)
settings.load_profile("options-bt")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Compile the engine before the processes that share numba's cache start, or each would compile it."""
    warm_up()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show how many tests ran against which server, and what tests have counted."""
    passed = terminalreporter.stats.get("passed", [])
    for kind in SERVERS:
        if count := sum(bool(re.search(rf"[\[-]{kind}[]-]", report.nodeid)) for report in passed):
            terminalreporter.write_line(f"tests passed against {kind}: {count}")
    counted: Counter[str] = Counter()
    for report in passed:
        counted.update(dict(report.user_properties))
    for what, count in counted.items():
        terminalreporter.write_line(f"{what}: {count:,}")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real quotes, in the layout of the `files:` source."""
    folder = SHARED / "data" / "real"
    if not (folder / "option_chain.parquet").is_file():
        reason = (
            f"no real quotes in {folder}: put option_chain.parquet and ohlcv.parquet there, "
            "made from the iVolatility samples of github.com/sirnfs/OptionSuite in DoltHub's column names"
        )
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    """A finished run of four backtests, SPY and NVDA with two deltas each; copy it before changing it."""
    folder = tmp_path_factory.mktemp("small")
    jobfile, cache = folder / "small.yaml", folder / "cache"
    jobfile.write_text(JOB)
    summary = run_job(load_job(jobfile, quick=True), runs=folder / "runs", cache=cache, workers=1, shown=False)
    return SmallRun(jobfile, summary.path, cache)
