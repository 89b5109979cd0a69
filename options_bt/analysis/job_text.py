"""One backtest of a run as text."""

from __future__ import annotations

import polars as pl

from options_bt.analysis.formatting import cell_text, text_table, trades_for_display
from options_bt.analysis.run_reader import Run
from options_bt.engine.metrics import METRICS


def job_text(run: Run, start: str) -> str:
    """Return one backtest of a run as text: parameters, metrics, refusals, and its trades or its traceback.

    Parameters
    ----------
    run : Run
    start : str
        The id of the job, or enough of its first characters to identify it.

    Raises
    ------
    RunFolderError
        When no job or more than one has an id that begins with `start`, or its trades cannot be read.
    """
    job = run.job_id(start)
    row = run.scan_results().filter(pl.col("job") == job).collect().row(0, named=True)
    refused = [name for name in METRICS if name.startswith("refused_")]
    sections = {
        "Parameters": [name for name in row if name not in METRICS],
        "Metrics": [name for name in METRICS if name not in refused],
        "Refusals": [name for name in refused if row[name]],
    }
    blocks = [f"{title}\n{_lines({name: row[name] for name in names})}" for title, names in sections.items()]
    if row["status"] == "failed":
        failure = next(failure for failure in run.failures() if failure.job == job)
        return "\n".join([*blocks, f"Failed after {failure.attempts} attempts\n{failure.error}"])
    return "\n".join([*blocks, f"Trades\n{text_table(trades_for_display(run.trades(job)))}"])


def _lines(values: dict[str, object]) -> str:
    width = max(map(len, values), default=0)
    return "".join(f"  {name:<{width}}  {cell_text(name, value)}\n" for name, value in values.items()) or "  none\n"
