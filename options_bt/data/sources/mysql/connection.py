"""The one door to mysql-connector-python: which of its two classes reads, and whether a connection is encrypted."""

from __future__ import annotations

import logging
from types import ModuleType
from typing import Any

from options_bt.data.sources.mysql.address import Address

logger = logging.getLogger(__name__)


def connector() -> tuple[ModuleType, str]:
    """Return `mysql.connector`, and why its compiled class cannot be loaded; an empty text where it can.

    The compiled class reads 1.8 times as many rows a second. Where the system's OpenSSL is older than the one it
    was built with, it can be loaded only before Python's own ssl, so it is imported first; mysql.connector alone
    drops it without a word.
    """
    try:
        import _mysql_connector  # noqa: F401

        reason = ""
    except ImportError as error:
        reason = str(error)
    import mysql.connector

    return mysql.connector, reason


def connect(address: Address, database: str) -> Any:
    """Return a connection to a database; with ``ssl_mode=required`` None where it would not be encrypted.

    Raises
    ------
    mysql.connector.Error
        When there is no such server, user or database.
    """
    module, _ = connector()
    options = address.arguments() | {
        "database": database,
        "autocommit": True,
        "charset": "utf8mb4",
        "collation": "utf8mb4_general_ci",  # MariaDB does not know the connector's default
        "connection_timeout": 10,
        "allow_local_infile": False,
    }
    connection = module.connect(**options)
    if address.ssl_mode != "required":
        return connection
    cipher = getattr(getattr(connection, "_cmysql", None), "get_ssl_cipher", None)
    if cipher is None:  # in public, only the class in Python says whether it is encrypted
        connection = module.connect(**options | {"use_pure": True})
    return connection if (cipher() if cipher else connection.is_secure) else None


def warn_if_slow(connection: Any, place: str) -> None:
    """Log a warning when a connection is of the slower class, written in Python, and why."""
    name = type(connection).__name__
    if name != "CMySQLConnection":
        reason = connector()[1] or "no C extension"
        advice = "mysql-connector-python 9.5 has a C extension for older systems"
        logger.warning("%s: reading with the slow %s: %s; %s", place, name, reason, advice)
