"""What Dolt knows of a database's history: the commit that is read, hashes of tables, and what changed since."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from options_bt.data.sources.mysql.server import AbsentError, Server
from options_bt.errors import SourceError


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
        """Return the hash of each table as ``name:hash``, joined; a table that is not there is left out."""
        return " ".join(f"{table}:{self._hash(self._database, table)}" for table in tables)

    def commit(self) -> str:
        """Return the commit that the quotes are at; empty when they hold changes that were not committed."""
        rows = self._server.query(self._database, "SELECT commit_hash FROM dolt_log LIMIT 1")
        commit = rows[0][0]
        try:
            committed = self._hash(self.at(commit), "option_chain")
        except AbsentError:
            return ""
        return commit if committed == self._hash(self._database, "option_chain") else ""

    def at(self, commit: str) -> str:
        """Return the name of the database as it was at a commit: to Dolt a database of its own."""
        return f"{self._database.partition('/')[0]}/{commit}"

    def changed(self, symbol: str, since: str, until: str) -> list[date] | None:
        """Return the dates on which a symbol's quotes differ between two commits; None when one is not there any more.

        Asked once for all symbols: the difference is as long to read for one of them.
        """
        if since not in self._changes:
            sql = (
                "SELECT DISTINCT COALESCE(to_act_symbol, from_act_symbol), COALESCE(to_date, from_date) "
                "FROM dolt_diff(%s, %s, 'option_chain')"
            )
            try:
                rows = self._server.query(self._database, sql, since, until)
            except SourceError:
                self._changes[since] = None
            else:
                changes: dict[str, list[date]] = {}
                for name, day in rows:
                    changes.setdefault(name, []).append(date.fromisoformat(day[:10]))
                self._changes[since] = changes
        changes_since = self._changes[since]
        return None if changes_since is None else sorted(changes_since.get(symbol, []))

    def _hash(self, database: str, table: str) -> str:
        return self._server.query(database, "SELECT dolt_hashof_table(%s)", table)[0][0]
