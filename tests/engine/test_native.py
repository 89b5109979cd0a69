"""The machine code of the kernel: kept in a file, and made anew where that does not help."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from options_bt.analysis.compare import compare
from options_bt.analysis.run_reader import open_run
from options_bt.engine import entries, native
from options_bt.engine.native import Entry
from tests.small_run import SmallRun

MADE = {"simulate": Entry("one", b"code"), "measure": Entry("other", b"more")}


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often the kernel was compiled from now on, into a folder of its own."""
    times: list[int] = []

    def compiling() -> dict[str, Entry]:
        times.append(1)
        return MADE

    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(entries, "entries", compiling)
    return times


def test_machine_code_is_made_once(compiled: list[int]) -> None:
    assert not native.is_compiled()
    assert native._entries() == native._entries() == MADE
    assert (len(compiled), native.is_compiled()) == (1, True)


def test_a_damaged_file_is_written_anew(compiled: list[int], tmp_path: Path) -> None:
    native._entries()
    (path,) = tmp_path.glob("kernel-*.msgpack")
    for damaged in (b"", path.read_bytes()[:-2], msgspec.msgpack.encode({"simulate": 1})):
        path.write_bytes(damaged)
        assert native._entries() == MADE
    assert len(compiled) == 4


def test_without_a_folder_to_write_to_it_is_compiled_all_the_same_and_says_so(
    compiled: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    assert native._entries() == MADE
    assert compiled == [1]
    assert "set NUMBA_CACHE_DIR to a folder" in caplog.text


def test_plain_python_gives_what_the_machine_code_gives(small_run: SmallRun, tmp_path: Path) -> None:
    command = [
        str(Path(sys.executable).with_name("options-bt")),
        "run",
        str(small_run.jobfile),
        "--quick",
        "--runs",
        str(tmp_path),
    ]
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([*command, "--cache", str(small_run.cache)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert compare(open_run(small_run.path), open_run(tmp_path / small_run.path.name)).equal


def test_machine_code_is_that_of_its_sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = native.source_hash()
    monkeypatch.setattr(native, "_SOURCES", native._SOURCES[:-1])
    assert native.source_hash() != before
