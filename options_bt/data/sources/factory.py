"""Opening the source that a job file names."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from options_bt.data.sources.source import Source
from options_bt.errors import SourceError, nearest


def open_source(text: str, columns: Mapping[str, str] | None = None) -> Source:
    """Return the source that a job file names.

    Parameters
    ----------
    text : str
        ``demo``, ``demo?profile=dense&seed=7``, ``files:PATH`` or ``mysql://user@host:port``;
        ``${VAR}`` is replaced from the environment.
    columns : mapping, optional
        For ``files:``: our column name to the vendor's.

    Returns
    -------
    Source

    Raises
    ------
    SourceError
        When the text is not one of these, a variable is not set, or the source cannot be read.
    """
    expanded = _expanded(text)
    kind, separator, rest = expanded.partition(":")
    if kind.partition("?")[0] == "demo" and not separator:
        return _demo(expanded.partition("?")[2])
    if kind == "files":
        from options_bt.data.sources.files import FilesSource

        return FilesSource(rest, columns or {})
    if kind == "mysql":
        from options_bt.data.sources.mysql.dolt import DoltSource

        return DoltSource(expanded)
    raise SourceError(f"source: got {redacted(text)!r}; allowed: demo, files:PATH or mysql://user@host:port")


def redacted(text: str) -> str:
    """Return a source's text without its password.

    Examples
    --------
    >>> redacted("mysql://me:secret@127.0.0.1:3306")
    'mysql://me:***@127.0.0.1:3306'
    """
    return re.sub(r"(?<=://)([^:@/]*):.*@", r"\1:***@", text)


def _expanded(text: str) -> str:
    """Return a text with the values of its environment variables."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise SourceError(f"source: the environment variable {name} is not set; set it or write its value")
        return os.environ[name]

    return re.sub(r"\$\{(\w+)\}", value, text)


def _demo(query: str) -> Source:
    from options_bt.data.sources.demo import DemoSource

    options = dict(parse_qsl(query, keep_blank_values=True))
    for key in options.keys() - {"profile", "seed"}:
        raise SourceError(
            f"source: demo has no option {key!r}{nearest(key, ('profile', 'seed'))}; allowed: profile, seed"
        )
    profile, seed = options.get("profile", "sparse"), options.get("seed", "1")
    if profile not in ("sparse", "dense"):
        raise SourceError(f"source: got profile={profile}; allowed: sparse, dense")
    if not re.fullmatch(r"\d{1,9}", seed):
        raise SourceError(f"source: got seed={seed}; allowed: a whole number from 0 to 999999999")
    return DemoSource("dense" if profile == "dense" else "sparse", int(seed))
