"""The report that a run ends with; heavy imports wait until there is one to write."""

from __future__ import annotations

from pathlib import Path

from options_bt.analysis.run_reader import Run
from options_bt.errors import OptionsBtError


def report_file(run: Run) -> Path:
    """Return the default path of a run's report."""
    return run.path / "report.html"


def report_of(run: Run) -> tuple[str, bool]:
    """Write the report of a finished run, unless it already has one that is newer than its results.

    Returns
    -------
    text : str
        Where the report is, or why it could not be written, which does not fail the run.
    written : bool
        Whether there is a report.
    """
    path = report_file(run)
    try:
        if not path.is_file() or path.stat().st_mtime < (run.path / "results.parquet").stat().st_mtime:
            from options_bt.report.html import write_report

            write_report(run, path)
    except Exception as error:  # whatever went wrong, the results are there
        why = str(error) if isinstance(error, OptionsBtError) else f"{type(error).__name__}: {error}"
        return f"No report was written: {why}", False
    return f"Report: {path}", True
