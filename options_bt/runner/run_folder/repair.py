"""Opening the ledger of a run that goes on: what is damaged is named, and made again from what is whole."""

from __future__ import annotations

import logging
from pathlib import Path

from options_bt.job.planner import Plan
from options_bt.runner.execution.batch import Footer, Result, checksum, footer_of
from options_bt.runner.run_folder.folder import RunFolder
from options_bt.runner.run_folder.ledger import DamagedLedgerError, Ledger, Part
from options_bt.storage import storage_errors

logger = logging.getLogger(__name__)


def whole_ledger(folder: RunFolder) -> Ledger | None:
    """Return the ledger of a run, open for reading; None when it or a part that it names is damaged."""
    try:
        ledger = Ledger(folder.ledger, read_only=True)
    except DamagedLedgerError:
        return None
    if ledger.is_whole() and not any(_fault(folder, part) for part in ledger.parts()):
        return ledger
    ledger.close()
    return None


def repaired_ledger(folder: RunFolder, plan: Plan) -> Ledger:
    """Return the ledger of a run, open for writing, that names whole parts alone.

    A damaged ledger is set aside and rebuilt from what the parts say of their batches; the jobs of a damaged part are
    taken out of the ledger, so that they run again. Either is logged as a warning.

    Raises
    ------
    RunFolderError
        When the ledger is of another version.
    StorageError
        When the disk refuses.
    """
    ledger = _rebuilt_ledger(folder, plan)
    for part in ledger.parts():
        if fault := _fault(folder, part):
            logger.warning("%s; the jobs of batch %d run again", fault, part.number)
            ledger.forget(part.number)
            folder.results.unlink(missing_ok=True)
    _remove_orphans(folder, ledger)
    return ledger


def _rebuilt_ledger(folder: RunFolder, plan: Plan) -> Ledger:
    with storage_errors(folder.ledger):
        try:
            ledger = Ledger(folder.ledger)
            if ledger.is_whole():
                return ledger
            ledger.close()
        except DamagedLedgerError:
            pass
        aside = folder.ledger.with_suffix(".damaged")
        folder.ledger.replace(aside)
        for leftover in ("-wal", "-shm"):
            folder.ledger.with_name(folder.ledger.name + leftover).unlink(missing_ok=True)
        folder.results.unlink(missing_ok=True)
    ledger = Ledger(folder.ledger)
    batches = [_entered(folder, plan, ledger, path) for path in sorted((folder.path / "trades").glob("part-*.parquet"))]
    logger.warning(
        "%s is damaged: it was set aside as %s, and rebuilt from %d whole batches",
        *(folder.ledger, aside.name, sum(batches)),
    )
    return ledger


def _entered(folder: RunFolder, plan: Plan, ledger: Ledger, path: Path) -> bool:
    """Enter a batch from its parts; return whether they are whole."""
    try:
        trades = path.read_bytes()
        footer = footer_of(trades)
        equity = folder.part("equity", footer.batch.number).read_bytes() if footer.equity else b""
    except (OSError, ValueError):
        return False
    if checksum(equity) != footer.equity or not all(p < len(plan) for p in footer.batch.positions):
        return False
    ledger.forget_jobs(footer.batch.positions)  # of an earlier batch, in which they failed or kept no tables
    ledger.record(footer.batch, _result(footer, trades, equity), plan)
    return True


def _result(footer: Footer, trades: bytes, equity: bytes) -> Result:
    return Result(
        number=footer.batch.number,
        jobs=footer.jobs,
        metrics=footer.metrics,
        errors=footer.errors,
        trades=trades,
        equity=equity,
        seconds=0.0,
    )


def _fault(folder: RunFolder, part: Part) -> str:
    """Return what is wrong with the files of a batch; nothing when they are as they were written."""
    for table, as_written in (("trades", part.trades), ("equity", part.equity)):
        path = folder.part(table, part.number)
        try:
            if as_written and checksum(path.read_bytes()) != as_written:
                return f"{path} is damaged"
        except FileNotFoundError:
            return f"{path} is missing"
    return ""


def _remove_orphans(folder: RunFolder, ledger: Ledger) -> None:
    """Delete the parts of batches that were never entered: their jobs run again."""
    entered = set(ledger.batches())
    with storage_errors(folder.path):
        for table in ("trades", "equity"):
            for path in (folder.path / table).glob("*part-*"):
                if path.suffix == ".tmp" or int(path.stem.rpartition("-")[2]) not in entered:
                    path.unlink()
