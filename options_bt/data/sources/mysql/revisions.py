"""What Dolt knows of a database's history: the commit that is read, hashes of tables, and what changed since."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from options_bt.data.sources.mysql.explain import MissingError
from options_bt.data.sources.mysql.server import Server
from options_bt.errors import SourceError

_CHANGES = """SELECT DISTINCT COALESCE(to_act_symbol, from_act_symbol), COALESCE(to_date, from_date)
    FROM dolt_diff(%s, %s, 'option_chain')"""


class Revisions:
    """The history of one database on a Dolt server.

    Parameters
    ----------
    server : Server
    database : str
        Of a revision as ``options/v1``.
    """

    def __init__(self, server: Server, database: str) -> None:
        self._server, self._database = server, database
        self._changes: dict[str, dict[str, list[date]] | None] = {}

    def hashes(self, tables: Sequence[str]) -> str:
        """Return the hash of each table as ``name:hash``, joined by spaces."""
        return " ".join(f"{table}:{self._hash(self._database, table)}" for table in tables)

    def commit(self) -> str:
        """Return the commit of the quotes; empty when they hold uncommitted changes."""
        commit = self._server.query(self._database, "SELECT commit_hash FROM dolt_log LIMIT 1")[0][0]
        try:
            committed = self._hash(self.at(commit), "option_chain")
        except MissingError:
            return ""
        return commit if committed == self._hash(self._database, "option_chain") else ""

    def at(self, commit: str) -> str:
        """Return the name of the database as of a commit: to Dolt a database of its own."""
        return f"{self._database.partition('/')[0]}/{commit}"

    def changed(self, symbol: str, since: str, until: str) -> list[date] | None:
        """Return the dates on which a symbol's quotes differ between two commits; None when one no longer exists."""
        if since not in self._changes:
            self._changes[since] = self._changes_of_all(since, until)
        changes = self._changes[since]
        return None if changes is None else sorted(changes.get(symbol, []))

    def _changes_of_all(self, since: str, until: str) -> dict[str, list[date]] | None:
        """Return the changed dates of every symbol, since reading those of one takes Dolt as long."""
        try:
            rows = self._server.query(self._database, _CHANGES, since, until)
        except SourceError:
            return None
        changes: dict[str, list[date]] = {}
        for symbol, day in rows:
            changes.setdefault(symbol, []).append(date.fromisoformat(day[:10]))
        return changes

    def _hash(self, database: str, table: str) -> str:
        return self._server.query(database, "SELECT dolt_hashof_table(%s)", table)[0][0]
