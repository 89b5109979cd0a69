"""The charts of a report as images, drawn by Chrome or Chromium through kaleido."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from options_bt.analysis.run_reader import Run
from options_bt.errors import InputError, MissingExtraError
from options_bt.report.html import sections_of
from options_bt.report.parts import Chart, charts_of
from options_bt.storage import storage_errors

WIDTH = 900
"""The width of an image in pixels."""


def write_images(run: Run, folder: Path, form: Literal["svg", "png"]) -> list[Path]:
    """Write every chart of a run's report into a folder, as ``<id of the chart>.<form>``.

    Parameters
    ----------
    run : Run
    folder : Path
        Created if it does not exist; other files in it are left alone.
    form : {'svg', 'png'}

    Returns
    -------
    list of Path

    Raises
    ------
    InputError
        When Chrome or Chromium is not installed.
    MissingExtraError
        Without kaleido.
    StorageError
        When the files cannot be written.
    """
    charts = charts_of(sections_of(run))
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        draw(charts, folder, form)
    return [folder / f"{chart.id}.{form}" for chart in charts]


def draw(charts: list[Chart], folder: Path, form: Literal["svg", "png"]) -> None:
    """Draw charts into a folder, with their ids as file names.

    Raises
    ------
    InputError, MissingExtraError
        As in `write_images`.
    """
    try:
        import kaleido
        from choreographer.errors import ChromeNotFoundError
    except ImportError as error:
        raise MissingExtraError("Images of charts", str(error.name).partition(".")[0], "report") from None
    try:
        # Otherwise kaleido fetches MathJax from the network.
        kaleido.write_fig_from_object_sync([_image(chart, folder, form) for chart in charts], kopts={"mathjax": False})
    except ChromeNotFoundError:
        raise InputError(
            "images need Chrome or Chromium, and none was found; on Debian and Ubuntu: apt install chromium; elsewhere "
            "install Chrome, or set BROWSER_PATH to its path"
        ) from None


def _image(chart: Chart, folder: Path, form: str) -> dict[str, Any]:
    layout = chart.figure["layout"]
    margin = layout["margin"] | {"t": 60}
    figure = chart.figure | {"layout": layout | {"title": {"text": chart.title}, "margin": margin}}
    opts = {"format": form, "width": WIDTH, "height": layout["height"] + 44, "scale": 2 if form == "png" else 1}
    return {"fig": figure, "path": folder / f"{chart.id}.{form}", "opts": opts}
