"""Two runs compared job by job, to the last bit, in chunks that fit in memory."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from options_bt.analysis.metric_differences import metric_differences
from options_bt.analysis.run_reader import Run, Table

SPAN_COLUMNS = ("symbol", "window", "role", "start", "end")
CHUNK = 500
"""The number of jobs whose trades or equity are in memory at once."""
CELLS = {"job": pl.String, "table": pl.String, "row": pl.Int64, "column": pl.String, "a": pl.String, "b": pl.String}


class Comparison(NamedTuple):
    """The differences between two runs.

    Attributes
    ----------
    jobs : int
        Jobs that both runs have.
    only_a, only_b : list of str
        Ids of jobs that only one run has.
    differing_cells, differing_jobs : int
        The number of cells that differ, and of common jobs with such a cell.
    not_kept : int
        Common jobs whose trades and equity were not compared, because one of the runs does not keep them.
    cells : polars.DataFrame
        ``job, table, row, column, a, b``: the first differing cells of each table, as text, by job and row; `job` is
        the id in A. A row that one run lacks differs in all its cells.
    metrics : polars.DataFrame
        From `metric_differences.metric_differences`.
    """

    jobs: int
    only_a: list[str]
    only_b: list[str]
    differing_cells: int
    differing_jobs: int
    not_kept: int
    cells: pl.DataFrame
    metrics: pl.DataFrame

    @property
    def equal(self) -> bool:
        """Whether they have the same jobs with bit-identical results, and trades and equity where both keep them."""
        return not (self.only_a or self.only_b or self.differing_cells)


class _Differences(NamedTuple):
    """The differing cells of a table: their number, the jobs that have them, and the first of them."""

    cells: int
    jobs: pl.Series
    first: pl.DataFrame


_NONE = _Differences(0, pl.Series("job", [], pl.String), pl.DataFrame(schema=CELLS))


def compare(a: Run, b: Run, most: int = 100_000) -> Comparison:
    """Compare two runs, with jobs paired by symbol, window, days and the values of the axes of both runs.

    Trades and equity are read in chunks of jobs, so that runs of any size fit in memory. They are compared where both
    runs keep them; nothing is recomputed.

    Parameters
    ----------
    a, b : Run
    most : int
        The number of differing cells to return for each table.

    Returns
    -------
    Comparison
        Cells come from the tables results, trades and equity. The ids of paired jobs count as a cell of the results.
    """
    key = [*SPAN_COLUMNS, *dict.fromkeys(name for run in (a, b) for name, _ in run.job.grid)]
    left, right = (run.results().with_columns(pl.col("job").alias("id")) for run in (a, b))
    ids = left.select("job", *key).join(
        right.select(pl.col("job").alias("job_b"), *key), on=key, how="full", nulls_equal=True, coalesce=True
    )
    pairs = left.select("job").join(ids.drop_nulls(["job", "job_b"]).select("job", "job_b"), on="job")
    results = _paired(left, right, pairs)
    batches = _batches(a, b, pairs)
    kept = batches.filter(pl.col("kept"))
    tables: tuple[Table, ...] = ("trades", "equity")
    found = [_differences("results", *results, most), *(_streamed(table, a, b, kept, most) for table in tables)]
    return Comparison(
        jobs=pairs.height,
        only_a=ids.filter(pl.col("job_b").is_null())["job"].to_list(),
        only_b=ids.filter(pl.col("job").is_null())["job_b"].to_list(),
        differing_cells=sum(one.cells for one in found),
        differing_jobs=pl.concat([one.jobs for one in found]).n_unique(),
        not_kept=batches.height - kept.height,
        cells=pl.concat([one.first for one in found]),
        metrics=metric_differences(*results),
    )


def _batches(a: Run, b: Run, pairs: pl.DataFrame) -> pl.DataFrame:
    """Return the batches of paired jobs in the order of A's plan, and whether both runs keep the tables of a pair."""
    complete = (pl.col("batch").is_not_null() | (pl.col("status") != "done")).alias("kept")  # failed jobs have no rows
    left, right = (run.batches().select("job", "batch", complete) for run in (a, b))
    return (
        left.join(pairs, on="job", maintain_order="left")
        .join(right.select(pl.all().name.suffix("_b")), on="job_b", maintain_order="left")
        .with_columns(pl.col("kept") & pl.col("kept_b"))
    )


def _streamed(table: Table, a: Run, b: Run, batches: pl.DataFrame, most: int) -> _Differences:
    """Return the differences between the trades or the equity of paired jobs, read chunk by chunk."""
    total = _NONE
    for chunk in batches.iter_slices(CHUNK):
        left = _rows(a, table, chunk["batch"], chunk["job"])
        right = _rows(b, table, chunk["batch_b"], chunk["job_b"])
        found = _differences(table, *_paired(left, right, chunk.select("job", "job_b")), most)
        total = _Differences(
            total.cells + found.cells,
            pl.concat([total.jobs, found.jobs]),
            pl.concat([total.first, found.first]).sort("job", "row", maintain_order=True).head(most),
        )
    return total


def _rows(run: Run, table: Table, batches: pl.Series, jobs: pl.Series) -> pl.DataFrame:
    numbers = batches.drop_nulls().unique().sort().to_list()
    return run.kept(table, numbers).filter(pl.col("job").is_in(jobs.to_list())).collect()


def _paired(a: pl.DataFrame, b: pl.DataFrame, pairs: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows of paired jobs of both runs, in the order of the pairs and with the ids of A."""
    order = pairs.with_row_index("pair")
    left = a.join(order.select("job", "pair"), on="job", maintain_order="left")
    right = b.rename({"job": "job_b"}).join(order, on="job_b", maintain_order="left")
    return (
        left.sort("pair", maintain_order=True).select(a.columns),
        right.sort("pair", maintain_order=True).select(a.columns),
    )


def _differences(table: str, left: pl.DataFrame, right: pl.DataFrame, most: int) -> _Differences:
    """Return the differing cells of paired jobs, with the rows of a job paired in their order."""
    if left.equals(right):
        return _NONE
    left, right = (_legs_as_text(side) for side in (left, right))
    columns = [name for name in left.columns if name != "job"]
    row = pl.int_range(pl.len()).over("job").alias("row")
    paired = left.with_columns(row, pl.lit(True).alias("in_a")).join(
        right.with_columns(row, pl.lit(True).alias("in_b")), on=["job", "row"], how="full", suffix="_b", coalesce=True
    )
    one_side = pl.col("in_a").is_null() | pl.col("in_b").is_null()
    differs = {name: (one_side | pl.col(name).ne_missing(pl.col(f"{name}_b"))).alias(name) for name in columns}
    count = sum(paired.select(flag.sum() for flag in differs.values()).row(0))
    rows = paired.filter(pl.any_horizontal(differs.values()))
    some = rows.sort("job", "row").head(most)
    cells = [
        some.filter(flag).select(
            "job",
            pl.lit(table).alias("table"),
            "row",
            pl.lit(name).alias("column"),
            pl.col(name).cast(pl.String).alias("a"),
            pl.col(f"{name}_b").cast(pl.String).alias("b"),
        )
        for name, flag in differs.items()
    ]
    first = pl.concat(cells).sort("job", "row", maintain_order=True).head(most)
    return _Differences(count, rows["job"].unique(), first)


def _legs_as_text(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with their lists of legs as text, which keeps every digit and can be compared and shown."""
    legs = (name for name, dtype in rows.schema.items() if dtype == pl.List)
    return rows.with_columns(pl.col(name).list.eval(pl.element().struct.json_encode()).list.join("; ") for name in legs)
