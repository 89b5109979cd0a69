"""Where a MySQL server is and how to log in, from a `mysql://` URL, the environment and ~/.my.cnf."""

from __future__ import annotations

import os
import re
from configparser import ConfigParser
from configparser import Error as OptionFileError
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from options_bt.errors import SourceError, nearest

FORM = "mysql://user[:password]@host[:port][?options=NAME&stocks=NAME&rates=NAME&as_of=REVISION&stocks_as_of=REVISION]"
_SSL_MODES = {
    "preferred": {},
    "disabled": {"ssl_disabled": True},
    "required": {},
    "verify_ca": {"ssl_verify_cert": True},
    "verify_identity": {"ssl_verify_cert": True, "ssl_verify_identity": True},
}
"""The modes of MySQL's own clients, as arguments of the connector."""

_OPTIONS = {
    "options": (r"[\w-]+", "the name of a database"),
    "stocks": (r"[\w-]+", "the name of a database"),
    "rates": (r"[\w-]+", "the name of a database"),
    "as_of": (r"[\w./-]+", "the name of a commit, branch or tag"),
    "stocks_as_of": (r"[\w./-]+", "the name of a commit, branch or tag"),
    "unix_socket": (r"/.+", "the absolute path of a socket"),
    "ssl_mode": ("|".join(_SSL_MODES), f"one of {', '.join(_SSL_MODES)}"),
    "ssl_ca": (r".+", "the path of a certificate authority's file"),
}


@dataclass(frozen=True)
class Address:
    """A server, a user, and the names of the databases there.

    Attributes
    ----------
    options, stocks, rates : str
        Databases; of a revision as ``options/v1``, which to Dolt is a database of its own.
    ssl_mode : str
        As in MySQL's own clients: ``required`` and the two that verify reject a connection without encryption.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    options: str = "options"
    stocks: str = "stocks"
    rates: str = "rates"
    unix_socket: str = ""
    ssl_mode: str = "preferred"
    ssl_ca: str = ""

    @property
    def place(self) -> str:
        """Host and port, or the socket."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.unix_socket or f"{host}:{self.port}"

    @property
    def name(self) -> str:
        """A plain file name that no other server or database has."""
        socket = re.sub(r"[^\w.-]+", "_", self.unix_socket.strip("/"))
        place = socket or f"{self.host.replace(':', '_')}-{self.port}"
        other = "" if self.stocks == "stocks" else f"+{self.stocks}"
        return f"mysql-{place}-{self.options}{other}".replace("/", "@")

    @property
    def command(self) -> str:
        """The command that starts a Dolt server there."""
        return f"dolt sql-server --{f'socket {self.unix_socket}' if self.unix_socket else f'port {self.port}'}"

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `mysql.connector.connect` for server, user and encryption."""
        where = {"unix_socket": self.unix_socket} if self.unix_socket else {"host": self.host, "port": self.port}
        authority = {"ssl_ca": self.ssl_ca} if self.ssl_ca else {}
        return {**where, "user": self.user, "password": self.password, **_SSL_MODES[self.ssl_mode], **authority}


def parse_address(text: str) -> Address:
    """Return the address that a URL gives, with the password from elsewhere where it has none.

    Raises
    ------
    SourceError
        When the URL is malformed; the message repeats nothing that may be secret.
    """
    try:
        url: SplitResult | None = urlsplit(text)
        port = (url.port if url else None) or 3306
    except ValueError:
        url = None
    # Outside the handler: Python's own error may quote a part of the password.
    if url is None or not re.fullmatch(r"[\w.:-]+", url.hostname or ""):
        raise _malformed("host or port is missing or malformed")
    if not url.username:
        raise _malformed("the user is missing")
    if url.path not in ("", "/") or url.fragment or "@" in url.query:
        raise _malformed("only ? may follow the port")
    given = _options(url.query)
    for database, revision in (("options", "as_of"), ("stocks", "stocks_as_of")):
        if revision in given:
            given[database] = f"{given.get(database, database)}/{given.pop(revision)}"
    password = _password_from_elsewhere() if url.password is None else unquote(url.password)
    return Address(url.hostname or "", port, unquote(url.username), password, **given)


def _options(query: str) -> dict[str, str]:
    given = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in _OPTIONS:
            raise _malformed(f"unknown option {key!r}{nearest(key, _OPTIONS)}; the options are {', '.join(_OPTIONS)}")
        pattern, expected = _OPTIONS[key]
        if not re.fullmatch(pattern, value, re.ASCII):
            raise _malformed(f"{key}: got {value!r}, not {expected}")
        given[key] = value
    if given.get("ssl_mode", "").startswith("verify") and "ssl_ca" not in given:
        raise _malformed(f"ssl_mode={given['ssl_mode']} needs ssl_ca=PATH")
    if "ssl_ca" in given and not Path(given["ssl_ca"]).is_file():
        raise _malformed(f"ssl_ca: there is no file {given['ssl_ca']}")
    return given


def _malformed(problem: str) -> SourceError:
    return SourceError(f"source: {problem}; allowed: {FORM}, with @ : / # ? % in a password as %40 %3A %2F %23 %3F %25")


def _password_from_elsewhere() -> str:
    """Return the password from MYSQL_PWD, else from the section `client` of ~/.my.cnf, else an empty text."""
    if "MYSQL_PWD" in os.environ:
        return os.environ["MYSQL_PWD"]
    path = Path("~/.my.cnf").expanduser()
    options = ConfigParser(allow_no_value=True, strict=False, interpolation=None, comment_prefixes=("#", ";", "!"))
    try:
        options.read(path, encoding="utf-8")
    except (OptionFileError, OSError, UnicodeDecodeError):
        # Not the error itself: it quotes the line, which may be the password.
        raise SourceError(f"source: {path} is not a MySQL option file; fix it, or set MYSQL_PWD") from None
    return (options.get("client", "password", fallback=None) or "").strip("'\"")
