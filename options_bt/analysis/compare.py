"""Do two runs give the same results? Compared job by job, to the last bit, in chunks that memory holds."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from options_bt.analysis.metric_differences import metric_differences
from options_bt.analysis.run_reader import Run, Table

PLACE = ("symbol", "window", "role", "start", "end")
CHUNK = 500
"""Jobs whose trades or equity are held at once."""
CELLS = {
    "job": pl.String,
    "table": pl.String,
    "row": pl.Int64,
    "column": pl.String,
    "a": pl.String,
    "b": pl.String,
}


class Comparison(NamedTuple):
    """How two runs differ.

    Attributes
    ----------
    jobs : int
        Jobs that both have.
    only_a, only_b : list of str
        Ids of jobs that only one has.
    differing_cells, differing_jobs : int
        How many cells differ, and how many common jobs have such a cell.
    not_kept : int
        Common jobs whose trades and equity were not compared, since one of the runs does not keep them.
    cells : polars.DataFrame
        ``job, table, row, column, a, b``: the first cells of each table that differ, as text, by job and row; `job` is
        the id in A. A row that one of them lacks differs in all its cells.
    metrics : polars.DataFrame
        As `metric_differences.metric_differences` gives it.
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
    """Differing cells of a table: how many, of which jobs, and the first of them."""

    cells: int
    jobs: pl.Series
    first: pl.DataFrame


_NONE = _Differences(0, pl.Series("job", [], pl.String), pl.DataFrame(schema=CELLS))


def compare(a: Run, b: Run, most: int = 100_000) -> Comparison:
    """Compare two runs; their jobs are paired by symbol, window, days and the values of both runs' axes.

    Trades and equity are read in chunks of jobs, so that memory holds runs of any size. They are compared where both
    runs keep them; nothing is computed again.

    Parameters
    ----------
    a, b : Run
    most : int
        How many differing cells of each table to keep.

    Returns
    -------
    Comparison
        Cells of the tables results, trades and equity; the ids of paired jobs are a cell of the results.
    """
    key = [*PLACE, *dict.fromkeys(name for run in (a, b) for name, _ in run.job.grid)]
    left, right = (run.results().with_columns(pl.col("job").alias("id")) for run in (a, b))
    ids = left.select("job", *key).join(
        right.select(pl.col("job").alias("job_b"), *key), on=key, how="full", nulls_equal=True, coalesce=True
    )
    pairs = left.select("job").join(ids.drop_nulls(["job", "job_b"]).select("job", "job_b"), on="job")
    results = _paired(left, right, pairs)
    batches = _batches(a, b, pairs)
    kept = batches.filter(pl.col("kept"))
    found = [
        _differences("results", *results, most),
        _streamed("trades", a, b, kept, most),
        _streamed("equity", a, b, kept, most),
    ]
    return Comparison(
        pairs.height,
        ids.filter(pl.col("job_b").is_null())["job"].to_list(),
        ids.filter(pl.col("job").is_null())["job_b"].to_list(),
        sum(one.cells for one in found),
        pl.concat([one.jobs for one in found]).n_unique(),
        batches.height - kept.height,
        pl.concat([one.first for one in found]),
        metric_differences(*results),
    )


def _batches(a: Run, b: Run, pairs: pl.DataFrame) -> pl.DataFrame:
    """Return the batches of the paired jobs in the order of A's plan, and whether both keep all there is of a pair."""
    no_more = (pl.col("batch").is_not_null() | (pl.col("status") != "done")).alias("kept")
    left, right = (run.batches().select("job", "batch", no_more) for run in (a, b))
    return (
        left.join(pairs, on="job", maintain_order="left")
        .join(right.select(pl.all().name.suffix("_b")), on="job_b", maintain_order="left")
        .with_columns(pl.col("kept") & pl.col("kept_b"))
    )


def _streamed(table: Table, a: Run, b: Run, batches: pl.DataFrame, most: int) -> _Differences:
    """Return the differences of the trades or the equity of paired jobs, chunk by chunk."""
    total = _NONE
    for chunk in batches.iter_slices(CHUNK):
        ours = _rows(a, table, chunk["batch"], chunk["job"])
        theirs = _rows(b, table, chunk["batch_b"], chunk["job_b"])
        found = _differences(table, *_paired(ours, theirs, chunk.select("job", "job_b")), most)
        total = _Differences(
            total.cells + found.cells,
            pl.concat([total.jobs, found.jobs]),
            pl.concat([total.first, found.first]).sort("job", "row", maintain_order=True).head(most),
        )
    return total


def _rows(run: Run, table: Table, batches: pl.Series, jobs: pl.Series) -> pl.DataFrame:
    parts = batches.drop_nulls().unique().sort().to_list()  # a job that failed has none
    return run.kept(table, parts).filter(pl.col("job").is_in(jobs.to_list())).collect()


def _paired(a: pl.DataFrame, b: pl.DataFrame, pairs: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows of the paired jobs of both, in the order of the pairs and under A's ids."""
    places = pairs.with_row_index("place")
    left = a.join(places.select("job", "place"), on="job", maintain_order="left")
    right = b.rename({"job": "job_b"}).join(places, on="job_b", maintain_order="left").drop("job_b")
    return tuple(  # type: ignore[return-value]  # two of them
        side.sort("place", maintain_order=True).select(a.columns) for side in (left, right)
    )


def _differences(table: str, left: pl.DataFrame, right: pl.DataFrame, most: int) -> _Differences:
    """Return the differing cells of paired jobs, a job's rows paired by their order."""
    if left.equals(right):
        return _NONE
    left, right = (_as_text(side) for side in (left, right))
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


def _as_text(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with the lists of legs as text, which has every digit, and can be compared and shown."""
    legs = (name for name, dtype in rows.schema.items() if dtype == pl.List)
    return rows.with_columns(pl.col(name).list.eval(pl.element().struct.json_encode()).list.join("; ") for name in legs)
