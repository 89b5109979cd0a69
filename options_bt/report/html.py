"""The page: all sections in one HTML file that needs no network."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from options_bt.analysis.run_reader import Run
from options_bt.errors import MissingExtraError
from options_bt.report.grids import heatmaps, sensitivity
from options_bt.report.headline import headline
from options_bt.report.jobs import curves, details, ranking
from options_bt.report.parts import Section, charts_of
from options_bt.report.quality import data_quality, failures, refusals
from options_bt.report.reproduction import reproduction
from options_bt.report.robustness import overfitting, walk_forward
from options_bt.report.run_data import RunData
from options_bt.storage import write_atomically

SECTIONS: tuple[Callable[[RunData], Section | None], ...] = (
    headline,
    ranking,
    heatmaps,
    sensitivity,
    curves,
    details,
    walk_forward,
    overfitting,
    failures,
    refusals,
    data_quality,
    reproduction,
)
"""Functions that return a section from the data of a run, or None where it has nothing to show."""


def sections_of(run: Run) -> list[Section]:
    """Return the sections of a run's page.

    Raises
    ------
    RunFolderError
        When no backtest has ended yet, or files are missing.
    """
    data = RunData(run)
    return [section for make in SECTIONS if (section := make(data)) is not None]


def page(run: Run) -> str:
    """Return the report of a run as one HTML page.

    The page contains everything it needs. Its Content-Security-Policy forbids all requests, and all scripts except its
    own two, which it lists by their hashes.

    Raises
    ------
    MissingExtraError
        Without plotly and jinja2.
    RunFolderError
        As in `sections_of`.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise MissingExtraError("Reports", str(error.name).partition(".")[0], "report") from None
    sections = sections_of(run)
    templates = files("options_bt.report") / "templates"
    scripts = [get_plotlyjs(), (templates / "report.js").read_text()]
    environment = Environment(
        loader=PackageLoader("options_bt.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}  # jinja's default would sort the keys
    return environment.get_template("page.html").render(
        title=run.job.name,
        version=version("options-bt"),
        made=datetime.now(UTC),
        sections=sections,
        figures={chart.id: chart.figure for chart in charts_of(sections)},
        style=(templates / "report.css").read_text(),
        scripts=scripts,
        hashes=" ".join(f"'sha256-{_digest(script)}'" for script in scripts),
    )


def _digest(script: str) -> str:
    return base64.b64encode(sha256(script.encode()).digest()).decode()


def write_report(run: Run, path: Path) -> None:
    """Write the report of a run to `path`.

    Raises
    ------
    MissingExtraError, RunFolderError
        As in `page`.
    StorageError
        When the file cannot be written.
    """
    write_atomically(path, page(run).encode())
