"""One run, from a valid job to its results on the disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from options_bt.engine.compiling import is_compiled, warm_up
from options_bt.errors import RunFolderError
from options_bt.job.planner import Plan
from options_bt.job.schema import JobFile
from options_bt.runner.coordinator import Coordinator, RunContext
from options_bt.runner.execution.executor import Executor
from options_bt.runner.executors import local_executor
from options_bt.runner.logs import log_to_file
from options_bt.runner.preparing import open_data, prepare_markets
from options_bt.runner.run_folder.folder import RunFolder, RunInfo, differences, run_info
from options_bt.runner.run_folder.ledger import Ledger
from options_bt.runner.run_folder.repair import repaired_ledger, whole_ledger
from options_bt.runner.run_folder.results import write_results
from options_bt.runner.run_folder.retention import best_without_tables, keeps_too_few
from options_bt.runner.summary import Summary, failures_allowed

logger = logging.getLogger(__name__)


def run_job(
    job: JobFile,
    *,
    runs: Path,
    cache: Path,
    workers: int | str | None = None,
    fresh: bool = False,
    resume_failed: bool = False,
    max_failures: int | str | None = None,
    make_executor: Callable[[int], Executor] = local_executor,
    shown: bool = True,
) -> Summary:
    """Run every backtest of a job that its run folder does not hold yet.

    Parameters
    ----------
    job : JobFile
    runs, cache : Path
        Folders of the runs and of the cached data.
    workers : int or 'auto', optional
        Instead of the job's own.
    fresh : bool
        Start over; what the run folder holds is set aside under another name.
    resume_failed : bool
        Run the jobs again that failed before.
    max_failures : int or str, optional
        Stop when more jobs fail than this number, or than this share of the plan, as in ``5%``; never by default.
    make_executor : callable
        Returns where to run, told how many workers this machine has room for; processes of this machine by default.
    shown : bool
        Whether to show progress.

    Returns
    -------
    Summary

    Raises
    ------
    SourceError
        When the data cannot be had.
    RunFolderError
        When the run folder is in use, or holds results of another job or other data.
    StorageError
        When the disk refuses; what was recorded by then is kept.
    """
    plan = Plan(job)
    source, store = open_data(plan, cache)
    allowed = failures_allowed(max_failures, len(plan))
    folder = RunFolder(runs / job.name)
    folder.claim()
    try:
        markets, times = prepare_markets(plan, source, store, show_progress=shown)
        info = run_info(
            job,
            source.label,
            source.version,
            {market.symbol: market.fingerprint for market in markets},
            source_revision=source.revision,
            implied_closes={m.symbol: count for m in markets if (count := m.open().implied_closes)},
        )
        _start(folder, info, fresh)
        with log_to_file(folder.log), closing(_ledger(folder, plan, resume_failed)) as ledger:
            run = RunContext(
                plan=plan,
                folder=folder,
                identity=info.identity,
                ledger=ledger,
                markets={market.symbol: market for market in markets},
                make_executor=make_executor,
                workers=workers or job.run.workers,
                max_failures=allowed,
                shown=shown,
            )
            summary = _finished(run)
        return summary._replace(times=summary.times._replace(pull=times.pull, build=times.build))
    finally:
        folder.release()


def pull_job(job: JobFile, cache: Path, *, shown: bool = True) -> None:
    """Pull the data of a job into the cache and build its markets, without running anything.

    Raises
    ------
    SourceError, StorageError
        As `run_job`.
    """
    plan = Plan(job)
    source, store = open_data(plan, cache)
    markets, _ = prepare_markets(plan, source, store, show_progress=shown)
    logger.info("%d symbols are ready in %s", len(markets), store.folder)


def _start(folder: RunFolder, info: RunInfo, fresh: bool) -> None:
    """Make the folder that of this run: resume it, or start it."""
    if folder.exists() and not fresh:
        old = folder.info()
        if old.identity == info.identity:
            return
        raise RunFolderError(
            f"{folder.path} holds results of a run that differs in {', '.join(differences(old, info))}. Use --fresh to "
            "start over (the old run is set aside), or keep both with --name NAME"
        )
    if folder.exists():
        logger.info("The old run was set aside as %s", folder.set_aside())
    folder.create(info)


def _ledger(folder: RunFolder, plan: Plan, resume_failed: bool) -> Ledger:
    """Return the ledger of a run: for reading when it is whole and nothing is left to do, else for writing."""
    if folder.results.is_file() and not resume_failed and (ledger := whole_ledger(folder)):
        if not keeps_too_few(plan, ledger):
            return ledger
        ledger.close()
        folder.results.unlink()
    ledger = repaired_ledger(folder, plan)
    if resume_failed and (count := ledger.delete_failed()):
        logger.info("Running %d backtests again that failed before", count)
        folder.results.unlink(missing_ok=True)
    return ledger


def _finished(run: RunContext) -> Summary:
    """Run what is left to do of a run, and return how it ended."""
    # The results are written last: where they are, nothing is left to do or to write.
    if run.folder.results.is_file():
        summary = Summary(run.folder.path, len(run.plan), 0, 0)
    else:
        summary = _run_and_keep_best(run)
        if not summary.ended_early:
            began = time.monotonic()
            write_results(run.plan, run.ledger, run.folder.results)
            summary = summary.after_writing(time.monotonic() - began)
    done, failed = run.ledger.counts()
    logger.info("%d of %d backtests done, %d failed", done, len(run.plan), failed, extra={"run": str(run.folder.path)})
    return summary._replace(done=done, failed=failed)


def _run_and_keep_best(run: RunContext) -> Summary:
    """Run what is pending, then the best once more to keep their tables."""
    plan = run.plan
    keeps_all = plan.job.run.kept(len(plan)) == len(plan)
    summary = _run_pending(run, Summary(run.folder.path, len(plan), 0, 0), keeps_all)
    if not summary.ended_early and (best := best_without_tables(plan, run.ledger)):
        logger.info("Running the best %d by %s again, to keep their trades and equity", len(best), plan.job.objective)
        run.ledger.delete_jobs(best)
        summary = _run_pending(run, summary, tables=True)
    return summary


def _run_pending(run: RunContext, before: Summary, tables: bool) -> Summary:
    pending = ~run.ledger.done(len(run.plan))
    if not pending.any():
        return before
    if not is_compiled():  # one process compiles, and each that runs batches loads
        warm_up()
    began = time.monotonic()
    coordinator = Coordinator(run, pending, tables)
    stopped_by = coordinator.run()
    return before._replace(
        stopped_by=stopped_by,
        gave_up=coordinator.gave_up,
        times=before.times.plus(time.monotonic() - began, coordinator.working, coordinator.writing),
        transfers=before.transfers.plus(coordinator.transfers),
    )
