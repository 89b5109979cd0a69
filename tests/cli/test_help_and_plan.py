"""Help and plan."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from options_bt.cli import cli
from tests.cli.terminal import Command, commands
from tests.small_run import SmallRun

# help


@pytest.mark.parametrize(("path", "one"), list(commands()), ids=[" ".join(path) for path, _ in commands()])
def test_the_help_of_every_command_ends_with_an_example_that_parses(
    command: Command, path: tuple[str, ...], one: click.Command
) -> None:
    answer = command(*path, "--help")
    assert answer.code == 0
    title, example = answer.lines[-2:]
    assert title == "Example:"
    words = shlex.split(example)
    assert words[: len(path) + 1] == ["options-bt", *path]
    one.make_context(path[-1], words[len(path) + 1 :])


def test_the_help_lists_every_command_with_what_it_does(command: Command) -> None:
    answer = command("-h")
    assert answer.code == 0
    for name, one in cli.commands.items():
        assert any(line.split() and line.split()[0] == name and len(line.split()) > 3 for line in answer.lines), name
        assert one.help


@pytest.mark.parametrize("arguments", [(), ("data",)], ids=["nothing", "data"])
def test_without_a_command_the_help_is_shown(command: Command, arguments: tuple[str, ...]) -> None:
    answer = command(*arguments)
    assert answer.code == 2
    assert "Commands:" in answer.err + answer.out


def test_the_version_is_shown(command: Command) -> None:
    answer = command("--version")
    assert answer.code == 0
    assert re.search(r"\d+\.\d+", answer.out)


# plan


def test_plan_shows_what_would_run_and_writes_nothing(command: Command, small_run: SmallRun) -> None:
    answer = command("plan", small_run.jobfile, "--quick", "--workers", 1)
    assert answer.code == 0
    assert answer.lines[0] == "small-quick: 4 backtests from 2023-01-01 to 2024-12-31"
    assert "  symbols   2 symbols x 2 backtests: SPY, NVDA" in answer.lines
    assert re.search(r"data +2021 to 2024; 8 of 8 symbol-years are cached \([\d,]+ quotes\)$", answer.out, re.M)
    assert re.search(r"estimate +\d+ s with 1 worker, \d+ MB of memory", answer.out)
    assert answer.lines[-4:] == [
        f"  {number:>4}  {symbol} 2023-01-01..2024-12-31 put_credit_spread delta={delta}"
        for number, (symbol, delta) in enumerate((s, d) for s in ("SPY", "NVDA") for d in (0.15, 0.25))
    ]
    assert list(Path().iterdir()) == []


def test_plan_of_an_empty_cache_says_what_would_be_pulled_and_makes_no_folder(
    command: Command, small_run: SmallRun
) -> None:
    answer = command("plan", small_run.jobfile, "--quick", "--symbol", "SPY", "--cache", "mine", "--first", 1)
    assert answer.code == 0
    assert "0 of 4 symbol-years are cached (0 quotes), 4 to pull" in answer.out
    assert answer.lines[-2:] == ["first 1:", answer.lines[-1]]
    assert list(Path().iterdir()) == []


def test_plan_takes_what_run_takes(command: Command, small_run: SmallRun) -> None:
    options = ["--symbol", "NVDA", "--set", "width=[2, 5]", "--set", "commission=1", "--name", "wide", "--workers", 3]
    answer = command("plan", small_run.jobfile, *options)
    assert answer.lines[0] == "wide: 4 backtests from 2019-01-01 to 2024-12-31"
    assert "  axis      width: 2.0, 5.0" in answer.lines
    assert "symbol x 4 backtests: NVDA" in answer.out


# doctor


@pytest.mark.parametrize("options", [[], ["--symbol", "SPYY"]], ids=["ready", "failed"])
def test_plan_with_check_is_doctor(command: Command, small_run: SmallRun, options: list[str]) -> None:
    line = [small_run.jobfile, "--quick", *options]
    plan, doctor = (command(*name, *line) for name in (["plan", "--check"], ["doctor"]))

    def but_for_free_memory(text: str) -> str:
        return re.sub(r"[\d,]+ MB free", "", text)

    assert but_for_free_memory(plan.out) == but_for_free_memory(doctor.out)
    assert plan.code == doctor.code == (2 if options else 0)
    assert (plan.err, doctor.err) == ("", "")
    advice = "fix the failed checks and rerun doctor" if options else "ready to run"
    assert doctor.lines[-1].endswith(advice)
    assert list(Path().iterdir()) == []
