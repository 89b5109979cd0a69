"""The plan: a job file's grid as a lazy sequence of job specs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, overload

from msgspec import structs

from options_bt.job.schema import JobFile
from options_bt.job.spec import JobSpec
from options_bt.job.windows import spans

WARM_UP_YEARS = 2
"""Calendar years of quotes before a period that belong to its data: enough for 252 quote days."""


class Plan(Sequence[JobSpec]):
    """Every backtest of a job file, by position: symbol by symbol, span by span, the last axis fastest.

    No spec occurs twice, since the values of every axis are distinct.

    Parameters
    ----------
    job : JobFile

    Attributes
    ----------
    spans : list of Span
        The full period, or the train and test spans of the windows.
    per_symbol : int
        Backtests per symbol; those of symbol number s start at position ``s * per_symbol``.

    Examples
    --------
    >>> import options_bt
    >>> plan = options_bt.plan(options_bt.load_job("jobs/grid.yaml"))
    >>> len(plan), plan[0].symbol, plan[59].params.dte
    (60, 'AAPL', '45-60')
    """

    def __init__(self, job: JobFile) -> None:
        self.job = job
        self.spans = spans(job.period.start, job.period.end, job.windows)
        self.per_span = prod(len(values) for _, values in job.grid)
        self.per_symbol = len(self.spans) * self.per_span

    def __len__(self) -> int:
        return len(self.job.symbols) * self.per_symbol

    @overload
    def __getitem__(self, position: int) -> JobSpec: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[JobSpec]: ...
    def __getitem__(self, position: int | slice) -> JobSpec | Sequence[JobSpec]:
        if isinstance(position, slice):
            return [self[index] for index in range(*position.indices(len(self)))]
        if not -len(self) <= position < len(self):
            raise IndexError(f"the plan has {len(self)} jobs, got position {position}")
        symbol, rest = divmod(position % len(self), self.per_symbol)
        number, combination = divmod(rest, self.per_span)
        window, role, start, end = self.spans[number]
        values = self.combination(combination)
        strategy = values.pop("strategy", self.job.strategy)
        return JobSpec(
            symbol=self.job.symbols[symbol],
            window=window,
            role=role,
            start=start,
            end=end,
            strategy=strategy,
            params=structs.replace(self.job.params, **values),
        )

    def __iter__(self) -> Iterator[JobSpec]:
        return (self[position] for position in range(len(self)))

    def combination(self, number: int) -> dict[str, Any]:
        """Return the value of each axis in combination `number` of the grid."""
        values: dict[str, Any] = {}
        for name, choices in reversed(self.job.grid):
            number, index = divmod(number, len(choices))
            values[name] = choices[index]
        return values

    @property
    def predicates(self) -> set[str]:
        """Every predicate of the plan's jobs."""
        axes = dict(self.job.grid)
        strategies = axes.get("strategy", (self.job.strategy,))
        entries = axes.get("entry_when", (self.job.params.entry_when,))
        arms = (arm.when for strategy in strategies for arm in strategy.arms)
        return {predicate for predicate in (*entries, *arms) if predicate is not None}

    @property
    def years(self) -> range:
        """The calendar years of quotes that the plan's jobs may read."""
        return range(self.job.period.start.year - WARM_UP_YEARS, self.job.period.end.year + 1)
