"""The report that a run ends with; nothing heavy is imported unless there is one to be written."""

from __future__ import annotations

from pathlib import Path

from options_bt.analysis.run_reader import Run
from options_bt.errors import OptionsBtError


def report_file(run: Run) -> Path:
    """Return where the report of a run lies by default."""
    return run.path / "report.html"


def report_of(run: Run) -> tuple[str, bool]:
    """Write the report of a run that has ended, unless it has one of these results already.

    Returns
    -------
    text : str
        Where it is, or why there is none: a run is no worse for a report that cannot be written.
    written : bool
        Whether it is there.
    """
    path = report_file(run)
    try:
        if not path.is_file() or path.stat().st_mtime < (run.path / "results.parquet").stat().st_mtime:
            from options_bt.report.html import write_report

            write_report(run, path)
    except Exception as error:  # whatever it is, the results are there
        why = str(error) if isinstance(error, OptionsBtError) else f"{type(error).__name__}: {error}"
        return f"No report was written: {why}", False
    return f"Report: {path}", True
