"""A run whose results are made up, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl

from options_bt.analysis.run_reader import Run, Table
from options_bt.engine.metrics import COUNTS, METRICS
from options_bt.job.schema import JobFile
from options_bt.runner.run_folder.folder import run_info
from options_bt.runner.run_folder.results import PARAMETER_TYPES, PLACE

SCHEMA = PLACE | PARAMETER_TYPES | {name: pl.Int64() if name in COUNTS else pl.Float64() for name in METRICS}


class MadeRun(Run):
    """A run of a job in which each job of the plan has these values; without a status it was not run.

    Each backtest has two days, the first and the eleventh of its span: its equity is the capital on the first, and
    has earned `total_return` on the second.
    """

    def __init__(self, job: JobFile, **columns: Sequence[Any]) -> None:
        self.path = Path("runs/made")
        self.info = run_info(job, "made", "", {})
        rows = []
        for position, spec in enumerate(self.plan):
            values = {name: column[position] for name, column in columns.items()}
            rows.append({"job": f"{position:016x}", "status": "done", "total_pnl": 0.0} | spec.row() | values)
        self._results = pl.DataFrame(rows, SCHEMA).filter(pl.col("status").is_not_null())

    def scan_results(self) -> pl.LazyFrame:
        return self._results.lazy()

    def scan(self, table: Table, jobs: Sequence[str] | None = None) -> pl.LazyFrame:
        assert table == "equity"
        rows = self._results if jobs is None else self._results.filter(pl.col("job").is_in(list(jobs)))
        rows = rows.filter(pl.col("status") == "done").select(
            "job",
            pl.concat_list("start", pl.col("start") + timedelta(days=10)).alias("date"),
            pl.concat_list("capital", pl.col("capital") * (1 + pl.col("total_return").fill_null(0.0))).alias("equity"),
            pl.lit([1, 0], pl.List(pl.Int32)).alias("open_positions"),
            pl.lit([100.0, 0.0]).alias("margin"),
        )
        return rows.explode("date", "equity", "open_positions", "margin").lazy()
