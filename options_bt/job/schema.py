"""A valid job file as data."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from options_bt.job.parameters import Parameters
from options_bt.job.strategies import STRATEGIES, Strategy
from options_bt.job.windows import Windows

Axis = tuple[str, tuple[Any, ...]]

KEPT_UP_TO = 10_000
"""Up to this many jobs, ``keep: auto`` stores the trades and equity of all. On six years of the sparse demo market they
take 7.5 kB a job: 75 MB for these, 7.5 GB for a million."""
KEPT_BEST = 100
"""How many of the best jobs it stores them for in a larger run."""


class Period(Struct, frozen=True):
    """The days of a job file, both ends included."""

    start: date
    end: date


class Quick(Struct, frozen=True, kw_only=True):
    """The values that `--quick` sets."""

    start: date | None = None
    end: date | None = None
    symbols: tuple[str, ...] | None = None


class RunSettings(Struct, frozen=True, kw_only=True):
    """How the jobs are run; nothing here changes a result.

    Attributes
    ----------
    workers : int or 'auto'
        Worker processes; 1 runs in this process, ``auto`` fits the number to the cores and the work.
    timeout : float
        Seconds after which a backtest counts as stuck.
    retries : int
        How often a job whose worker died is retried.
    keep : str
        The jobs whose trades and equity are stored: ``all``, ``metrics`` (none), ``top N`` (the N best by the
        objective) or ``auto`` (all of up to `KEPT_UP_TO` jobs, else the best `KEPT_BEST`).
    """

    workers: Annotated[int, Meta(ge=1, le=256)] | Literal["auto"] = "auto"
    timeout: Annotated[float, Meta(gt=0)] = 300.0
    retries: Annotated[int, Meta(ge=0, le=10)] = 1
    keep: Annotated[str, Meta(pattern=r"^(auto|all|metrics|top [1-9][0-9]{0,8})\Z")] = "auto"

    def kept(self, total: int) -> int:
        """Return for how many of `total` jobs trades and equity are stored."""
        match self.keep.split():
            case ["all"]:
                return total
            case ["metrics"]:
                return 0
            case ["top", count]:
                return min(int(count), total)
            case _:
                return total if total <= KEPT_UP_TO else KEPT_BEST


class JobFile(Struct, frozen=True, kw_only=True):
    """A valid job file.

    Attributes
    ----------
    source : str
        As written: environment variables are not expanded, so that no password is stored.
    columns : dict
        For a `files:` source: our column name to the vendor's.
    strategy : Strategy
        The strategy of a grid without a `strategy` axis.
    grid : tuple of (name, values)
        The axes in the order of the file, with distinct values in canonical form.
    params : Parameters
        The values of all parameters that are not axes.
    repeated : int
        How many repeated values were dropped from the lists of the file.
    """

    name: str
    symbols: tuple[str, ...]
    period: Period
    source: str = "demo"
    columns: dict[str, str] = {}
    quick: Quick | None = None
    strategy: Strategy = STRATEGIES["put_credit_spread"]
    grid: tuple[Axis, ...] = ()
    params: Parameters = Parameters()
    windows: Windows | None = None
    objective: str = "sharpe"
    run: RunSettings = RunSettings()
    repeated: int = 0


def decoded_job(data: Any) -> JobFile:
    """Return a job decoded from JSON data, with the values of a `strategy` axis as strategies.

    Raises
    ------
    msgspec.ValidationError
        When the data are not a job.
    """
    job = msgspec.convert(data, JobFile)
    grid = tuple(
        (name, msgspec.convert(values, tuple[Strategy, ...]) if name == "strategy" else values)
        for name, values in job.grid
    )
    return msgspec.structs.replace(job, grid=grid)
