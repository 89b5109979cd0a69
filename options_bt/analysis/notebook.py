"""A run as a notebook shows it."""

from __future__ import annotations

from html import escape

import polars as pl

from options_bt.analysis.formatting import cell_text, data_text
from options_bt.runner.run_folder.folder import RunInfo


def run_html(info: RunInfo, state: str, best: pl.DataFrame) -> str:
    """Return a run as a few lines of HTML: its name and state, its data, and its best backtests."""
    caption = f"The best {best.height:,} by {info.job.objective}" if best.height else "No results yet"
    data = escape(data_text(info)).replace("\n", "<br>")
    return (
        f"<div><p><strong>{escape(info.job.name)}</strong>: {escape(state)}<br>{data}</p>{_table(caption, best)}</div>"
    )


def _table(caption: str, frame: pl.DataFrame) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in frame.columns)
    cells = [[escape(cell_text(name, value)) for value in frame[name].to_list()] for name in frame.columns]
    body = "".join(f"<tr><td>{'</td><td>'.join(row)}</td></tr>" for row in zip(*cells, strict=True))
    return f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
