"""A run folder, opened for reading."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import polars as pl

from options_bt.engine.frames import equity_table, trades_table
from options_bt.errors import RunFolderError, nearest
from options_bt.job.planner import Plan
from options_bt.job.schema import JobFile
from options_bt.runner.folder import RunFolder, RunInfo
from options_bt.runner.ledger import Failure, Ledger
from options_bt.runner.results import results_table

Table = Literal["trades", "equity"]


class Run:
    """The results of a run, finished or not.

    Parameters
    ----------
    path : Path
        The run folder.

    Raises
    ------
    RunFolderError
        When there is no run.
    """

    def __init__(self, path: Path) -> None:
        self._folder = RunFolder(path)
        self.path = path
        self.info: RunInfo = self._folder.info()

    @property
    def job(self) -> JobFile:
        """The job as it was run."""
        return self.info.job

    @cached_property
    def plan(self) -> Plan:
        """The plan that was run."""
        return Plan(self.info.job)

    def results(self) -> pl.DataFrame:
        """Give one row for each job that is done or failed, in the order of the plan.

        Returns
        -------
        polars.DataFrame
            ``job, symbol, window, role, start, end, status``, every parameter, every metric and refusal
            counter. `status` is ``done`` or ``failed``; a metric that is undefined, or of a failed job,
            is null.

        Examples
        --------
        >>> run = example_run()
        >>> run.results().select("symbol", "delta", "status").rows()
        [('SPY', 0.15, 'done'), ('SPY', 0.25, 'done')]
        """
        if self._folder.results.is_file():
            return pl.read_parquet(self._folder.results)
        ledger = self._ledger()
        try:
            return results_table(self.plan, ledger)
        finally:
            ledger.close()

    def trades(self, job: str | None = None) -> pl.DataFrame:
        """Give the trades of one job or of all, in the order of the plan and of their entry.

        Parameters
        ----------
        job : str, optional
            Id of a job, or its first characters where they tell it apart.

        Returns
        -------
        polars.DataFrame
            The columns of docs/semantics.md, section 7; dollars per share, in the terms of the exit day.

        Examples
        --------
        >>> run = example_run()
        >>> first = run.results()["job"][0]
        >>> run.trades(first).height == run.results()["trades"][0]
        True
        """
        return self._parts("trades", job)

    def equity(self, job: str | None = None) -> pl.DataFrame:
        """Give the equity of one job or of all, a row for each quote day.

        Parameters
        ----------
        job : str, optional
            As in `trades`.

        Returns
        -------
        polars.DataFrame
            ``job, date, equity, open_positions, margin``; dollars.

        Examples
        --------
        >>> example_run().equity().columns
        ['job', 'date', 'equity', 'open_positions', 'margin']
        """
        return self._parts("equity", job)

    def scan(self, table: Table, batches: Sequence[int] | None = None) -> pl.LazyFrame:
        """Give the trades or the equity of all jobs unread, for what is more than memory holds.

        Parameters
        ----------
        table : {'trades', 'equity'}
        batches : sequence of int, optional
            Only the jobs of these, as `batches` numbers them.

        Returns
        -------
        polars.LazyFrame
            The columns of `trades` or `equity`, batch by batch.

        Raises
        ------
        RunFolderError
            When nothing is finished yet, or files are lost.

        Examples
        --------
        >>> run = example_run()
        >>> run.scan("equity").select("job").unique().collect().height
        2
        """
        paths = [self._folder.part(table, n) for n in (self._finished() if batches is None else batches)]
        missing = [str(path) for path in paths if not path.is_file()]
        if missing:
            raise RunFolderError(f"{self.path} has lost {len(missing)} files, the first of them {missing[0]}")
        if not paths:
            return (trades_table([]) if table == "trades" else equity_table([])).lazy()
        return pl.scan_parquet(paths)

    def batches(self) -> pl.DataFrame:
        """Give the batch whose files hold the trades and the equity of each job.

        Returns
        -------
        polars.DataFrame
            ``job, batch``, in the order of the plan; `batch` is null for a job whose worker died.
        """
        ledger = self._ledger()
        try:
            rows = ledger.batch_of_jobs()
        finally:
            ledger.close()
        return pl.DataFrame(rows, {"job": pl.String, "batch": pl.Int64}, orient="row")

    def failures(self) -> list[Failure]:
        """Give the jobs that failed, each with its spec and what happened."""
        ledger = self._ledger()
        try:
            return ledger.failures()
        finally:
            ledger.close()

    def job_id(self, start: str) -> str:
        """Give the whole id of a job from its first characters.

        Raises
        ------
        RunFolderError
            When no job or more than one begins so.
        """
        jobs = self.results()["job"].to_list()
        matches = [job for job in jobs if job.startswith(start)]
        if len(matches) == 1:
            return str(matches[0])
        if matches:
            some = ", ".join(matches[:5])
            raise RunFolderError(f"{self.path}: {len(matches)} jobs begin with {start!r}: {some}; give more of it")
        hint = nearest(start, jobs) if len(jobs) <= 10_000 else ""
        raise RunFolderError(f"{self.path} has no job {start!r}{hint}; `options-bt results {self.path}` lists them")

    def _repr_html_(self) -> str:
        """Give what a notebook shows."""
        from options_bt.analysis.notebook import run_html  # it reads runs

        return run_html(self)

    def _ledger(self) -> Ledger:
        return Ledger(self._folder.ledger, read_only=True)

    def _finished(self) -> list[int]:
        ledger = self._ledger()
        try:
            numbers, ended = ledger.batches(), sum(ledger.counts())
        finally:
            ledger.close()
        if not ended:
            raise RunFolderError(f"{self.path} has no finished backtest yet")
        return numbers

    def _parts(self, table: Table, job: str | None) -> pl.DataFrame:
        rows = self.scan(table)
        if job is not None:
            return rows.filter(pl.col("job") == self.job_id(job)).collect()
        order = self.results().select("job").with_row_index("place")
        joined = rows.collect().join(order, on="job", how="left", maintain_order="left")
        return joined.sort("place", maintain_order=True).drop("place")


def open_run(path: str | Path) -> Run:
    """Open a run folder.

    Parameters
    ----------
    path : str or Path
        Such as ``runs/grid``.

    Returns
    -------
    Run

    Raises
    ------
    RunFolderError
        When there is no run.

    Examples
    --------
    >>> import options_bt, tempfile
    >>> job = options_bt.load_job("jobs/delta.yaml", symbols=["SPY"], quick=True)
    >>> with tempfile.TemporaryDirectory() as runs:
    ...     _ = options_bt.run(job, workers=1, runs=runs)
    ...     options_bt.open_run(f"{runs}/delta-quick").results().height
    5
    """
    return Run(Path(path))
