"""One run, from a valid job to its results on the disk."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from options_bt.data.cache import Cache
from options_bt.data.prepare import Prepared, covered_years, missing_data, prepared, pull
from options_bt.data.source import Source, open_source, require_symbols
from options_bt.engine.warm_up import warm_up
from options_bt.errors import RunFolderError
from options_bt.job.planner import Plan
from options_bt.job.schema import JobFile
from options_bt.runner.coordinator import Coordinator
from options_bt.runner.folder import RunFolder, RunInfo, differences, run_info
from options_bt.runner.ledger import Ledger
from options_bt.runner.logs import log_to_file
from options_bt.runner.progress import Progress
from options_bt.runner.results import results_table
from options_bt.storage import write_atomically

logger = logging.getLogger(__name__)


class Summary(NamedTuple):
    """How a run ended.

    Attributes
    ----------
    stopped_by : int
        Number of the signal that ended it early; 0 if none did.
    """

    path: Path
    total: int
    done: int
    failed: int
    stopped_by: int = 0

    @property
    def exit_code(self) -> int:
        """0 all done, 1 some failed, 128 and the signal's number when one stopped it."""
        return 128 + self.stopped_by if self.stopped_by else int(self.failed > 0)


def run_job(
    job: JobFile,
    *,
    runs: Path,
    cache: Path,
    workers: int | str | None = None,
    fresh: bool = False,
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
        Begin anew; what the run folder holds is set aside under another name.
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
    source = open_source(job.source, job.columns)
    require_symbols(source, job.symbols)
    covered_years(source, plan.years)
    store = Cache(cache, source.name)
    folder = RunFolder(runs / job.name)
    folder.claim()
    try:
        markets = _markets(source, store, plan, shown)
        info = run_info(
            job,
            source.label,
            source.version,
            {market.symbol: market.fingerprint for market in markets},
            source_revision=source.revision,
            implied_closes={m.symbol: count for m in markets if (count := m.open().implied_closes)},
        )
        _begin(folder, info, fresh)
        with log_to_file(folder.log):
            return _run(plan, folder, markets, workers or job.run.workers, shown)
    finally:
        folder.release()


def pull_job(job: JobFile, cache: Path, *, shown: bool = True) -> None:
    """Bring the data of a job into the cache and build its markets, without running anything.

    Raises
    ------
    SourceError, StorageError
        As `run_job`.
    """
    source = open_source(job.source, job.columns)
    require_symbols(source, job.symbols)
    store = Cache(cache, source.name)
    markets = _markets(source, store, Plan(job), shown)
    logger.info("%d symbols are ready in %s", len(markets), store.folder)


def _markets(source: Source, cache: Cache, plan: Plan, shown: bool) -> list[Prepared]:
    symbols, years = plan.job.symbols, plan.years
    missing = missing_data(source, cache, symbols, years)
    if missing:
        logger.info("Pulling %s of %s", ", ".join(missing), source.label)
        with Progress("pull", sum(map(len, missing.values())), "symbol-year", shown=shown) as progress:
            pull(source, cache, list(missing), years, progress.advance_by_rows)
    return [prepared(cache, symbol, years) for symbol in symbols]


def _begin(folder: RunFolder, info: RunInfo, fresh: bool) -> None:
    """Make the folder that of this run: go on in it, or begin it."""
    if folder.exists() and not fresh:
        old = folder.info()
        if old.identity == info.identity:
            return
        raise RunFolderError(
            f"{folder.path} holds results of a run that differs in {', '.join(differences(old, info))}. Begin anew "
            "with --fresh (the old run is set aside), or keep both with --name NAME"
        )
    if folder.exists():
        aside = folder.set_aside()
        folder.release()
        folder.claim()
        logger.info("The old run was set aside as %s", aside)
    folder.create(info)


def _run(plan: Plan, folder: RunFolder, markets: Sequence[Prepared], workers: int | str, shown: bool) -> Summary:
    # The results are written last: where they are, nothing is left to do or to write.
    finished = folder.results.is_file()
    ledger = Ledger(folder.ledger, read_only=finished)
    try:
        stopped_by = 0 if finished else _finish(plan, folder, ledger, markets, workers, shown)
        done, failed = ledger.counts()
    finally:
        ledger.close()
    logger.info("%d of %d backtests done, %d failed", done, len(plan), failed, extra={"run": str(folder.path)})
    return Summary(folder.path, len(plan), done, failed, stopped_by)


def _finish(
    plan: Plan, folder: RunFolder, ledger: Ledger, markets: Sequence[Prepared], workers: int | str, shown: bool
) -> int:
    """Run what is pending and write the results; give the number of the signal that stopped it, or 0."""
    _remove_orphans(folder, ledger)
    pending = ~ledger.done(len(plan))
    if pending.any():
        warm_up()
        stopped_by = Coordinator(plan, folder, ledger, markets, pending).run(workers, shown)
        if stopped_by:
            return stopped_by
    buffer = io.BytesIO()
    results_table(plan, ledger).write_parquet(buffer, compression="zstd")
    write_atomically(folder.results, buffer.getvalue())
    return 0


def _remove_orphans(folder: RunFolder, ledger: Ledger) -> None:
    """Delete the parts of batches that were never entered: their jobs run again."""
    entered = set(ledger.batches())
    for table in ("trades", "equity"):
        for path in (folder.path / table).glob("*part-*"):
            if path.suffix == ".tmp" or int(path.stem.rpartition("-")[2]) not in entered:
                path.unlink()
