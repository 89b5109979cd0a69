"""Do two runs give the same results? Compared job by job, to the last bit."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from options_bt.analysis.opened import Run

PLACE = ("symbol", "window", "role", "start", "end")


class Comparison(NamedTuple):
    """How two runs differ.

    Attributes
    ----------
    jobs : int
        Jobs that both have.
    only_a, only_b : list of str
        Ids of jobs that only one has.
    cells : polars.DataFrame
        ``job, table, row, column, a, b``: every cell that differs, as text; `job` is the id in A. A row
        that one of them lacks differs in all its cells.
    """

    jobs: int
    only_a: list[str]
    only_b: list[str]
    cells: pl.DataFrame

    @property
    def equal(self) -> bool:
        """Whether the runs have the same jobs with bit-identical results, trades and equity."""
        return not (self.only_a or self.only_b or self.cells.height)


def compare(a: Run, b: Run) -> Comparison:
    """Compare two runs; their jobs are paired by symbol, window, days and the values of both runs' axes.

    Parameters
    ----------
    a, b : Run

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
    pairs = ids.drop_nulls(["job", "job_b"]).select("job", "job_b")
    tables = {
        "results": (left, right),
        "trades": (_trades(a), _trades(b)),
        "equity": (a.equity(), b.equity()),
    }
    return Comparison(
        pairs.height,
        ids.filter(pl.col("job_b").is_null())["job"].to_list(),
        ids.filter(pl.col("job").is_null())["job_b"].to_list(),
        pl.concat([_differences(name, pairs, *pair) for name, pair in tables.items()]),
    )


def _trades(run: Run) -> pl.DataFrame:
    # As text a list of legs has every digit, and can be compared and shown.
    return run.trades().with_columns(pl.col("legs").list.eval(pl.element().struct.json_encode()).list.join("; "))


def _differences(table: str, pairs: pl.DataFrame, a: pl.DataFrame, b: pl.DataFrame) -> pl.DataFrame:
    """Give the differing cells of the paired jobs, a job's rows paired by their order."""
    columns = [name for name in a.columns if name != "job"]
    row = pl.int_range(pl.len()).over("job").alias("row")
    left = a.join(pairs.select("job"), on="job", how="semi").with_columns(row, pl.lit(True).alias("in_a"))
    renamed = b.rename({"job": "job_b"}).join(pairs, on="job_b", maintain_order="left").drop("job_b")
    right = renamed.with_columns(row, pl.lit(True).alias("in_b"))
    paired = left.join(right, on=["job", "row"], how="full", suffix="_b", coalesce=True)
    one_side = pl.col("in_a").is_null() | pl.col("in_b").is_null()
    found = [
        paired.filter(one_side | pl.col(name).ne_missing(pl.col(f"{name}_b"))).select(
            "job",
            pl.lit(table).alias("table"),
            "row",
            pl.lit(name).alias("column"),
            pl.col(name).cast(pl.String).alias("a"),
            pl.col(f"{name}_b").cast(pl.String).alias("b"),
        )
        for name in columns
    ]
    return pl.concat(found).sort("job", "row", maintain_order=True)
