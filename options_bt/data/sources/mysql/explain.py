"""The connector's errors as errors that say what to do."""

from __future__ import annotations

import re
from typing import Any

from options_bt.data.sources.mysql.address import FORM, Address
from options_bt.errors import SourceError

_NO_SERVER = {2001, 2002, 2003, 2004, 2005}
_LOST = {2006, 2013, 2055}
_NO_TLS = {2026, 2068}
_WRONG_USER = {1045, 1698, 2012}
_NO_DATABASE = {1044, 1049}


class MissingError(SourceError):
    """There is no such database or table, or the user may not read it."""


class UnavailableError(SourceError):
    """The server does not answer us, whatever the query."""


class LostConnectionError(UnavailableError):
    """The connection to the server was lost; a new one may work."""


def explained(error: Any, address: Address, database: str, reached: bool) -> SourceError:
    """Return the error that tells a user what a `mysql.connector.Error` means.

    Parameters
    ----------
    error : mysql.connector.Error
    address : Address
    database : str
        Of a revision as ``options/v1``.
    reached : bool
        Whether the server has answered before.
    """
    at, code, text = f"source: {address.place}", error.errno, str(error.msg)
    if code in _NO_TLS or "certificate verify failed" in text:
        return not_encrypted(address, text)
    if code in _LOST or (code in _NO_SERVER and reached):
        return LostConnectionError(f"{at}: lost connection to the server; check its log, then rerun the command")
    if code in _NO_SERVER:
        return UnavailableError(
            f"{at}: no server answers; start one with `{address.command}` in the folder that holds the clones, "
            "or correct the address"
        )
    if code in _WRONG_USER:
        given = "this password" if address.password else "no password (put one in the URL or in MYSQL_PWD)"
        return UnavailableError(f"{at}: the server rejects user {address.user!r} with {given}")
    name, _, revision = database.partition("/")
    denied = code == 1105 and re.match("access denied .* to database", text, re.IGNORECASE)
    missing = code in _NO_DATABASE or denied
    if revision and (missing or "not found" in text):
        return MissingError(
            f"{at}: database {name!r} has no commit, branch or tag {revision!r} that user {address.user!r} may read; "
            "only Dolt has them"
        )
    if missing:
        return MissingError(
            f"{at}: there is no database {database!r} that user {address.user!r} may read; serve its clone too, or "
            f"name another as in {FORM}"
        )
    if address.password:
        text = text.replace(address.password, "***")
    return SourceError(f"{at}: database {database!r}: error {code}: {text}")


def not_encrypted(address: Address, reason: str) -> SourceError:
    """Return the error for a server that cannot be reached with the encryption that was asked for."""
    mode = address.ssl_mode
    return UnavailableError(f"source: {address.place}: no encrypted connection with ssl_mode={mode}: {reason}")
