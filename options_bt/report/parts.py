"""The parts of a page: sections of text, tables and charts, as plain data for the template."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import polars as pl

from options_bt.analysis.formatting import cell_text

Figure: TypeAlias = dict[str, Any]
"""``data`` and ``layout`` for plotly.js, without NaN and with text escaped by `charts.label`."""


class Cell(NamedTuple):
    """A cell of a table.

    Attributes
    ----------
    text : str
    value : float or None
        The number to sort by in a numeric column; None comes last.
    link : str
        The target of the text on the page, as ``#id``; empty for plain text.
    """

    text: str
    value: float | None = None
    link: str = ""


class Column(NamedTuple):
    """A column of a table; by a `choice` column, readers can filter for the rows with one value."""

    name: str
    numeric: bool
    choice: bool = False


class Table(NamedTuple):
    """A table; with an id it can be filtered, and a folded one opens at a click on its caption."""

    caption: str
    columns: tuple[Column, ...]
    rows: list[list[Cell]]
    id: str = ""
    folded: bool = False

    def choices(self) -> list[tuple[int, str, list[str]]]:
        """Return number, name and sorted values of each choice column."""
        found = []
        for number, column in enumerate(self.columns):
            values = {row[number].text for row in self.rows} if column.choice else set()
            if 1 < len(values) <= _MOST_CHOICES:
                found.append((number, column.name, sorted(values)))
        return found


_MOST_CHOICES = 100


class Chart(NamedTuple):
    """A chart.

    Attributes
    ----------
    id : str
        Unique on the page; also the name of its image.
    summary : str
        What it shows, with the main numbers, for readers who cannot see it.
    """

    id: str
    title: str
    summary: str
    figure: Figure


class Heatmaps(NamedTuple):
    """A heatmap with axes for readers to choose; `choices` comes from `grids.heatmap_choices`."""

    chart: Chart
    choices: Mapping[str, Any]


class Text(NamedTuple):
    """Preformatted text under a title that opens and closes it."""

    title: str
    text: str
    open: bool = False


class Facts(NamedTuple):
    """A few important numbers with their names."""

    facts: tuple[tuple[str, str], ...]


class Choice(NamedTuple):
    """Panels that are shown one at a time: the id, name and parts of each."""

    id: str
    label: str
    panels: tuple[tuple[str, str, tuple[Part, ...]], ...]


Part: TypeAlias = Table | Chart | Heatmaps | Text | Facts | Choice


class Section(NamedTuple):
    """A section of the page: a note at the top, paragraphs, then parts."""

    id: str
    title: str
    paragraphs: tuple[str, ...]
    parts: tuple[Part, ...] = ()
    note: str = ""


def frame_table(
    caption: str,
    frame: pl.DataFrame,
    *,
    id: str = "",
    choices: Iterable[str] = (),
    links: Mapping[str, str] | None = None,
    like: Mapping[str, str] | None = None,
    folded: bool = False,
) -> Table:
    """Return a frame as a table.

    Parameters
    ----------
    caption : str
    frame : polars.DataFrame
    id : str
        Makes the table filterable.
    choices : iterable of str
        The columns to filter by.
    links : mapping of str to str, optional
        Text in the first column to the target of its link.
    like : mapping of str to str, optional
        Columns that are not metrics, to the metric that sets the format of their values.
    folded : bool
        As in `Table`.
    """
    columns = tuple(Column(name, frame[name].dtype.is_numeric(), name in set(choices)) for name in frame.columns)
    metrics = like or {}
    cells = [_cells(column, metrics.get(column.name, column.name), frame[column.name].to_list()) for column in columns]
    if links:
        cells[0] = [cell._replace(link=links.get(cell.text, "")) for cell in cells[0]]
    return Table(caption, columns, [list(row) for row in zip(*cells, strict=True)], id, folded)


def _cells(column: Column, metric: str, values: Sequence[Any]) -> list[Cell]:
    return [Cell(cell_text(metric, value), value if column.numeric else None) for value in values]


def charts_of(sections: Iterable[Section]) -> list[Chart]:
    """Return every chart of these sections, including those in panels."""
    return [chart for section in sections for part in section.parts for chart in _charts(part)]


def _charts(part: Part) -> list[Chart]:
    match part:
        case Chart():
            return [part]
        case Heatmaps():
            return [part.chart]
        case Choice():
            return [chart for _, _, parts in part.panels for inner in parts for chart in _charts(inner)]
        case _:
            return []
