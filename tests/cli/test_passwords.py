"""A password is in no message and no file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from options_bt.analysis.run_reader import open_run
from options_bt.data.sources.demo import DemoSource
from options_bt.data.sources.mysql.dolt import DoltSource
from options_bt.runner import preparing
from tests.cli.terminal import ONE_YEAR, Command, written
from tests.small_run import JOB, contents

# passwords


def secrets_in(folder: Path) -> list[str]:
    return [name for name, data in contents(folder).items() if b"hunter2x" in data]


@pytest.mark.parametrize("name", ["run -v", "plan", "data pull"])
@pytest.mark.parametrize(
    "source",
    [
        "mysql://u:hunter2x@127.0.0.1:1",
        "mysql://u:sec%40hunter2x@127.0.0.1:1",
        "mysql://u:se/hunter2x@127.0.0.1:1",
        "mysql://u:hunter2x@127.0.0.1:port",
        "mysql://:hunter2x@127.0.0.1:1",
        "mysql://u:hunter2x@",
        "mysql:u:hunter2x@127.0.0.1:1",
        "mysql://u:${PASSWORD_OF_TEST}@127.0.0.1:1",
        "mysql://u:hunter2x@127.0.0.1:1?option=1",
        "${KIND_OF_TEST}://u:hunter2x@127.0.0.1:1",
    ],
)
def test_a_password_is_in_no_message(command: Command, monkeypatch: pytest.MonkeyPatch, name: str, source: str) -> None:
    monkeypatch.setenv("PASSWORD_OF_TEST", "hunter2x")
    monkeypatch.setenv("KIND_OF_TEST", "oracle")
    job = written(JOB.replace("source: demo", f"source: '{source}'"))
    answer = command(*name.split(), job, "--cache", "cache")
    assert answer.code == 2
    assert "hunter2x" not in answer.out + answer.err
    assert list(Path().iterdir()) == [job]


@pytest.mark.parametrize("source", ["[mysql://u:hunter2x@127.0.0.1:1]", "{url: mysql://u:hunter2x@127.0.0.1:1}"])
def test_a_password_is_in_no_message_about_a_source_that_is_no_text(command: Command, source: str) -> None:
    answer = command("plan", written(JOB.replace("source: demo", f"source: {source}")))
    assert answer.code == 2
    assert "hunter2x" not in answer.err


class Server(DoltSource):
    """A server that has the demo's data."""

    _demo = DemoSource("sparse", 1)
    version = "1"
    revision = ""
    symbols = _demo.symbols
    extent = _demo.extent
    chain = _demo.chain
    closes = _demo.closes
    splits = _demo.splits
    optional_tables = _demo.optional_tables
    rates = _demo.rates
    prefetch = _demo.prefetch


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(text: str, columns: Any) -> Server:
        return Server(os.path.expandvars(text))

    monkeypatch.setattr(preparing, "open_source", opened)


@pytest.mark.usefixtures("server")
def test_a_password_is_in_no_file_and_no_line_of_a_run(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD_OF_TEST", "also-hunter2x")
    for password in ("hunter2x", "${PASSWORD_OF_TEST}", "other"):
        job = written(ONE_YEAR + f"source: 'mysql://u:{password}@127.0.0.1:1'\n", "of.yaml")
        answer = command("run", job, "--cache", "cache", "-v")
        assert answer.code == 0
        # Another password is no other data: the finished run is found again.
        assert ("Running 1 backtests" in answer.out) == (password == "hunter2x")
        assert "Data: database options at 127.0.0.1:1" in answer.lines
        assert "hunter2x" not in answer.out + answer.err
        assert command("data", "pull", job, "--cache", "cache").code == 0
    job.unlink()
    (name,) = open_run("runs/year").results()["job"]
    for arguments in (("results", "runs/year"), ("show", "runs/year", name), ("data", "ls", "--cache", "cache")):
        answer = command(*arguments)
        assert answer.code == 0
        assert "hunter2x" not in answer.out + answer.err
    assert secrets_in(Path()) == []
    assert json.loads(Path("runs/year/run.json").read_text())["job"]["source"] == "mysql://u:***@127.0.0.1:1"
