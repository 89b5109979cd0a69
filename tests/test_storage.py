from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_bt.errors import StorageError
from options_bt.storage import new_folder, storage_errors, write_atomically


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def disk_full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@given(old=st.binary(max_size=50), new=st.binary(max_size=50))
def test_a_file_is_replaced_as_a_whole_and_nothing_else_is_left(
    tmp_path_factory: pytest.TempPathFactory, old: bytes, new: bytes
) -> None:
    folder = tmp_path_factory.mktemp("storage")
    for data in (old, new):
        write_atomically(folder / "file", data)
        assert (folder / "file").read_bytes() == data
    assert names(folder) == ["file"]


def test_missing_folders_are_made(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a" / "b" / "file", b"x")
    assert (tmp_path / "a" / "b" / "file").read_bytes() == b"x"


def test_a_full_disk_keeps_the_old_file_and_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(StorageError, match="free some space, then rerun the command") as caught:
        write_atomically(path, b"new")
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 3
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_an_interrupted_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "file"
    write_atomically(path, b"old")
    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"in the way")
    with pytest.raises(StorageError, match="cannot write: Not a directory; check the disk and its permissions"):
        write_atomically(tmp_path / "file" / "below", b"x")


def test_a_folder_appears_when_its_block_ends_well(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "folder"
    with new_folder(target) as temporary:
        (temporary / "a").write_text("new")
        assert not target.exists()
    assert (target / "a").read_text() == "new"
    assert names(target.parent) == ["folder"]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with new_folder(tmp_path / "folder") as temporary:
            (temporary / name).write_text(name)
    assert names(tmp_path / "folder") == ["b"]
    assert names(tmp_path) == ["folder"]


@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_whose_block_fails_leaves_things_as_they_were(tmp_path: Path, exists: bool) -> None:
    if exists:
        with new_folder(tmp_path / "folder") as temporary:
            (temporary / "old").write_text("old")
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "folder") as temporary:
        (temporary / "new").write_text("new")
        raise ZeroDivisionError
    assert names(tmp_path) == (["folder"] if exists else [])
    assert not exists or names(tmp_path / "folder") == ["old"]


def test_a_refusal_while_filling_a_folder_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No space left on device; free some space"), new_folder(tmp_path / "folder"):
        disk_full()
    assert names(tmp_path) == []


def test_errors_that_are_not_the_disks_pass_unchanged(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mine"), storage_errors(tmp_path):
        raise ValueError("mine")
