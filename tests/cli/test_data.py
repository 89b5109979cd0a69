"""The data commands."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from options_bt.analysis.run_reader import open_run
from tests.cli.terminal import ONE_YEAR, Command, refused, written
from tests.small_run import SmallRun, contents

# data


def test_data_is_pulled_listed_and_verified(command: Command) -> None:
    job = written(ONE_YEAR)
    pulled = command("data", "pull", job, "--cache", "cache")
    assert pulled.code == 0
    assert "INFO [options_bt.runner.preparing] Pulling SPY from demo: simulated market (sparse, seed 1)" in pulled.lines
    before = contents(Path("cache"))
    again = command("data", "pull", job, "--cache", "cache", "-q")
    assert (again.code, again.out) == (0, "")
    assert contents(Path("cache")) == before
    header, _, row = command("data", "ls", "--cache", "cache").lines
    shown = dict(zip(header.split(), row.split(), strict=False))
    assert (shown["source"], shown["symbol"], shown["first"], shown["last"]) == (
        "demo",
        "SPY",
        "2019-01-02",
        "2019-12-30",
    )
    assert int(shown["bytes"]) == sum(len(data) for name, data in before.items() if name.endswith(".parquet"))
    answer = command("data", "verify", "--cache", "cache")
    assert (answer.code, answer.out) == (0, "3 files and 1 built market checked, 0 damaged\n")


def test_an_empty_cache_is_listed_and_verified(command: Command) -> None:
    assert command("data", "ls", "--cache", "none").lines[0].split()[:2] == ["source", "symbol"]
    assert command("data", "verify", "--cache", "none") == (0, b"0 files and 0 built markets checked, 0 damaged\n", "")
    assert not Path("none").exists()


@pytest.fixture
def year(command: Command) -> Path:
    """A cache of one year of one symbol."""
    assert command("data", "pull", written(ONE_YEAR), "--cache", "cache", "-q").code == 0
    return Path("cache")


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("file", ["chain/SPY/2019.parquet", "closes/SPY.parquet", "splits/SPY.parquet"])
def test_a_flipped_bit_is_found_named_and_healed_by_the_next_pull(command: Command, year: Path, file: str) -> None:
    path = year / "demo" / file
    whole = path.read_bytes()
    flipped(path)
    answer = command("data", "verify", "--cache", year)
    assert answer.code == 1
    assert answer.lines == [
        f"{path} does not match its checksum",
        "3 files and 1 built market checked, 1 damaged; the next pull replaces them",
    ]
    assert command("data", "pull", Path("job.yaml"), "--cache", year).code == 0
    assert path.read_bytes() == whole
    assert command("data", "verify", "--cache", year).code == 0


def test_a_flipped_bit_is_found_before_a_market_is_built_from_it(command: Command, year: Path) -> None:
    shutil.rmtree(year / "demo/market")
    path = year / "demo/chain/SPY/2019.parquet"
    flipped(path)
    refused(
        command("run", "job.yaml", "--cache", year, "-q"),
        f"damaged cache: {path} does not match its checksum",
        "rerun the command",
    )
    assert command("run", "job.yaml", "--cache", year, "-q").code == 0
    assert open_run("runs/year").results()["status"].to_list() == ["done"]


def test_a_flipped_bit_in_a_market_is_found(command: Command, year: Path) -> None:
    (path,) = (year / "demo/market/SPY").glob("*/quotes.npy")
    flipped(path)
    answer = command("data", "verify", "--cache", year)
    assert answer.code == 1
    assert str(path) in answer.out


@pytest.mark.slow
def test_data_is_checked_rule_by_rule(command: Command, small_run: SmallRun) -> None:
    answer = command("data", "check", "SPY", "--cache", small_run.cache)
    assert answer.code == 0
    assert answer.lines[0].startswith("SPY from demo: simulated market (sparse, seed 1): ")
    counts = {
        line.split()[0]: int(line.split()[1]) for line in answer.lines if line.startswith(("crossed ", "expired "))
    }
    assert counts["crossed"] > 0 and counts["expired"] == 0
    assert "crossed: the ask is below the bid" in answer.lines
    assert not any(line.startswith("expired:") for line in answer.lines)
    assert command("data", "check", "SPYY", "--cache", small_run.cache).code == 2
