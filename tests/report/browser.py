"""Chromium without a window, driven by playwright, with the page of a run in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
REASON = "no Chromium or Chrome in PATH; on Debian and Ubuntu: apt install chromium"


def require_chromium() -> None:
    """Skip a test where there is no browser; in CI there must be one."""
    if CHROMIUM is None and os.environ.get("CI"):
        pytest.fail(REASON)
    if CHROMIUM is None:
        pytest.skip(REASON)


class Opened(NamedTuple):
    """A page in the browser, and what it should not have: messages and requests."""

    page: Page
    messages: list[str]
    requests: list[str]

    def expect_silence(self) -> None:
        """Check that nothing was complained of and nothing asked for but the file itself."""
        assert self.messages == []
        assert [one for one in self.requests if not one.startswith(("data:", "blob:"))] == [self.page.url.split("#")[0]]


@contextmanager
def browser() -> Iterator[Browser]:
    """Start a browser with a profile that vanishes with it."""
    with sync_playwright() as playwright:
        root = os.geteuid() == 0  # whom Chromium refuses its sandbox
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"] if root else [])
        try:
            yield started
        finally:
            started.close()


def opened(started: Browser, file: Path, **context: Any) -> Opened:
    """Open a file, with settings of its own such as ``viewport`` and ``color_scheme``, and wait for its charts."""
    page = started.new_context(**context).new_page()
    messages: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: messages.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: messages.append(f"error: {error}"))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_selector(".js-plotly-plot .main-svg")
    return Opened(page, messages, requests)
