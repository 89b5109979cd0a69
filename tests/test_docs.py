"""Every command and job file that the docs show works, and every link leads somewhere."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from options_bt.cli import cli
from options_bt.job.parameters import FIELDS
from options_bt.job.predicates import FEATURES
from options_bt.job.reading import read_job
from options_bt.job.strategies import STRATEGIES
from tests.report.browser import require_chromium

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BIN = Path(sys.executable).parent
REPORT = sorted((ROOT / "options_bt" / "report").glob("*.py"))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.M | re.S)


def commands(page: Path) -> list[str]:
    return [line[2:] for block in blocks(page, "console") for line in block.splitlines() if line.startswith("$ ")]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(ROOT / "jobs", folder / "jobs")
    return folder


@cache
def check(command: str, workplace: Path) -> None:
    """Run a command, once however often it is shown."""
    words = shlex.split(command)
    assert words[0] == "options-bt", command
    done = subprocess.run([BIN / words[0], *words[1:]], cwd=workplace, capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), (command, done.stdout, done.stderr)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.stem)
def test_every_command_shown_works(page: Path, workplace: Path) -> None:
    for command in commands(page):
        if not command.startswith("make "):
            check(command, workplace)


def make_targets() -> list[str]:
    return re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.M)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["help", "grid", "delta", "dte", "walk-forward", "quick"])
def test_every_make_target_works(target: str, workplace: Path) -> None:
    places = {"OPTIONS_BT_RUNS": str(workplace / "runs"), "OPTIONS_BT_CACHE": str(workplace / "cache")}
    # The environment that runs the tests is taken as set up.
    command = ["make", "--old-file=setup", f"BIN={BIN}", target]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | places, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if target != "help":
        assert "by sharpe" in done.stdout
        assert "results.parquet" in done.stdout
        assert "report.html" in done.stdout


def test_the_make_commands_shown_are_targets() -> None:
    shown = {command.split()[1] for page in PAGES for command in commands(page) if command.startswith("make ")}
    assert shown <= set(make_targets())


@pytest.mark.slow
def test_the_example_of_every_help_works(workplace: Path) -> None:
    groups = [([], cli), (["data"], cli.commands["data"])]
    for path, group in groups:
        for name, command in group.commands.items():  # type: ignore[attr-defined]  # the two groups of the command line
            text = CliRunner().invoke(cli, [*path, name, "--help"]).output
            assert name in text
            if command.epilog and name not in ("show", "compare", "worker"):
                check(command.epilog, workplace)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_job_file_shown_is_valid(page: Path) -> None:
    whole = {"name": "shown", "symbols": ["SPY"], "period": {"start": "2020-01-01", "end": "2020-12-31"}}
    for block in blocks(page, "yaml"):
        _, faults = read_job(whole | yaml.safe_load(block))
        assert faults == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_contributors_are_sent_to_files_that_are_there() -> None:
    for path in re.findall(r"`((?:options_bt|tests|docs)/[^`]*)`", (ROOT / "CONTRIBUTING.md").read_text()):
        assert (ROOT / path).exists(), path


@pytest.mark.slow
@pytest.mark.browser
def test_the_example_prints_what_is_shown(workplace: Path) -> None:
    require_chromium()
    example = [sys.executable, str(ROOT / "docs" / "example.py")]
    done = subprocess.run(example, cwd=workplace, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"```\n{done.stdout}```\n" in (ROOT / "docs" / "report.md").read_text()
    for picture in ("heatmap", "equity"):
        assert (workplace / "example" / "images" / f"{picture}.svg").is_file()
        assert (ROOT / "docs" / f"example-{picture}.svg").is_file()


def test_every_section_of_a_report_is_documented() -> None:
    text = (ROOT / "docs" / "report.md").read_text()
    titles = re.findall(r"Section\(\s*\"[a-z-]+\",\s*\"([^\"]+)\"", "".join(map(Path.read_text, REPORT)))
    assert len(titles) == 12
    for title in titles:
        assert f"| {title} |" in text


def test_every_parameter_strategy_and_feature_is_documented() -> None:
    text = (ROOT / "docs" / "job-files.md").read_text()
    for name in (*FIELDS, *STRATEGIES, *FEATURES):
        assert f"`{name}`" in text, name
