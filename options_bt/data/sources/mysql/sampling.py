"""Which days and symbols a server's table has, without reading all of it."""

from __future__ import annotations

from datetime import date

from options_bt.data.sources.mysql.access import DateRange, date_condition
from options_bt.data.sources.mysql.columns import require_columns
from options_bt.data.sources.mysql.server import Server


def date_range(server: Server, database: str, table: str) -> DateRange | None:
    """Return the first and last date of a table, from the two ends of its primary key; None for an empty one."""
    require_columns(server, database, table, ("date",))
    ends = [server.query(database, f"SELECT date FROM `{table}` ORDER BY date {to} LIMIT 1") for to in ("ASC", "DESC")]
    return DateRange(_date(ends[0][0][0]), _date(ends[1][0][0])) if all(ends) else None


def sampled_symbols(server: Server, database: str, table: str, count: int) -> set[str]:
    """Return the symbols that a table has on its last date and on up to `count` - 1 dates spread evenly before it."""
    dates = date_range(server, database, table)
    if dates is None:
        return set()
    steps = {dates.last - (dates.last - dates.first) * step / max(count - 1, 1) for step in range(count)}
    seek = f"SELECT date FROM `{table}` WHERE date >= %s ORDER BY date LIMIT 1"
    sample = sorted({_date(server.query(database, seek, str(step))[0][0]) for step in steps})
    rows = server.query(database, f"SELECT DISTINCT act_symbol FROM `{table}` WHERE {date_condition(sample)}")
    return {row[0] for row in rows}


def rows_and_symbols(server: Server, database: str, table: str, day: date) -> tuple[int, int]:
    """Return how many rows and how many symbols a table has on a day."""
    sql = f"SELECT COUNT(*), COUNT(DISTINCT act_symbol) FROM `{table}` WHERE date = %s"
    ((rows, symbols),) = server.query(database, sql, str(day))
    return int(rows), int(symbols)


def _date(text: str) -> date:
    return date.fromisoformat(text[:10])
