from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from options_bt.analysis.compare import compare
from options_bt.analysis.run_reader import open_run
from options_bt.engine import backtest
from options_bt.engine.backtest import Outcome, run_backtest
from options_bt.engine.encoding import encoded
from options_bt.errors import RunFolderError, StorageError
from options_bt.job.load import load_job
from options_bt.job.planner import Plan
from options_bt.job.schema import JobFile
from options_bt.job.spec import JobSpec
from options_bt.runner import coordinator
from options_bt.runner.execution import batch
from options_bt.runner.run import run_job
from options_bt.runner.run_folder import parts
from options_bt.runner.run_folder.ledger import Ledger

pytestmark = pytest.mark.slow

JOBS = Path(__file__).parents[2] / "jobs"


def named(job: JobFile, name: str) -> JobFile:
    return msgspec.structs.replace(job, name=name)


def test_any_number_of_workers_gives_the_same_bits(job: JobFile, cache: Path, tmp_path: Path) -> None:
    for workers in (1, 2, 4):
        summary = run_job(named(job, f"w{workers}"), runs=tmp_path, cache=cache, workers=workers, shown=False)
        assert (summary.done, summary.failed, summary.exit_code) == (24, 0, 0)
    one, two, four = (open_run(tmp_path / f"w{workers}") for workers in (1, 2, 4))
    assert compare(one, two).equal
    assert compare(one, four).equal
    assert one.results().equals(two.results())


def test_a_finished_run_is_not_run_again(job: JobFile, cache: Path, tmp_path: Path) -> None:
    summary = run_job(job, runs=tmp_path, cache=cache, workers=1, shown=False)
    before = (summary.path / "results.parquet").stat().st_mtime_ns
    again = run_job(job, runs=tmp_path, cache=cache, workers=1, shown=False)
    assert again._replace(times=summary.times) == summary
    assert (again.times.backtests, again.times.work) == (0, 0) < (summary.times.backtests, summary.times.work)
    assert (summary.path / "results.parquet").stat().st_mtime_ns == before


