"""Which days and symbols a server's table has, without reading it as a whole."""

from __future__ import annotations

from datetime import date

from options_bt.data.sources.mysql.access import Days, on
from options_bt.data.sources.mysql.columns import require
from options_bt.data.sources.mysql.server import Server


def days_of(server: Server, database: str, table: str) -> Days | None:
    """Return the first and last day of a table, from the two ends of its primary key; None for an empty one."""
    require(server, database, table, ("date",))
    ends = [server.query(database, f"SELECT date FROM `{table}` ORDER BY date {to} LIMIT 1") for to in ("ASC", "DESC")]
    return Days(_date(ends[0][0][0]), _date(ends[1][0][0])) if all(ends) else None


def symbols_on(server: Server, database: str, table: str, count: int) -> set[str]:
    """Return the symbols that a table has on its last date and on up to `count` - 1 dates spread evenly before it."""
    days = days_of(server, database, table)
    if days is None:
        return set()
    steps = {days.last - (days.last - days.first) * step / max(count - 1, 1) for step in range(count)}
    seek = f"SELECT date FROM `{table}` WHERE date >= %s ORDER BY date LIMIT 1"
    dates = {_date(server.query(database, seek, str(step))[0][0]) for step in steps}
    rows = server.query(database, f"SELECT DISTINCT act_symbol FROM `{table}` WHERE {on(sorted(dates))}")
    return {row[0] for row in rows}


def rows_and_symbols(server: Server, database: str, table: str, day: date) -> tuple[int, int]:
    """Return how many rows and how many symbols a table has on a day."""
    sql = f"SELECT COUNT(*), COUNT(DISTINCT act_symbol) FROM `{table}` WHERE date = %s"
    ((rows, symbols),) = server.query(database, sql, str(day))
    return int(rows), int(symbols)


def _date(text: str) -> date:
    return date.fromisoformat(text[:10])
