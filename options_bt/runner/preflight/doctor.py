"""Whether a run has all it needs: every check of `options-bt doctor`, without running or writing anything."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from psutil import virtual_memory

from options_bt.data.sources.source import Source
from options_bt.errors import JobFileError, OptionsBtError, RunFolderError
from options_bt.job.planner import Plan
from options_bt.job.schema import JobFile
from options_bt.runner.preflight.checks import Check, counted, failed, ok, warning, writable
from options_bt.runner.preflight.data_checks import cache_check, fingerprints, need_of, opened
from options_bt.runner.preflight.estimate import Estimate, core_count, estimated
from options_bt.runner.preflight.preview import ROWS_PER_YEAR, Need
from options_bt.runner.run_folder.folder import RunFolder, differences, run_info


def doctor(load: Callable[[], JobFile], *, runs: Path, cache: Path, workers: int | str | None = None) -> list[Check]:
    """Check everything that a run needs; nothing is run and nothing is written.

    Parameters
    ----------
    load : callable
        Returns the job, or raises what is wrong with its file.
    runs, cache : Path
        Folders of the runs and of the cached data.
    workers : int or 'auto', optional
        Instead of the job's own.

    Returns
    -------
    list of Check
        One line each. Where the job file or the source is wrong, without what only they can tell.
    """
    checks: list[Check] = []
    job = _job(load, checks)
    if job is None:
        left_out = warning(
            "others", "source, period, symbols, run folder and memory need a right job file; not checked"
        )
        return [*checks, left_out, writable("cache", cache), writable("runs", runs), engine_check()]
    plan = Plan(job)
    source = opened(job, checks)
    need = need_of(plan, source, cache) if source else None
    checks.append(cache_check(cache, source, need))
    checks.append(run_folder_check(plan, runs, cache, source if need else None))
    checks.append(engine_check())
    return [*checks, *_machine_checks(plan, need, workers or job.run.workers)]


def report(checks: list[Check]) -> str:
    """Return the text of `options-bt doctor`: a line a check, and what they come to."""
    faults = sum(check.state == "failed" for check in checks)
    warnings = counted(sum(check.state == "warning" for check in checks), "warning")
    advice = "mend what failed, then ask again" if faults else "a run can begin"
    end = f"{faults or 'none'} failed, {warnings}: {advice}"
    return "\n".join([*map(str, checks), end]) + "\n"


def _job(load: Callable[[], JobFile], checks: list[Check]) -> JobFile | None:
    """Return the job; else None, with a check for each fault of its file."""
    try:
        job = load()
    except JobFileError as error:
        checks += [failed("job file", f"{error.file}: {fault}") for fault in error.faults]
        return None
    except OptionsBtError as error:
        checks.append(failed("job file", str(error)))
        return None
    size = f"{counted(len(Plan(job)), 'backtest')} of {counted(len(job.symbols), 'symbol')}"
    checks.append(ok("job file", f"{job.name}: {size}, {job.period.start} to {job.period.end}"))
    return job


def run_folder_check(plan: Plan, runs: Path, cache: Path, source: Source | None) -> Check:
    """Check that the run folder can be written and holds no other run.

    Parameters
    ----------
    plan : Plan
    runs, cache : Path
    source : Source, optional
        None when it does not answer: then the data is taken to be as it was.
    """
    folder = RunFolder(runs / plan.job.name)
    can = writable("runs", folder.path)
    if can.state != "ok":
        return can
    if folder.in_use():
        return failed("runs", f"{folder.path} is in use by another options-bt; wait for it or stop it")
    if not folder.exists():
        return ok("runs", f"{folder.path} is free")
    try:
        old = folder.info()
    except RunFolderError as error:
        return failed("runs", f"{error}; begin anew with --fresh, or take another --name")
    data = fingerprints(plan, source, cache) if source else {}
    what = differences(old, run_info(plan.job, old.source, old.source_version, data))
    if what:
        begin = "begin anew with --fresh (it is set aside), or keep both with --name NAME"
        return failed("runs", f"{folder.path} holds a run that differs in {', '.join(what)}; {begin}")
    if folder.results.is_file():
        return ok("runs", f"{folder.path} holds this run, finished: its results will be printed")
    return ok("runs", f"{folder.path} holds this run, unfinished: it will go on")


def engine_check() -> Check:
    """Check whether the engine is compiled, or can be."""
    if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        return warning("engine", "runs as plain Python, hundreds of times slower; unset NUMBA_DISABLE_JIT")
    from options_bt.engine.compiling import is_compiled

    if is_compiled():
        return ok("engine", "is compiled")
    return ok("engine", "will be compiled by the first run, in about half a minute")


def _machine_checks(plan: Plan, need: Need | None, workers: int | str) -> Iterator[Check]:
    # Without an answer of the source, all of it is taken to be missing from the cache.
    need = need or Need(list(plan.years), 0, len(plan.job.symbols) * len(plan.years))
    cost = estimated(plan, len(plan), need.cached + need.to_pull * ROWS_PER_YEAR, workers)
    yield memory_check(cost)
    yield workers_check(cost, core_count())


def memory_check(cost: Estimate) -> Check:
    """Check the estimated memory against what is free and what there is."""
    memory = virtual_memory()
    text = f"about {cost.memory / 1e6:,.0f} MB needed, {memory.available / 1e6:,.0f} MB free"
    if cost.memory > memory.total:
        return failed("memory", f"{text} of {memory.total / 1e6:,.0f} MB; take fewer --workers, or fewer symbols a run")
    if cost.memory > memory.available:
        return warning("memory", f"{text}; close other programs, or take fewer --workers")
    return ok("memory", text)


def workers_check(cost: Estimate, cores: int) -> Check:
    """Check the number of workers against the cores."""
    text = f"{cost.workers} of {cores} cores" if cost.workers > 1 else "1, in the calling process"
    if cost.workers > cores:
        return warning("workers", f"{cost.workers}, but there are {cores} cores; --workers {cores} is as fast")
    return ok("workers", text)