def test_an_error_in_one_job_is_recorded_and_the_others_go_on(
    job: JobFile, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails_sometimes(spec: JobSpec, market: Any) -> Outcome:
        if spec.params.delta == 0.2 and spec.params.slippage == 0.5 and spec.symbol == "SPY":
            raise ZeroDivisionError("a fault of the test")
        return run_backtest(spec, market)

    monkeypatch.setattr(batch, "run_backtest", fails_sometimes)
    summary = run_job(job, runs=tmp_path, cache=cache, workers=1, shown=False)
    assert (summary.done, summary.failed, summary.exit_code) == (22, 2, 1)
    run = open_run(summary.path)
    failed = run.results().filter(status="failed")
    assert failed.select("symbol", "delta", "sharpe").unique().rows() == [("SPY", 0.2, None)]
    assert {failure.job for failure in run.failures()} == set(failed["job"])
    assert all("a fault of the test" in failure.error for failure in run.failures())
    assert set(run.equity()["job"]) == set(run.results().filter(status="done")["job"])


def test_an_error_in_one_job_of_those_that_run_together_is_found(
    job: JobFile, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encoded_but_one(specs: Sequence[JobSpec], calendars: Sequence[int]) -> Any:
        if any(spec.params.delta == 0.2 and spec.params.slippage == 0.5 and spec.symbol == "SPY" for spec in specs):
            raise ZeroDivisionError("a fault of the test")
        return encoded(specs, calendars)

    only_metrics = msgspec.structs.replace(job, run=msgspec.structs.replace(job.run, keep="metrics"))
    whole = run_job(only_metrics, runs=tmp_path / "whole", cache=cache, workers=1, shown=False)
    monkeypatch.setattr(backtest, "encoded", encoded_but_one)
    summary = run_job(only_metrics, runs=tmp_path, cache=cache, workers=1, shown=False)
    assert (summary.done, summary.failed) == (22, 2)
    results, expected = open_run(summary.path).results(), open_run(whole.path).results()
    assert results.filter(status="done").equals(
        expected.filter(pl.col("job").is_in(results.filter(status="done")["job"].implode()))
    )
    assert all("a fault of the test" in failure.error for failure in open_run(summary.path).failures())


class Killed(BaseException):
    """Stands for the end of the coordinator's process."""


@pytest.mark.parametrize("dies_in", ["accept_parts", "record"])
def test_a_run_that_was_killed_goes_on_and_gives_the_same_bits(
    job: JobFile, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_in: str
) -> None:
    calls = 0

    def dying(original: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 3:
                raise Killed
            return original(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        if dies_in == "record":
            patch.setattr(Ledger, "record", dying(Ledger.record))
        else:
            patch.setattr(coordinator, "accept_parts", dying(parts.accept_parts))
        with pytest.raises(Killed):
            run_job(job, runs=tmp_path, cache=cache, workers=1, shown=False)
    half = open_run(tmp_path / "small")
    assert 0 < half.results().height < 24
    assert half.trades()["job"].n_unique() <= half.results().height
    summary = run_job(job, runs=tmp_path, cache=cache, workers=1, shown=False)
    assert summary.done == 24
    run_job(named(job, "undisturbed"), runs=tmp_path, cache=cache, workers=1, shown=False)
    assert compare(open_run(summary.path), open_run(tmp_path / "undisturbed")).equal
    stored = {path.name for path in (summary.path / "trades").iterdir()}
    ledger = Ledger(summary.path / "ledger.sqlite", read_only=True)
    assert stored == {f"part-{number:08d}.parquet" for number in ledger.batches()}
    ledger.close()


def test_a_full_disk_stops_the_run_and_keeps_what_was_done(
    job: JobFile, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    store_parts = parts.store_parts

    def full(folder: Path, number: int, trades: bytes, equity: bytes) -> None:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise StorageError(f"{folder}: cannot write: No space left on device")
        store_parts(folder, number, trades, equity)

    with monkeypatch.context() as patch:
        patch.setattr(batch, "store_parts", full)
        with pytest.raises(StorageError, match="No space left"):
            run_job(job, runs=tmp_path, cache=cache, workers=1, shown=False)
    assert open_run(tmp_path / "small").results().height > 0
    assert run_job(job, runs=tmp_path, cache=cache, workers=1, shown=False).done == 24


def test_another_job_of_the_same_name_is_refused_and_fresh_sets_the_old_run_aside(
    job: JobFile, cache: Path, tmp_path: Path
) -> None:
    run_job(job, runs=tmp_path, cache=cache, workers=1, shown=False)
    other = msgspec.structs.replace(job, grid=(("delta", (0.3,)),))
    with pytest.raises(RunFolderError, match=r"differs in grid.*--fresh.*--name"):
        run_job(other, runs=tmp_path, cache=cache, workers=1, shown=False)
    summary = run_job(other, runs=tmp_path, cache=cache, workers=1, fresh=True, shown=False)
    assert open_run(summary.path).results().height == 2
    (aside,) = (path for path in tmp_path.iterdir() if path.name.startswith("small."))
    assert open_run(aside).results().height == 24


def test_a_run_folder_has_one_owner(job: JobFile, cache: Path, tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from options_bt.runner.run_folder.folder import RunFolder\n"
            f"folder = RunFolder(Path({str(tmp_path / 'small')!r})); folder.claim(); print('claimed', flush=True)\n"
            "sys.stdin.read()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"claimed\n"
        with pytest.raises(RunFolderError, match="in use by another options-bt"):
            run_job(job, runs=tmp_path, cache=cache, workers=1, shown=False)
    finally:
        holder.kill()
        holder.wait()
    assert run_job(job, runs=tmp_path, cache=cache, workers=1, shown=False).done == 24


@pytest.mark.parametrize("executor", ["local", "dask"])
def test_walk_forward_of_the_examples_is_the_same_after_ctrl_c_and_resume(
    cache: Path, tmp_path: Path, executor: str
) -> None:
    job_file = JOBS / "walk_forward.yaml"
    command = [str(Path(sys.executable).parent / "options-bt"), "run", str(job_file), "--workers", "2", "-q"]
    # Enough more jobs that the interrupt finds the run in the middle.
    command += ["--set", f"slippage={[n / 100 for n in range(60)]}", "--symbol", "SPY", "--name", "stopped"]
    command += ["--runs", str(tmp_path), "--cache", str(cache), "--top", "0", "--executor", executor]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    ledger_file = tmp_path / "stopped" / "ledger.sqlite"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if ledger_file.is_file() and _entered(ledger_file) > 0:
            break
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # a terminal tells the workers too
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, (out, err)
    assert "Run the same command to resume" in err
    assert "Traceback" not in err
    left = open_run(tmp_path / "stopped").results().height
    assert 0 < left < 2400
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    job = load_job(job_file, symbols=["SPY"], name="whole", overrides=[f"slippage={[n / 100 for n in range(60)]}"])
    run_job(job, runs=tmp_path, cache=cache, workers=1, shown=False)
    assert compare(open_run(tmp_path / "stopped"), open_run(tmp_path / "whole")).equal


def _entered(ledger_file: Path) -> int:
    try:
        ledger = Ledger(ledger_file, read_only=True)
    except RunFolderError:
        return 0
    try:
        return ledger.counts()[0]
    except Exception:
        return 0
    finally:
        ledger.close()


def test_a_worker_killed_from_outside_costs_nothing_but_time(cache: Path, tmp_path: Path) -> None:
    import psutil

    slippages = [n / 200 for n in range(200)]
    job = load_job(JOBS / "delta.yaml", symbols=["SPY"], overrides=[f"slippage={slippages}"])
    command = [str(Path(sys.executable).parent / "options-bt"), "run", str(JOBS / "delta.yaml"), "--workers", "2", "-q"]
    command += ["--symbol", "SPY", "--set", f"slippage={slippages}", "--name", "killed", "--top", "0"]
    command += ["--runs", str(tmp_path), "--cache", str(cache)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    ledger_file = tmp_path / "killed" / "ledger.sqlite"
    while time.monotonic() < deadline and not (ledger_file.is_file() and _entered(ledger_file) > 0):
        time.sleep(0.02)
    workers = [c for c in psutil.Process(process.pid).children() if "spawn_main" in str(c.cmdline())]
    os.kill(workers[0].pid, signal.SIGKILL)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, (out, err)
    run_job(named(job, "whole"), runs=tmp_path, cache=cache, workers=1, shown=False)
    assert compare(open_run(tmp_path / "killed"), open_run(tmp_path / "whole")).equal
    messages = [json.loads(line)["message"] for line in (tmp_path / "killed" / "log.jsonl").read_text().splitlines()]
    assert any("killed by SIGKILL" in message for message in messages)


def test_results_stand_in_the_order_of_the_plan(job: JobFile, cache: Path, tmp_path: Path) -> None:
    summary = run_job(job, runs=tmp_path, cache=cache, workers=2, shown=False)
    run = open_run(summary.path)
    keys = run.results().select("symbol", "delta", "dte", "slippage").rows()
    assert keys == [(s.symbol, s.params.delta, s.params.dte, s.params.slippage) for s in Plan(job)]
    order = {name: place for place, name in enumerate(run.results()["job"])}
    places = [order[name] for name in run.trades()["job"]]
    assert places == sorted(places)
