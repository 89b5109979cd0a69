"""A page as its reader's program sees it."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any, NamedTuple

VOID = ("meta", "link", "input", "br", "img")


class Element(NamedTuple):
    """An element with its attributes, the elements around it, and the text directly or indirectly in it."""

    name: str
    attributes: dict[str, str]
    around: tuple[Element, ...]
    texts: list[str]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


class Page(HTMLParser):
    """Every element of a page, in its order; it must close what it opens."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, tuple(self._open), [])
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().name == tag

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.texts.append(data)

    def all(self, name: str, **attributes: str) -> list[Element]:
        wanted = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
        return [
            element for element in self.elements
            if element.name == name and all(element.attributes.get(key) == value for key, value in wanted.items())
        ]  # fmt: skip

    def one(self, name: str, **attributes: str) -> Element:
        (element,) = self.all(name, **attributes)
        return element

    def within(self, element: Element, name: str) -> list[Element]:
        return [one for one in self.elements if one.name == name and any(outer is element for outer in one.around)]

    def json(self, id: str) -> Any:
        return json.loads("".join(self.one("script", id=id).texts))

    def table(self, caption: str) -> list[list[str]]:
        """Return the rows of the table whose caption begins so, the head first."""
        (table,) = [one.around[-1] for one in self.all("caption") if one.text.startswith(caption)]
        rows = self.within(table, "tr")
        return [[cell.text for cell in self.elements if cell.around and cell.around[-1] is row] for row in rows]
