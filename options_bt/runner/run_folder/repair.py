"""Opening the ledger of a run that is resumed: damage is named, and repaired from what is whole."""

from __future__ import annotations

import logging
from pathlib import Path

from options_bt.job.planner import Plan
from options_bt.runner.run_folder.folder import RunFolder
from options_bt.runner.run_folder.ledger import DamagedLedgerError, Ledger, Part
from options_bt.runner.run_folder.parts import TABLES, Receipt, batch_metadata, checksum
from options_bt.storage import storage_errors

logger = logging.getLogger(__name__)


def whole_ledger(folder: RunFolder) -> Ledger | None:
    """Return the ledger of a run, open for reading; None when the ledger or one of its parts is damaged."""
    try:
        ledger = Ledger(folder.ledger, read_only=True)
    except DamagedLedgerError:
        return None
    if ledger.is_whole() and not any(_fault(folder, part) for part in ledger.parts()):
        return ledger
    ledger.close()
    return None


def repaired_ledger(folder: RunFolder, plan: Plan) -> Ledger:
    """Return the ledger of a run, open for writing, with batches whose parts are whole.

    A damaged ledger is set aside and rebuilt from the metadata of the parts; the jobs of a damaged part are deleted
    from the ledger, so that they run again. Either is logged as a warning.

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
            ledger.delete(part.number)
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
        metadata = batch_metadata(trades)
        equity = folder.part("equity", metadata.batch.number).read_bytes() if metadata.equity else b""
    except (OSError, ValueError):
        return False
    positions = metadata.batch.positions
    if checksum(equity) != metadata.equity or not all(position < len(plan) for position in positions):
        return False
    ledger.delete_jobs(positions)  # of an earlier batch, in which they failed or kept no tables
    receipt = Receipt(number=metadata.batch.number, trades=checksum(trades), equity=metadata.equity, seconds=0.0)
    ledger.record(receipt, metadata, plan)
    return True


def _fault(folder: RunFolder, part: Part) -> str:
    """Return what is wrong with the files of a batch; nothing when they are as they were written."""
    for table in TABLES:
        as_written: str = getattr(part, table)
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
        for table in TABLES:
            for path in (folder.path / table).glob("*part-*"):
                if path.suffix == ".tmp" or int(path.stem.rpartition("-")[2]) not in entered:
                    path.unlink()
