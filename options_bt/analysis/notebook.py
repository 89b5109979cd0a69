"""A run as a notebook shows it."""

from __future__ import annotations

from html import escape

import polars as pl

from options_bt.analysis.run_reader import Run
from options_bt.analysis.tables import cell_text, data_text, headline, headline_columns, ranked

SHOWN = 10
"""Rows of the table."""


def run_html(run: Run) -> str:
    """Return a run as a few lines of HTML: what it is, how it stands, on what data, and its best backtests."""
    counts = ((pl.col("status") == status).sum().alias(status) for status in ("done", "failed"))
    done, failed = run.scan_results().select(counts).collect().row(0)
    state = f"{done:,} of {len(run.plan):,} backtests done, {failed:,} failed"
    shown = headline(run, ranked(run, top=SHOWN, columns=headline_columns(run)))
    caption = f"The best {shown.height:,} by {run.job.objective}" if shown.height else "No results yet"
    return (
        f"<div><p><strong>{escape(run.job.name)}</strong>: {state}<br>"
        f"{escape(data_text(run.info)).replace(chr(10), '<br>')}</p>{_table(caption, shown)}</div>"
    )


def _table(caption: str, frame: pl.DataFrame) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in frame.columns)
    cells = [[escape(cell_text(name, value)) for value in frame[name].to_list()] for name in frame.columns]
    body = "".join(f"<tr><td>{'</td><td>'.join(row)}</td></tr>" for row in zip(*cells, strict=True))
    return f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
