"""What a page is made of: sections of text, tables and charts, as plain data that the template shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import polars as pl

from options_bt.analysis.tables import cell_text

Figure: TypeAlias = dict[str, Any]
"""``data`` and ``layout`` as plotly.js takes them: no value is NaN, and text is escaped by `charts.label`."""


class Cell(NamedTuple):
    """A cell of a table.

    Attributes
    ----------
    text : str
    value : float or None
        What a column of numbers is sorted by; None comes last.
    link : str
        Where the text leads on the page, as ``#id``; empty for plain text.
    """

    text: str
    value: float | None = None
    link: str = ""


class Column(NamedTuple):
    """A column of a table; of one that is a choice, the reader may ask for the rows of one value."""

    name: str
    numeric: bool
    choice: bool = False


class Table(NamedTuple):
    """A table; one with an id can be filtered, a folded one is opened by its caption."""

    caption: str
    columns: tuple[Column, ...]
    rows: list[list[Cell]]
    id: str = ""
    folded: bool = False

    def choices(self) -> list[tuple[int, str, list[str]]]:
        """Return number, name and values, in the order of the rows' own, of each column that is a choice."""
        found = []
        for number, column in enumerate(self.columns):
            values = list(dict.fromkeys(row[number].text for row in self.rows)) if column.choice else []
            if 1 < len(values) <= _MOST_CHOICES:
                found.append((number, column.name, sorted(values)))
        return found


_MOST_CHOICES = 100


class Chart(NamedTuple):
    """A chart.

    Attributes
    ----------
    id : str
        Its own on the page; the name of its image.
    summary : str
        What it shows, with the main numbers: for those who do not see it.
    """

    id: str
    title: str
    summary: str
    figure: Figure


class Heatmaps(NamedTuple):
    """Heatmaps of which the reader chooses the axes; `choices` is what `grids.heatmap_choices` gives."""

    chart: Chart
    choices: Mapping[str, Any]


class Text(NamedTuple):
    """Text as it was written, line by line, behind a heading that opens it; open from the start where it says so."""

    title: str
    text: str
    open: bool = False


class Facts(NamedTuple):
    """A few numbers with their names, to be seen first."""

    facts: tuple[tuple[str, str], ...]


class Choice(NamedTuple):
    """Panels of which one is seen at a time: id, name and parts of each."""

    id: str
    label: str
    panels: tuple[tuple[str, str, tuple[Part, ...]], ...]


Part: TypeAlias = Table | Chart | Heatmaps | Text | Facts | Choice


class Section(NamedTuple):
    """A section of the page: a note to be seen before all else, its paragraphs, then its parts."""

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
        Makes it filterable.
    choices : iterable of str
        The columns whose values can be chosen.
    links : mapping of str to str, optional
        Where a text of the first column leads.
    like : mapping of str to str, optional
        Of columns that are no metrics: the metric as which their values are written.
    folded : bool
        As `Table` has it.
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
    """Return every chart of these sections, those of panels too."""
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
