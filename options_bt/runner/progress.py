"""Progress: a bar on a terminal, a log line now and then elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType
from typing import NoReturn, Self

from tqdm import tqdm

logger = logging.getLogger(__name__)

LOG_EVERY = 10.0
_ROUNDING = 1e-6
_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"


class Progress:
    """Shows how far something is, with what is left.

    Parameters
    ----------
    what : str
        Such as ``grid``.
    total : int
        How many units there are.
    unit : str
        Such as ``job``.
    done : int
        How many were done before.
    shown : bool
        False shows nothing.
    """

    def __init__(self, what: str, total: int, unit: str, *, done: int = 0, shown: bool = True) -> None:
        self._what, self._total, self._unit = what, total, unit
        self._done: float = done
        self._begun_with = done
        self._started = self._spoke = time.monotonic()
        self._note = ""
        self._rows = 0
        self._lines = shown and not sys.stderr.isatty()
        self._bar: tqdm[NoReturn] = tqdm(
            desc=what,
            total=total,
            initial=done,
            unit=unit,
            bar_format=_BAR,
            disable=not (shown and sys.stderr.isatty()),
            dynamic_ncols=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def advance_by_rows(self, count: float, rows: int, note: str) -> None:
        """Count more units as done, and more rows as read, whose rate is shown."""
        self._rows += rows
        elapsed = time.monotonic() - self._started
        rate = f"{self._rows / elapsed:,.0f} rows/s, " if self._rows and elapsed else ""
        self.advance(count, rate + note)

    def advance(self, count: float, note: str = "") -> None:
        """Count `count` more units as done; `note` stands behind the numbers."""
        self._done += count
        self._note = note
        self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(count)
        if self._lines and (time.monotonic() - self._spoke >= LOG_EVERY or self._done >= self._total - _ROUNDING):
            self._spoke = time.monotonic()
            logger.info("%s", self._line())

    def _line(self) -> str:
        elapsed = time.monotonic() - self._started
        fresh = self._done - self._begun_with
        left = f", {(self._total - self._done) * elapsed / fresh:.0f} s left" if fresh and elapsed else ""
        percent = 100 * self._done / self._total if self._total else 100
        note = f", {self._note}" if self._note else ""
        return f"{self._what}: {self._done:.0f}/{self._total} {self._unit}s ({percent:.0f}%){left}{note}"
