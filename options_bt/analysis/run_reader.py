"""Run folders, opened for reading."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Literal

import polars as pl

from options_bt.analysis.notebook import run_html
from options_bt.analysis.ranking import leaderboard, ranked
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
_TABLES = {"trades": trades_table, "equity": equity_table}
_MOST_HINTED = 10_000  # jobs among which the nearest id is looked up
_NOTEBOOK_ROWS = 10


class Run:
    """The results of a run, finished or not.

    Parameters
    ----------
    path : Path
        The run folder.
    cache : Path
        The data cache, from which trades and equity that the run did not keep are recomputed.

    Raises
    ------
    RunFolderError
        When the folder is not a run.
    """

    def __init__(self, path: Path, cache: Path) -> None:
        self._folder = RunFolder(path)
        self._cache = cache
        self.path = path
        self.info: RunInfo = self._folder.info()
        self._snapshot: pl.LazyFrame | None = None

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
            ``job, symbol, window, role, start, end, status``, every parameter, every metric and every refusal
            counter. `status` is ``done`` or ``failed``. Undefined metrics and the metrics of failed jobs are null.

        Examples
        --------
        >>> run = example_run()
        >>> run.results().select("symbol", "delta", "status").rows()
        [('SPY', 0.15, 'done'), ('SPY', 0.25, 'done')]
        """
        return self.scan_results().collect()

    def scan_results(self) -> pl.LazyFrame:
        """Return `results` as a lazy frame, for reading only some rows or columns of a large run."""
        if self._snapshot is not None:
            return self._snapshot
        if self._folder.results.is_file():
            return pl.scan_parquet(self._folder.results)
        with closing(self._ledger()) as ledger:
            return results_table(self.plan, ledger).lazy()

    def snapshot(self) -> Run:
        """Return this run with the results it has now, even if it is still running."""
        frozen = copy(self)
        frozen._snapshot = self.scan_results()
        return frozen

    def ranked(self, by: str | None = None, *, top: int | None = None, where: str | None = None) -> pl.DataFrame:
        """Return results with all columns, best first.

        Parameters
        ----------
        by : str, optional
            The column to rank by; the job's objective by default. Numbers are sorted from the best down, text and dates
            upwards; null comes last, and ties keep the order of the plan.
        top : int, optional
            The number of rows; all by default.
        where : str, optional
            SQL condition over the columns, such as ``delta > 0.18``.

        Raises
        ------
        InputError
            When `by` is not a column or `where` is not a condition.

        Examples
        --------
        >>> example_run().ranked("delta", top=1, where="delta > 0.1")["delta"].to_list()
        [0.25]
        """
        return ranked(self.scan_results(), by or self.job.objective, top=top, where=where)

    def leaderboard(self, by: str | None = None, *, top: int | None = None, where: str | None = None) -> pl.DataFrame:
        """Return `ranked` with only the columns that tell the jobs apart and the main metrics."""
        return leaderboard(self.scan_results(), self.job, by or self.job.objective, top=top, where=where)

    def trades(self, job: str | None = None) -> pl.DataFrame:
        """Return the trades of one job or of all, in the order of the plan and of their entry.

        Trades that the run did not keep (`keep` in the job file) are recomputed from the cached data, the same to the
        last bit.

        Parameters
        ----------
        job : str, optional
            Id of a job, or enough of its first characters to identify it.

        Returns
        -------
        polars.DataFrame
            The columns of docs/semantics.md, section 7. Prices are dollars per share, in shares of the exit day.

        Raises
        ------
        RunFolderError
            When no such job has ended, or files are missing, or trades cannot be recomputed because the cached data
            have changed or more than `runner.run_folder.recompute.MOST` jobs would be needed.

        Examples
        --------
        >>> run = example_run()
        >>> first = run.results()["job"][0]
        >>> run.trades(first).height == run.results()["trades"][0]
        True
        """
        return self._rows("trades", job)

    def equity(self, job: str | None = None) -> pl.DataFrame:
        """Return the equity of one job or of all, one row for each quote day; recomputed where `trades` would be.

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
        """Return the trades or equity of these jobs or of all as a lazy frame, for tables larger than memory.

        Parameters
        ----------
        table : {'trades', 'equity'}
        jobs : sequence of str, optional
            Ids.

        Returns
        -------
        polars.LazyFrame
            The columns of `trades` or `equity`: kept rows batch by batch, then recomputed ones.

        Raises
        ------
        RunFolderError
            As in `trades`.

        Examples
        --------
        >>> run = example_run()
        >>> run.scan("equity").select("job").unique().collect().height
        2
        """
        with closing(self._ledger()) as ledger:
            rows, ended = ledger.job_batches(jobs), sum(ledger.counts())
            if not ended:
                raise RunFolderError(f"{self.path} has no finished backtest yet")
            kept = self.kept(table, sorted({batch for _, _, batch in rows if batch is not None}))
            if len(rows) < ended:
                kept = kept.filter(pl.col("job").is_in([job for job, _, _ in rows]))
            others = [job for job, state, batch in rows if batch is None and state == "done"]
            if not others:
                return kept
            if len(others) > MOST:
                raise RunFolderError(
                    f"{self.path} did not keep the trades and equity of {len(others):,} of these {len(rows):,} "
                    f"backtests, and at most {MOST:,} are recomputed. Run its job file with `run: {{keep: all}}` to "
                    "add them, or ask for single backtests"
                )
            return pl.concat([kept, recomputed(_TABLES[table], self.info, ledger, others, self._cache).lazy()])

    def kept(self, table: Table, batches: Iterable[int]) -> pl.LazyFrame:
        """Return what is on the disk of the trades or equity of these batches, numbered as in `batches`.

        Raises
        ------
        RunFolderError
            When files are missing.
        """
        paths = [self._folder.part(table, number) for number in batches]
        missing = [str(path) for path in paths if not path.is_file()]
        if missing:
            raise RunFolderError(f"{self.path} is missing {len(missing)} of its files, the first is {missing[0]}")
        return pl.scan_parquet(paths) if paths else _TABLES[table]([]).lazy()

    def batches(self) -> pl.DataFrame:
        """Return the batch whose files hold the trades and the equity of each job.

        Returns
        -------
        polars.DataFrame
            ``job, status, batch``, in the order of the plan; `batch` is null for a failed job, and for one whose
            trades and equity are not kept.
        """
        with closing(self._ledger()) as ledger:
            rows = ledger.job_batches()
        return pl.DataFrame(rows, {"job": pl.String, "status": pl.String, "batch": pl.Int64}, orient="row")

    def failures(self, first: int | None = None) -> list[Failure]:
        """Return all failed jobs, or only the first ones, each with its spec and its error."""
        with closing(self._ledger()) as ledger:
            return ledger.failures(first)

    def job_id(self, start: str) -> str:
        """Return the whole id of a job from its first characters.

        Raises
        ------
        RunFolderError
            When no job or more than one has an id that begins with `start`.
        """
        jobs = self.scan_results().select("job")
        matches = jobs.filter(pl.col("job").str.starts_with(start)).collect()["job"].to_list()
        if len(matches) == 1:
            return str(matches[0])
        if matches:
            some = ", ".join(matches[:5])
            raise RunFolderError(f"{self.path}: {len(matches)} jobs begin with {start!r}: {some}; give more characters")
        known = jobs.head(_MOST_HINTED + 1).collect()["job"]
        hint = nearest(start, known) if len(known) <= _MOST_HINTED else ""
        raise RunFolderError(f"{self.path} has no job {start!r}{hint}; `options-bt results {self.path}` lists them")

    def _repr_html_(self) -> str:
        """Return the run as a notebook shows it."""
        counts = ((pl.col("status") == status).sum().alias(status) for status in ("done", "failed"))
        done, failed = self.scan_results().select(counts).collect().row(0)
        state = f"{done:,} of {len(self.plan):,} backtests done, {failed:,} failed"
        return run_html(self.info, state, self.leaderboard(top=_NOTEBOOK_ROWS))

    def _ledger(self) -> Ledger:
        return Ledger(self._folder.ledger, read_only=True)

    def _rows(self, table: Table, job: str | None) -> pl.DataFrame:
        if job is not None:
            return self.scan(table, [self.job_id(job)]).collect()
        order = self.scan_results().select("job").with_row_index("position").collect()
        joined = self.scan(table).collect().join(order, on="job", how="left", maintain_order="left")
        return joined.sort("position", maintain_order=True).drop("position")


def open_run(path: str | Path, cache: str | Path | None = None) -> Run:
    """Open a run folder.

    Parameters
    ----------
    path : str or Path
        Such as ``runs/grid``.
    cache : str or Path, optional
        The data cache, for trades and equity that the run did not keep; ``OPTIONS_BT_CACHE`` by default, or
        ``./cache`` where that is not set.

    Returns
    -------
    Run

    Raises
    ------
    RunFolderError
        When the folder is not a run.

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
