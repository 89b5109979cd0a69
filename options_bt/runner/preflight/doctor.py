"""Every check before a run, for `options-bt doctor` and `options-bt plan --check`."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path

from psutil import virtual_memory

from options_bt.errors import JobFileError, OptionsBtError, RunFolderError
from options_bt.job.planner import Plan
from options_bt.job.schema import JobFile
from options_bt.runner.memory import free_memory
from options_bt.runner.preflight.checks import Check, counted, warnings_logged_by, writable
from options_bt.runner.preflight.data_checks import data_checks
from options_bt.runner.preflight.estimate import Estimate, core_count, estimated
from options_bt.runner.preflight.need import QUOTES_PER_YEAR
from options_bt.runner.run_folder.folder import RunFolder, differences, run_info


def doctor(
    load_job: Callable[[], JobFile], *, runs: Path, cache: Path, workers: int | str | None = None
) -> Iterator[Check]:
    """Check everything that a run needs; only the compiled engine is written, into its own cache.

    Parameters
    ----------
    load_job : callable
        Returns the job, or raises what is wrong with its file.
    runs, cache : Path
        Folders of the runs and of the cached data.
    workers : int or 'auto', optional
        Overrides the job's own.

    Yields
    ------
    Check
        As soon as it is done. Where the job file or the source is wrong, the checks that depend on it are left out,
        and a warning names them.
    """
    job = yield from _job_checks(load_job)
    if job is None:
        left_out = "source, period, symbols, run folder, memory and workers"
        yield Check("warning", "others", f"not checked without a valid job file: {left_out}")
        yield writable("cache", cache)
        yield writable("runs", runs)
        yield engine_check()
        return
    plan = Plan(job)
    need = yield from data_checks(plan, cache)
    yield run_folder_check(plan, runs, need.fingerprints if need else {})
    yield engine_check()
    # Without an answer from the source, all data counts as missing from the cache.
    quotes = need.quotes if need else len(job.symbols) * len(plan.years) * QUOTES_PER_YEAR
    cost = estimated(plan, len(plan), quotes, workers or job.run.workers)
    yield memory_check(cost, free_memory(), virtual_memory().total)
    yield workers_check(cost, core_count())


def _job_checks(load_job: Callable[[], JobFile]) -> Generator[Check, None, JobFile | None]:
    """Yield a check for each fault of the job file; return the job, or None when there are faults."""
    try:
        job = load_job()
    except JobFileError as error:
        for fault in error.faults:
            yield Check("failed", "job file", f"{error.file}: {fault}")
        return None
    except OptionsBtError as error:
        yield Check("failed", "job file", str(error))
        return None
    size = f"{counted(len(Plan(job)), 'backtest')} of {counted(len(job.symbols), 'symbol')}"
    yield Check("ok", "job file", f"{job.name}: {size}, {job.period.start} to {job.period.end}")
    return job


def run_folder_check(plan: Plan, runs: Path, fingerprints: Mapping[str, str]) -> Check:
    """Check that the run folder is writable and holds no other run; data without a fingerprint counts as unchanged."""
    folder = RunFolder(runs / plan.job.name)
    found = writable("runs", folder.path)
    if found.state == "failed":
        return found
    if folder.in_use():
        return Check("failed", "runs", f"{folder.path} is in use by another options-bt; wait for it or stop it")
    if not folder.exists():
        return Check("ok", "runs", f"{folder.path} is free")
    try:
        old = folder.info()
    except RunFolderError as error:
        return Check("failed", "runs", f"{error}; use --fresh to start over, or choose another --name")
    changed = differences(old, run_info(plan.job, old.source, old.source_version, fingerprints))
    if changed:
        advice = "use --fresh to start over (the old run is set aside), or --name NAME to keep both"
        return Check("failed", "runs", f"{folder.path} holds a run that differs in {', '.join(changed)}; {advice}")
    state = "finished: its results will be printed" if folder.results.is_file() else "unfinished: it will resume"
    return Check("ok", "runs", f"{folder.path} holds this run, {state}")


def engine_check() -> Check:
    """Load the engine, compiled now if it is not yet, and check that this works."""
    if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        return Check("warning", "engine", "runs as plain Python, hundreds of times slower; unset NUMBA_DISABLE_JIT")
    try:
        with warnings_logged_by("options_bt.engine") as log:
            from options_bt.engine.compiling import warm_up

            warm_up()
    except Exception as error:  # whatever the compiler raises, no run can begin
        reason = f"{type(error).__name__}: {error}"
        advice = "reinstall numba and llvmlite, or set NUMBA_CACHE_DIR to a writable folder"
        return Check("failed", "engine", f"cannot be compiled: {reason}; {advice}")
    if log.buffer:
        return Check("warning", "engine", f"compiled; {log.buffer[0].getMessage()}")
    return Check("ok", "engine", "compiled")


def memory_check(cost: Estimate, free: int, total: int) -> Check:
    """Check the estimated memory against the bytes that are free and that the machine has."""
    text = f"about {cost.memory / 1e6:,.0f} MB needed, {free / 1e6:,.0f} MB free"
    if cost.memory > total:
        advice = "use fewer --workers, or fewer symbols per run"
        return Check("failed", "memory", f"{text} of {total / 1e6:,.0f} MB; {advice}")
    if cost.memory > free:
        return Check("warning", "memory", f"{text}; close other programs, or use fewer --workers")
    return Check("ok", "memory", text)


def workers_check(cost: Estimate, cores: int) -> Check:
    """Check the number of workers against the cores."""
    if cost.workers > cores:
        text = f"{cost.workers}, but this machine has {counted(cores, 'core')}; --workers {cores} is as fast"
        return Check("warning", "workers", text)
    return Check("ok", "workers", f"{cost.workers} of {cores} cores" if cost.workers > 1 else "1, in this process")
