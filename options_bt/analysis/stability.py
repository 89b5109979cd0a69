"""How stable the choices of a walk-forward analysis are from window to window."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from options_bt.job.planner import Plan
from options_bt.job.strategies import Strategy

STABILITY = {"symbol": pl.String, "axis": pl.String, "pairs": pl.Int64, "same": pl.Int64, "distance": pl.Float64}
VALUES = {"symbol": pl.String, "axis": pl.String, "value": pl.String, "windows": pl.Int64, "share": pl.Float64}


def chosen_values(plan: Plan, chosen: NDArray[np.int64]) -> pl.DataFrame:
    """Return how often each value of each axis was chosen.

    Parameters
    ----------
    plan : Plan
    chosen : int array, shape (S, W)
        The chosen combination by symbol and window; -1 for none.

    Returns
    -------
    polars.DataFrame
        ``symbol, axis, value, windows, share``, the values in the order of the job file: in how many windows of the
        symbol the choice has the value (as text; null for a rule that is off), and in what share of those with a
        choice, null where there are none. Symbol null: over all symbols.
    """
    rows = []
    for symbol, own in _by_symbol(plan, chosen):
        taken = own[own >= 0]
        for (name, values), index in zip(plan.job.grid, _indices(plan, taken), strict=True):
            counts = np.bincount(index, minlength=len(values))
            for value, count in zip(values, counts.tolist(), strict=True):
                rows.append((symbol, name, _shown(value), count, count / taken.size if taken.size else None))
    return pl.DataFrame(rows, VALUES, orient="row")


def stability(plan: Plan, chosen: NDArray[np.int64], links: dict[str, NDArray[np.bool_]]) -> pl.DataFrame:
    """Return how often a choice is that of the window before, and how far it moves.

    Parameters
    ----------
    plan : Plan
    chosen : int array, shape (S, W)
        The chosen combination by symbol and window; -1 for none.
    links : dict of str to bool array
        As `choosing.WindowResults` has it.

    Returns
    -------
    polars.DataFrame
        ``symbol, axis, pairs, same, distance``, a row for each axis after one with axis null for the whole
        combination: of how many pairs of successive windows that both have a choice, how many have the same; and the
        mean number of places between the two along the axis. `distance` is null where there are no pairs,
        where the axis has no order, and for the whole combination. Symbol null: over all symbols.
    """
    rows: list[tuple[str | None, str | None, int, int, float | None]] = []
    for symbol, own in _by_symbol(plan, chosen):
        both = (own[:, 1:] >= 0) & (own[:, :-1] >= 0)
        before, after = own[:, :-1][both], own[:, 1:][both]
        rows.append((symbol, None, before.size, int((before == after).sum()), None))
        for (name, _), first, second in zip(plan.job.grid, _indices(plan, before), _indices(plan, after), strict=True):
            moves = np.abs(second - first)
            distance = float(moves.mean()) if moves.size and links[name].any() else None
            rows.append((symbol, name, before.size, int((moves == 0).sum()), distance))
    return pl.DataFrame(rows, STABILITY, orient="row")


def _by_symbol(plan: Plan, chosen: NDArray[np.int64]) -> list[tuple[str | None, NDArray[np.int64]]]:
    """Return the choices of each symbol, and of all."""
    return [*((symbol, chosen[[row]]) for row, symbol in enumerate(plan.job.symbols)), (None, chosen)]


def _indices(plan: Plan, combinations: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    """Return for each axis which of its values these combinations have."""
    sizes = [len(values) for _, values in plan.job.grid]
    return np.unravel_index(combinations, sizes) if sizes else ()


def _shown(value: object) -> str | None:
    if isinstance(value, Strategy):
        return value.name
    return f"{value:.12g}" if isinstance(value, float) else None if value is None else str(value)
