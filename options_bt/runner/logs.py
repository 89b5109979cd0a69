"""Where log records go: plain lines on the standard output, JSON lines in the run folder."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from options_bt.storage import storage_errors

_ROOT = logging.getLogger("options_bt")
_STANDARD = frozenset(vars(logging.makeLogRecord({})))


def log_to_console(verbosity: int) -> None:
    """Send records to the standard output: -1 warnings, 0 also news, 1 also details."""
    handler = _Console(sys.stdout)
    handler.setFormatter(logging.Formatter("%(levelname)s [%(name)s] %(message)s"))
    handler.setLevel({-1: logging.WARNING, 0: logging.INFO}.get(max(verbosity, -1), logging.DEBUG))
    _ROOT.handlers = [handler]
    _ROOT.setLevel(logging.DEBUG)
    _ROOT.propagate = False


@contextmanager
def log_to_file(path: Path) -> Iterator[None]:
    """Append every record to `path` as JSON lines while the block runs."""
    with storage_errors(path):
        handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(_JsonLines())
    level = _ROOT.level
    _ROOT.addHandler(handler)
    _ROOT.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        _ROOT.removeHandler(handler)
        _ROOT.setLevel(level)
        handler.close()


class _Console(logging.StreamHandler[TextIO]):
    def emit(self, record: logging.LogRecord) -> None:
        with tqdm.external_write_mode(file=self.stream):  # a progress bar makes way for the line
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # the name is logging's
        # Whoever read the output is gone: the run goes on, and its news is in the run folder.
        if not isinstance(sys.exception(), BrokenPipeError):
            super().handleError(record)


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        extra = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        return json.dumps(entry | extra, default=str)
