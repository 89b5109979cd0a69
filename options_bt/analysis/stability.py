"""How much the choices of a walk-forward analysis change from window to window."""

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
        ``symbol, axis, value, windows, share``, with the values in the order of the job file, as text, null for a
        rule that is off. `windows` is the number of the symbol's windows with that value, `share` their share of the
        windows with a choice, null where there are none. Symbol null: over all symbols.
    """
    rows = []
    for symbol, own in _by_symbol(plan, chosen):
        taken = own[own >= 0]
        for (name, values), index in zip(plan.job.grid, _indices(plan, taken), strict=True):
            counts = np.bincount(index, minlength=len(values))
            for value, count in zip(values, counts.tolist(), strict=True):
                rows.append((symbol, name, _value_text(value), count, count / taken.size if taken.size else None))
    return pl.DataFrame(rows, VALUES, orient="row")


def stability(plan: Plan, chosen: NDArray[np.int64], adjacent: dict[str, NDArray[np.bool_]]) -> pl.DataFrame:
    """Return how often a choice is the same as in the window before, and how far it moves.

    Parameters
    ----------
    plan : Plan
    chosen : int array, shape (S, W)
        The chosen combination by symbol and window; -1 for none.
    adjacent : dict of str to bool array
        From `scores.WindowResults`.

    Returns
    -------
    polars.DataFrame
        ``symbol, axis, pairs, same, distance``: first a row with axis null for the whole combination, then one for
        each axis. `pairs` counts successive windows that both have a choice, `same` those of them with the same
        choice, and `distance` is the mean number of steps between the two along the axis: null without pairs, for an
        axis without an order, and for the whole combination. Symbol null: over all symbols.
    """
    rows: list[tuple[str | None, str | None, int, int, float | None]] = []
    for symbol, own in _by_symbol(plan, chosen):
        both = (own[:, 1:] >= 0) & (own[:, :-1] >= 0)
        before, after = own[:, :-1][both], own[:, 1:][both]
        rows.append((symbol, None, before.size, int((before == after).sum()), None))
        for (name, _), first, second in zip(plan.job.grid, _indices(plan, before), _indices(plan, after), strict=True):
            moves = np.abs(second - first)
            distance = float(moves.mean()) if moves.size and adjacent[name].any() else None
            rows.append((symbol, name, before.size, int((moves == 0).sum()), distance))
    return pl.DataFrame(rows, STABILITY, orient="row")


def _by_symbol(plan: Plan, chosen: NDArray[np.int64]) -> list[tuple[str | None, NDArray[np.int64]]]:
    """Return the choices of each symbol, and of all."""
    return [*((symbol, chosen[[row]]) for row, symbol in enumerate(plan.job.symbols)), (None, chosen)]


def _indices(plan: Plan, combinations: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    """Return the number of the value that these combinations have on each axis."""
    sizes = [len(values) for _, values in plan.job.grid]
    return np.unravel_index(combinations, sizes) if sizes else ()


def _value_text(value: object) -> str | None:
    if isinstance(value, Strategy):
        return value.name
    return f"{value:.12g}" if isinstance(value, float) else None if value is None else str(value)
