"""Overfitting."""

from __future__ import annotations

from pathlib import Path

import pytest

from options_bt.analysis import run_reader
from options_bt.analysis.overfitting.statistics import overfitting
from options_bt.analysis.run_reader import open_run
from tests.cli.terminal import Command, refused
from tests.small_run import SmallRun, finished, job_of


def test_a_sentence_the_numbers_and_the_best_are_printed(command: Command, small_run: SmallRun) -> None:
    answer = command("overfitting", small_run.path, "--draws", 100)
    found = overfitting(open_run(small_run.path), draws=100)
    assert answer.code == 0
    assert answer.lines[0].startswith(("Likely luck", "Not clear", "Better than luck"))
    shown = {line.split("  ")[0]: line for line in answer.lines}
    assert f"{found.effective_trials:,.1f}" in shown["effective trials"]
    assert f"{found.top['dsr'][0]:.1%}" in shown["DSR"]
    assert f"{found.p_value:.3f}" in shown["SPA p-value"]
    assert found.cscv is not None
    assert f"{found.cscv.pbo:.1%}" in shown["PBO"]
    header, _, *rows = answer.lines[answer.lines.index("The best by Sharpe ratio, with 90% intervals:") + 1 :]
    assert header.split()[:6] == ["symbol", "delta", "trades", "sharpe", "sharpe_low", "sharpe_high"]
    assert [row.split()[0] for row in rows] == found.top["symbol"].to_list()


def test_only_so_many_are_printed(command: Command, small_run: SmallRun) -> None:
    lines = command("overfitting", small_run.path, "--draws", 100, "--top", 1).lines
    assert len(lines[lines.index("The best by Sharpe ratio, with 90% intervals:") :]) == 4


def test_the_seed_changes_the_drawn_histories_alone(command: Command, small_run: SmallRun) -> None:
    first, again, other = (
        command("overfitting", small_run.path, "--draws", 100, "--seed", seed).lines for seed in (1, 1, 2)
    )
    assert first == again != other
    assert [line for line in first if line.startswith("PBO")] == [line for line in other if line.startswith("PBO")]


def test_a_run_without_a_trade_has_too_little_data(command: Command, small_run: SmallRun, tmp_path: Path) -> None:
    run = finished(job_of(params={"min_credit": 1000.0}), tmp_path, small_run.cache)
    answer = command("overfitting", run.path)
    assert answer.code == 0
    assert answer.lines[0] == "Too little data: none of 2 trials has a Sharpe ratio."
    assert "The best" not in answer.out


@pytest.mark.parametrize("option", [("--top", 0), ("--draws", 99), ("--seed", -1)], ids=lambda option: option[0])
def test_wrong_options_are_refused(command: Command, small_run: SmallRun, option: tuple[str, int]) -> None:
    refused(command("overfitting", small_run.path, *option), f"'{option[0]}'", "is not in the range")


def test_no_such_run_is_refused(command: Command) -> None:
    refused(command("overfitting", "nowhere"), "nowhere")


def test_more_than_is_computed_again_is_refused_with_the_setting(
    command: Command, small_run: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_reader, "MOST", 1)
    bare = finished(job_of(run={"keep": "metrics"}), Path("runs"), small_run.cache)
    refused(
        command("overfitting", bare.path),
        "runs/two did not keep the trades and equity of 2 of these 2 backtests, and at most 1 are recomputed. Run its "
        "job file with `run: {keep: all}` to add them",
    )
