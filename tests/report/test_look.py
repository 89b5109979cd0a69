"""The colours of the page: what is read stands out from its ground, in both modes."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from options_bt.report.charts import COLORS

CSS = (files("options_bt.report") / "templates" / "report.css").read_text()
MODES = re.findall(r"--paper: (?:.|\n)*?\}", CSS)


def luminance(color: str) -> float:
    """Return the relative luminance of WCAG 2.2."""
    channels = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_contrast_of_known_colours() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("mode", MODES, ids=["light", "dark", "print"])
def test_text_and_lines_stand_out(mode: str) -> None:
    colors = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", mode))
    for ground in ("paper", "panel"):
        assert contrast(colors["ink"], colors[ground]) >= 7
        assert contrast(colors["muted"], colors[ground]) >= 4.5
        assert contrast(colors["accent"], colors[ground]) >= 4.5
        for series in COLORS:
            assert contrast(series, colors["paper"]) >= 3, series
    assert contrast(colors.get("focus", "#000000"), colors["paper"]) >= 3
