"""Results as people read them: ranked, filtered, printed."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Literal

import polars as pl

from options_bt.analysis.compare import Comparison
from options_bt.analysis.run_reader import Run
from options_bt.engine.metrics import METRICS
from options_bt.errors import InputError, nearest
from options_bt.job.objectives import LOWER_IS_BETTER, OBJECTIVES
from options_bt.runner.run_folder.folder import RunInfo
from options_bt.runner.run_folder.ledger import Failure

Format = Literal["table", "csv", "json", "parquet"]
HEADLINE = ("trades", "win_rate", "total_pnl", "total_return", "sharpe", "max_drawdown", "profit_factor", "stale_days")
"""The metrics of the printed table, after the one that it is sorted by."""
_DOLLARS = frozenset({"premium", "exit_cost", "pnl"})
PERCENT = frozenset({"win_rate", "total_return", "max_drawdown", "cagr", "exposure", "cvar_95"})
_SHARES = frozenset({"share", "in_sample", "out_of_sample", "return_low", "return_high", "psr", "dsr"})
_TWO_DIGITS = frozenset({*METRICS, *_DOLLARS, "efficiency", "distance"})
_OF_WHAT = re.compile("^(train|test|best|mean)_(?=.)")
"""What stands before a metric in walk-forward tables."""


def ranked(
    run: Run,
    *,
    sort: str | None = None,
    top: int | None = None,
    where: str | None = None,
    columns: Sequence[str] | None = None,
) -> pl.DataFrame:
    """Return a run's results, best first.

    Parameters
    ----------
    run : Run
    sort : str, optional
        A column; the job's objective by default. Undefined values come last, ties keep the plan's order.
    top : int, optional
        How many rows.
    where : str, optional
        SQL condition over the columns, such as ``delta > 0.18``.
    columns : sequence of str, optional
        Which to read; all by default.

    Raises
    ------
    InputError
        When `sort` is no column or `where` no condition.
    """
    rows = run.scan_results()
    known = rows.collect_schema()
    by = sort or run.job.objective
    if by not in known:
        raise InputError(f"--sort: got {by!r}{nearest(by, known)}; allowed: {', '.join(known)}")
    descending = by not in LOWER_IS_BETTER and known[by].is_numeric()
    try:
        rows = rows if where is None else rows.filter(pl.sql_expr(where))
        if top is not None:
            # Of very many rows only what ranks them is read, and then what is shown of the first.
            first = (
                rows.select(list(dict.fromkeys(["job", by]))).pipe(_in_order, by, descending).head(top).collect()["job"]
            )
            rows = rows.filter(pl.col("job").is_in(first.implode()))
        return _in_order(rows, by, descending).select(columns or known.names()).collect()
    except (pl.exceptions.PolarsError, ValueError) as error:
        if where is None:
            raise
        reason = str(error).splitlines()[0].partition("; valid columns")[0]
        raise InputError(f"--where {where!r}: {reason}; allowed: an SQL condition over {', '.join(known)}") from None


def _in_order(rows: pl.LazyFrame, by: str, descending: bool) -> pl.LazyFrame:
    return rows.sort(by, descending=descending, nulls_last=True, maintain_order=True)


def headline_columns(run: Run, sort: str | None = None) -> list[str]:
    """Return the columns that tell the rows apart, and the metrics that people look at first."""
    axes = [name for name, _ in run.job.grid]
    place = ["job", "symbol"] + (["window", "role"] if run.job.windows else [])
    return list(dict.fromkeys([*place, *axes, "status", sort or run.job.objective, *HEADLINE]))


def headline(run: Run, results: pl.DataFrame, sort: str | None = None) -> pl.DataFrame:
    """Return the headline columns of these results; the status only where some are not done."""
    shown = results.select(headline_columns(run, sort))
    # Of results ranked by their status it is what was asked for.
    return shown if sort == "status" or (shown["status"] != "done").any() else shown.drop("status")


def failures_table(run: Run, failures: Sequence[Failure]) -> pl.DataFrame:
    """Return what failed and why: job, symbol, the axes of the grid, attempts, and the last line of the error."""
    rows = []
    for failure in failures:
        row = run.plan[failure.position].row()
        axes = {name: str(row[name]) for name, _ in run.job.grid}
        why = failure.error.strip().splitlines()[-1]
        rows.append({"job": failure.job, "symbol": row["symbol"], **axes, "attempts": failure.attempts, "why": why})
    return pl.DataFrame(rows)


def data_text(info: RunInfo) -> str:
    """Return what data a run was on: source, commit, and the symbols whose closes are not those of trades."""
    commit = f", commit {info.source_revision}" if info.source_revision else ""
    implied = [f"{symbol} on {days:,} days" for symbol, days in info.implied_closes.items()]
    closes = f"\nCloses implied by put-call parity: {', '.join(implied)}" if implied else ""
    return f"Data: {info.source}{commit}{closes}"


def formatted(frame: pl.DataFrame, form: Format) -> bytes:
    """Return a frame as UTF-8 text for people or programs, or as Parquet."""
    if form == "table":
        return text_table(frame).encode()
    if form == "csv":
        return frame.write_csv(None).encode()
    if form == "json":
        return frame.write_json().encode() + b"\n"
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def job_text(run: Run, start: str) -> str:
    """Return one backtest of a run as text: parameters, metrics, refusals, trades.

    Raises
    ------
    RunFolderError
        When no job, or more than one, has an id that begins with `start`.
    """
    job = run.job_id(start)
    row = run.scan_results().filter(pl.col("job") == job).collect().row(0, named=True)
    refusals = {name: value for name, value in row.items() if name.startswith("refused_")}
    metrics = {name: row[name] for name in METRICS if name not in refusals}
    parameters = {name: value for name, value in row.items() if name not in METRICS}
    sections = {"Parameters": parameters, "Metrics": metrics, "Refusals": {k: v for k, v in refusals.items() if v}}
    blocks = [f"{title}\n{_listed(values)}" for title, values in sections.items()]
    if row["status"] == "failed":
        failure = next(failure for failure in run.failures() if failure.job == job)
        return "\n".join([*blocks, f"Failed after {failure.attempts} attempts\n{failure.error}"])
    return "\n".join([*blocks, f"Trades\n{text_table(trade_lines(run.trades(job)))}"])


def _listed(values: dict[str, object]) -> str:
    width = max(map(len, values), default=0)
    return "".join(f"  {name:<{width}}  {cell_text(name, value)}\n" for name, value in values.items()) or "  none\n"


def trade_lines(trades: pl.DataFrame) -> pl.DataFrame:
    """Return trades as people read them: a line each, with the legs as text such as ``-1x450.0p +1x445.0p``."""
    side = pl.when(pl.element().struct.field("side") == "short").then(pl.lit("-")).otherwise(pl.lit("+"))
    ratio, strike, right = (pl.element().struct.field(name) for name in ("ratio", "strike", "right"))
    leg = pl.format("{}{}x{}{}", side, ratio, strike, right.str.slice(0, 1))
    columns = ("entry_date", "exit_date", "expiration", "contracts", "premium", "exit_cost", "fees", "pnl")
    legs = pl.col("legs").list.eval(leg).list.join(" ")
    return trades.select("entry_date", "exit_date", "expiration", legs, *columns[3:], "exit_reason", "stale_days")


def comparison_text(comparison: Comparison, top: int) -> str:
    """Return a comparison as text, with the first `top` differing cells."""
    kept = comparison.jobs - comparison.not_kept
    only = (
        f"; trades and equity of {kept:,} were compared, the others are not kept by both" if comparison.not_kept else ""
    )
    if comparison.equal:
        return f"{comparison.jobs} jobs are bit-identical in results{only or ', trades and equity'}\n"
    lines = [f"{len(jobs)} jobs only in {run}: {', '.join(jobs[:5])}"
             for run, jobs in (("A", comparison.only_a), ("B", comparison.only_b)) if jobs]  # fmt: skip
    if comparison.differing_cells:
        count, jobs = comparison.differing_cells, comparison.differing_jobs
        lines += [f"{count} cells of {jobs} common jobs differ{only}", text_table(comparison.cells.head(top))]
    metrics = _metrics_that_differ(comparison.metrics)
    if metrics.height:
        lines += ["Metrics of the common jobs, B against A:", text_table(metrics, right=metrics.columns[1:])]
    return "\n".join(lines).rstrip("\n") + "\n"


def _metrics_that_differ(metrics: pl.DataFrame) -> pl.DataFrame:
    """Return the metrics that people look at first and that differ, each as it is written."""
    names = tuple(dict.fromkeys((*OBJECTIVES, *HEADLINE)))
    shown = metrics.filter(pl.col("metric").is_in(names), pl.col("same") < pl.col("jobs"))
    values = ("mean_a", "mean_b", "difference", "median_a", "median_b")
    written = (
        pl.Series(
            name, [cell_text(metric, value) for metric, value in shown.select("metric", name).iter_rows()], pl.String
        )
        for name in values
    )
    symbols = pl.format("{}:{}", "symbols_better", "symbols_worse").alias("symbols")
    counts = ("better", "worse", "same", symbols, pl.col("chance").round_sig_figs(3))
    return shown.with_columns(written).select("metric", "jobs", *values, *counts)


def text_table(frame: pl.DataFrame, right: Sequence[str] = ()) -> str:
    """Return a frame as an aligned table: numbers, and the columns named, to the right; undefined as a dash."""
    columns = [[cell_text(name, value) for value in frame[name].to_list()] for name in frame.columns]
    widths = [max(map(len, [name, *cells])) for name, cells in zip(frame.columns, columns, strict=True)]
    to_right = [frame[name].dtype.is_numeric() or name in right for name in frame.columns]

    def line(cells: list[str]) -> str:
        padded = (
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(cells, widths, to_right, strict=True)
        )
        return "  ".join(padded).rstrip()

    lines = [line(list(frame.columns)), line(["-" * width for width in widths])]
    lines += [line(list(row)) for row in zip(*columns, strict=True)]
    return "\n".join(lines) + "\n"


def cell_text(name: str, value: object) -> str:
    """Return a value of the column `name` as text: shares as percent, other metrics with two digits, null as a dash."""
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    name = _OF_WHAT.sub("", name)
    if name in PERCENT or name in _SHARES:
        return f"{value:.2%}"
    return f"{value:,.2f}" if name in _TWO_DIGITS else f"{value:.12g}"
