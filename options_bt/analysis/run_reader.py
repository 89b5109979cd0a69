"""A run folder, opened for reading."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Literal

import polars as pl

from options_bt.data.cache.cache import cache_folder
from options_bt.engine.frames import equity_table, trades_table
from options_bt.errors import RunFolderError, nearest
from options_bt.job.planner import Plan
from options_bt.job.schema import JobFile
from options_bt.runner.run_folder.folder import RunFolder, RunInfo
from options_bt.runner.run_folder.ledger import Failure, Ledger
from options_bt.runner.run_folder.recompute import MOST, recomputed
from options_bt.runner.run_folder.results import results_table

Table = Literal["trades", "equity"]
_MOST_HINTED = 10_000  # ids among which the nearest is looked for
_TABLES = {"trades": trades_table, "equity": equity_table}


class Run:
    """The results of a run, finished or not.

    Parameters
    ----------
    path : Path
        The run folder.
    cache : Path
        Of the data, for trades and equity that the run did not keep.

    Raises
    ------
    RunFolderError
        When there is no run.
    """

    def __init__(self, path: Path, cache: Path) -> None:
        self._folder = RunFolder(path)
        self._cache = cache
        self.path = path
        self.info: RunInfo = self._folder.info()
        self._standing: pl.LazyFrame | None = None

    @property
    def job(self) -> JobFile:
        """The job as it was run."""
        return self.info.job

    @cached_property
    def plan(self) -> Plan:
        """The plan that was run."""
        return Plan(self.info.job)

    def results(self) -> pl.DataFrame:
        """Return one row for each job that is done or failed, in the order of the plan.

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
        return self.scan_results().collect()

    def scan_results(self) -> pl.LazyFrame:
        """Return `results` unread, where only some rows or columns of very many are wanted."""
        if self._standing is not None:
            return self._standing
        if self._folder.results.is_file():
            return pl.scan_parquet(self._folder.results)
        with closing(self._ledger()) as ledger:
            return results_table(self.plan, ledger).lazy()

    def as_it_stands(self) -> Run:
        """Return this run with the results that it has now, also while it goes on."""
        standing = copy(self)
        standing._standing = self.scan_results()
        return standing

    def trades(self, job: str | None = None) -> pl.DataFrame:
        """Return the trades of one job or of all, in the order of the plan and of their entry.

        What the run did not keep (`keep` in the job file) is computed again from the cached data, the same to the last
        bit.

        Parameters
        ----------
        job : str, optional
            Id of a job, or its first characters where they tell it apart.

        Returns
        -------
        polars.DataFrame
            The columns of docs/semantics.md, section 7; dollars per share, in the terms of the exit day.

        Raises
        ------
        RunFolderError
            When no such job has ended, files are lost, or what is not kept cannot be computed again: the cached data
            have changed, or it is of more than `runner.recompute.MOST` jobs.

        Examples
        --------
        >>> run = example_run()
        >>> first = run.results()["job"][0]
        >>> run.trades(first).height == run.results()["trades"][0]
        True
        """
        return self._rows("trades", job)

    def equity(self, job: str | None = None) -> pl.DataFrame:
        """Return the equity of one job or of all, a row for each quote day; what is not kept as `trades` has it.

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
        return self._rows("equity", job)

    def scan(self, table: Table, jobs: Sequence[str] | None = None) -> pl.LazyFrame:
        """Return the trades or the equity of these jobs or of all unread, for what is more than memory holds.

        Parameters
        ----------
        table : {'trades', 'equity'}
        jobs : sequence of str, optional
            Ids.

        Returns
        -------
        polars.LazyFrame
            The columns of `trades` or `equity`: batch by batch what is kept, then what was computed again.

        Raises
        ------
        RunFolderError
            As `trades`.

        Examples
        --------
        >>> run = example_run()
        >>> run.scan("equity").select("job").unique().collect().height
        2
        """
        with closing(self._ledger()) as ledger:
            places, ended = ledger.job_batches(jobs), sum(ledger.counts())
            if not ended:
                raise RunFolderError(f"{self.path} has no finished backtest yet")
            kept = self.kept(table, sorted({batch for _, _, batch in places if batch is not None}))
            if len(places) < ended:
                kept = kept.filter(pl.col("job").is_in([job for job, _, _ in places]))
            others = [job for job, state, batch in places if batch is None and state == "done"]
            if not others:
                return kept
            if len(others) > MOST:
                raise RunFolderError(
                    f"{self.path} does not keep the trades and equity of {len(others):,} of these {len(places):,} "
                    f"backtests, and at most {MOST:,} are computed again. Run its job file with `run: {{keep: all}}`, "
                    "which adds what is not there, or ask for single backtests"
                )
            return pl.concat([kept, recomputed(_TABLES[table], self.info, ledger, others, self._cache).lazy()])

    def kept(self, table: Table, batches: Iterable[int]) -> pl.LazyFrame:
        """Return unread what is on the disk of the trades or the equity of these batches, as `batches` numbers them.

        Raises
        ------
        RunFolderError
            When files are lost.
        """
        paths = [self._folder.part(table, number) for number in batches]
        missing = [str(path) for path in paths if not path.is_file()]
        if missing:
            raise RunFolderError(f"{self.path} has lost {len(missing)} files, the first of them {missing[0]}")
        if not paths:
            return _TABLES[table]([]).lazy()
        return pl.scan_parquet(paths)

    def batches(self) -> pl.DataFrame:
        """Return the batch whose files hold the trades and the equity of each job.

        Returns
        -------
        polars.DataFrame
            ``job, status, batch``, in the order of the plan; `batch` is null for a job that failed, or whose trades and
            equity are not kept.
        """
        with closing(self._ledger()) as ledger:
            rows = ledger.job_batches()
        return pl.DataFrame(rows, {"job": pl.String, "status": pl.String, "batch": pl.Int64}, orient="row")

    def failures(self, first: int | None = None) -> list[Failure]:
        """Return the jobs that failed, or so many of them, each with its spec and what happened."""
        with closing(self._ledger()) as ledger:
            return ledger.failures(first)

    def job_id(self, start: str) -> str:
        """Return the whole id of a job from its first characters.

        Raises
        ------
        RunFolderError
            When no job or more than one begins so.
        """
        jobs = self.scan_results().select("job")
        matches = jobs.filter(pl.col("job").str.starts_with(start)).collect()["job"].to_list()
        if len(matches) == 1:
            return str(matches[0])
        if matches:
            some = ", ".join(matches[:5])
            raise RunFolderError(f"{self.path}: {len(matches)} jobs begin with {start!r}: {some}; give more of it")
        known = jobs.head(_MOST_HINTED + 1).collect()["job"]
        hint = nearest(start, known) if len(known) <= _MOST_HINTED else ""
        raise RunFolderError(f"{self.path} has no job {start!r}{hint}; `options-bt results {self.path}` lists them")

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        from options_bt.analysis.notebook import run_html  # it reads runs

        return run_html(self)

    def _ledger(self) -> Ledger:
        return Ledger(self._folder.ledger, read_only=True)

    def _rows(self, table: Table, job: str | None) -> pl.DataFrame:
        if job is not None:
            return self.scan(table, [self.job_id(job)]).collect()
        order = self.scan_results().select("job").with_row_index("place").collect()
        joined = self.scan(table).collect().join(order, on="job", how="left", maintain_order="left")
        return joined.sort("place", maintain_order=True).drop("place")


def open_run(path: str | Path, cache: str | Path | None = None) -> Run:
    """Open a run folder.

    Parameters
    ----------
    path : str or Path
        Such as ``runs/grid``.
    cache : str or Path, optional
        The cached data, for trades and equity that the run did not keep: as given, else ``OPTIONS_BT_CACHE``, else
        ``./cache``.

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
    return Run(Path(path), cache_folder(cache))
