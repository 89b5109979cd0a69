"""The command line as a person has it: commands, their answers, real processes."""

from __future__ import annotations

import fcntl
import logging
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from options_bt.cli import cli, main
from tests.small_run import SmallRun

PROGRAM = Path(sys.executable).parent / "options-bt"
ONE_YEAR = "name: year\nsymbols: [SPY]\nperiod: {start: 2019-01-01, end: 2019-06-30}\n"
SMALL_NEWS = [
    r"INFO \[options_bt\.runner\.coordinator\] Running 4 backtests in this process",
    r"INFO \[options_bt\.engine\] Backtest complete: 50 trades",
    r"INFO \[options_bt\.engine\] Backtest complete: 40 trades",
    r"INFO \[options_bt\.engine\] Backtest complete: 47 trades",
    r"INFO \[options_bt\.engine\] Backtest complete: 40 trades",
    r"INFO \[options_bt\.runner\.progress\] small-quick: 4/4 jobs \(100%\), .*best sharpe 2\.\d+ \(NVDA delta 0\.15\)",
    r"INFO \[options_bt\.runner\.run\] 4 of 4 backtests done, 0 failed",
]


class Answer(NamedTuple):
    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        return self.raw.decode()

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


Command = Callable[..., Answer]


@pytest.fixture
def command(
    small_run: SmallRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> Iterator[Command]:
    """Run a command line in this process and an empty folder, on the cache of the small run."""
    logger = logging.getLogger("options_bt")
    before = logger.handlers, logger.level, logger.propagate
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("OPTIONS_BT_CACHE", str(small_run.cache))
    monkeypatch.delenv("OPTIONS_BT_RUNS", raising=False)

    def call(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["options-bt", *map(str, arguments)])
        capsysbinary.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsysbinary.readouterr()
        return Answer(int(ended.value.code or 0), out, err.decode())

    yield call
    logger.handlers, logger.level, logger.propagate = before


def refused(answer: Answer, *parts: str) -> None:
    """Check that a command ended with 2 and one message that has these parts."""
    assert answer.code == 2
    assert answer.raw == b""
    assert "Traceback" not in answer.err
    for part in parts:
        assert part in answer.err


def written(text: str, name: str = "job.yaml") -> Path:
    path = Path(name)
    path.write_text(text)
    return path


def process(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command line as a user does."""
    line = [str(PROGRAM), *map(str, arguments)]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def commands(group: click.Group = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, one in group.commands.items():
        if isinstance(one, click.Group):
            yield from commands(one, (*path, name))
        else:
            yield (*path, name), one


def shown_on_terminal(line: list[str], cwd: Path, rows: int, columns: int, **environment: str) -> str:
    """Return what a command writes to a terminal of that size."""
    reader, writer = pty.openpty()
    fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    kept = {key: value for key, value in os.environ.items() if key not in ("LINES", "COLUMNS")}
    with subprocess.Popen(
        line, cwd=cwd, env=kept | environment, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer
    ):
        os.close(writer)
        shown = b""
        try:
            while part := os.read(reader, 65536):
                shown += part
        except OSError:  # how Linux says that the other end was closed
            os.close(reader)
    return shown.decode()
