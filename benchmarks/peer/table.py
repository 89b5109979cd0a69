"""The comparison as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from benchmarks.peer.cases import DENSE, END, EQUAL, START, SYMBOL, Case
from benchmarks.peer.differences import CENT, RULES, UNEXPLAINED, same
from benchmarks.peer.rules import Trade

Pair = tuple[Trade | None, Trade | None, str]
"""Our trade of a day, optopsy's, and the rule by which they differ."""
Book = tuple[Case, Sequence[Trade], Sequence[Trade]]


class Compared(NamedTuple):
    """A case in both programs."""

    case: Case
    pairs: Sequence[Pair]

    @property
    def unexplained(self) -> int:
        """The number of trades that differ without a rule that explains it."""
        return sum(why == UNEXPLAINED for _, _, why in self.pairs)


def row(*cells: object) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def head(*names: str) -> list[str]:
    """Return the first two lines of a table; columns whose name starts with > are right-aligned."""
    return [row(*(name.lstrip(">") for name in names)), row(*("---:" if n.startswith(">") else "---" for n in names))]


def counted(result: Compared) -> str:
    """Return a row with the number of trades that are the same, and the reasons of the others."""
    both = [(a, b, why) for a, b, why in result.pairs if a is not None and b is not None]
    alike = [(a, b) for a, b, why in both if not why]
    charged_alike = sum(abs(a.pnl - b.pnl) < CENT * 100 for a, b in alike)
    reasons = Counter(why for _, _, why in result.pairs)
    return row(
        result.case.rules.name,
        result.case.strategy,
        sum(a is not None for a, _, _ in result.pairs),
        sum(b is not None for _, b, _ in result.pairs),
        sum(a[:3] == b[:3] and abs(a.premium - b.premium) < CENT for a, b, _ in both),
        len(alike),
        charged_alike,
        ", ".join(f"{reasons[name]} {name}" for name in (*RULES, UNEXPLAINED) if reasons[name]),
    )


def shown(trade: Trade | None) -> list[str]:
    """Return a trade's cells: expiration, strikes, premium, exit date, exit cost."""
    if trade is None:
        return ["", "no trade", "", "", ""]
    strikes = " / ".join(f"{strike:g}" for strike in trade.strikes)
    prices = [f"{price:.4f}" for price in (trade.premium, trade.exit_cost)]
    return [str(trade.expiration), strikes, prices[0], str(trade.exit_date), prices[1]]


def examples(results: Iterable[Compared]) -> list[str]:
    """Return the first trade that is the same, and the first one for each rule, side by side."""
    first: dict[str, tuple[Case, Pair]] = {}
    for result in results:
        for pair in result.pairs:
            if len(result.case.legs) > 1:  # a single leg shows less
                first.setdefault(pair[2], (result.case, pair))
    lines = head("why", "case", "entry", "", "expiration", "strikes", ">premium", "exit", ">exit cost")
    for name in ("", *RULES):
        if name in first:
            case, (our, their, _) = first[name]
            entered = next(trade.entry_date for trade in (our, their) if trade is not None)
            lines.append(row(name or "the same", case.name, entered, "options-bt", *shown(our)))
            lines.append(row("", "", "", "optopsy", *shown(their)))
    return lines


def book_row(book: Book) -> str:
    """Return a row about the trades made one at a time."""
    case, our, their = book
    by_day = {trade.entry_date: trade for trade in their}
    alike = sum(trade.entry_date in by_day and same(trade, by_day[trade.entry_date]) for trade in our)
    gains = [sum(100 * (trade.premium - trade.exit_cost) for trade in trades) for trades in (our, their)]
    return row(case.rules.name, case.strategy, len(our), len(their), alike, *(f"{gain:,.2f}" for gain in gains))


def probe_rows(probes: dict[str, Any]) -> list[str]:
    """Return the other measurements of optopsy."""
    measured = {
        "trades of `short_put_spread`, leg 1 the lower strike": "{low_first:,}",
        "the same with the legs swapped; no warning": "{high_first:,}",
        "dollars that `commission=0.65` takes from one contract, in and out": "{fee:.2f}",
        "P/L of `simulate(short_puts)` without and with that commission": "{simulated:,.2f}, {simulated_charged:,.2f}",
        "the same with `short_puts` wrapped in a function of another name": "{simulated_wrapped:,.2f}",
        "trades of `simulate` with `max_positions=1000`, and expirations among them": "{unlimited}, {expirations}",
        "days with a raw trade of `short_puts` on the sparse market, `exit_dte=7`": "{sparse[0]}",
        "the same with `exit_dte_tolerance=7`": "{sparse[1]}",
        "days to expiration that its default `selector` chose, of 8 to 45": "{dte[0]} to {dte[1]}",
        "raw trades of `short_puts` up to 45 days, and those counted in its statistics": "{raw:,}, {aggregated:,}",
    }
    return [*head("what", ">optopsy gives"), *(row(what, form.format(**probes)) for what, form in measured.items())]


def table(results: Sequence[Compared], books: Sequence[Book], probes: dict[str, Any]) -> str:
    """Return the whole page."""
    totals = Counter(why for result in results for _, _, why in result.pairs if why)
    equal = [result for result in results if result.case.rules in EQUAL]
    plain = [result for result in results if result.case.rules not in EQUAL]
    columns = (
        "rules", "strategy", ">options-bt", ">optopsy", ">same entry", ">same to the cent",
        ">same fees", "others",
    )  # fmt: skip
    lines = [
        "# The same trades in options-bt and optopsy",
        "",
        f"`{DENSE}`, {SYMBOL}, {START} to {END}; optopsy {probes['version']}. One trade entered each day.",
        "",
        "## With equal rules",
        "",
        *head(*columns),
        *map(counted, equal),
        "",
        "## With optopsy's own rules",
        "",
        *head(*columns),
        *map(counted, plain),
        "",
        "## Why trades differ",
        "",
        *head("why", ">trades", "rule"),
        *(row(name, totals[name], rule) for name, rule in RULES.items() if totals[name]),
        row(UNEXPLAINED, sum(result.unexplained for result in results), ""),
        "",
        "## Side by side",
        "",
        *examples(results),
        "",
        "## One position at a time",
        "",
        *head("rules", "strategy", ">options-bt", ">optopsy", ">the same", ">our P/L before fees", ">optopsy's"),
        *(book_row(book) for book in books if book[0].rules in EQUAL),
        "",
        "## What else was measured",
        "",
        *probe_rows(probes),
    ]
    return "\n".join(lines) + "\n"
