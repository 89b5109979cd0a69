"""The job file as data: what a valid one holds."""

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
"""Jobs up to which ``keep: auto`` stores the trades and equity of all. On six years of the sparse demo market they take
7.5 kB each: these 75 MB, a million 7.5 GB."""
KEPT_BEST = 100
"""Of how many of the best it stores them in a larger run."""


class Period(Struct, frozen=True):
    """The days of a job file, both ends included."""

    start: date
    end: date


class Quick(Struct, frozen=True, kw_only=True):
    """What `--quick` overrides."""

    start: date | None = None
    end: date | None = None
    symbols: tuple[str, ...] | None = None


class RunSettings(Struct, frozen=True, kw_only=True):
    """How the jobs are run; nothing here changes a result.

    Attributes
    ----------
    workers : int or 'auto'
        Worker processes; 1 runs in this process, ``auto`` takes what the cores and the work ask for.
    timeout : float
        Seconds after which one backtest counts as stuck.
    retries : int
        How often a job whose worker died is tried again.
    keep : str
        Whose trades and equity are stored: ``all``, ``metrics`` (of none), ``top N`` (of the N best by the objective)
        or ``auto`` (of all up to `KEPT_UP_TO` jobs, else of the best `KEPT_BEST`).
    """

    workers: Annotated[int, Meta(ge=1, le=256)] | Literal["auto"] = "auto"
    timeout: Annotated[float, Meta(gt=0)] = 300.0
    retries: Annotated[int, Meta(ge=0, le=10)] = 1
    keep: Annotated[str, Meta(pattern=r"^(auto|all|metrics|top [1-9][0-9]{0,8})\Z")] = "auto"

    def kept(self, total: int) -> int:
        """Return of how many of `total` jobs trades and equity are stored."""
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
    """A whole, valid job file.

    Attributes
    ----------
    source : str
        As written: environment variables are not expanded here, so that no password is kept.
    columns : dict
        For a `files:` source: our column name to the vendor's.
    strategy : Strategy
        What runs where the grid has no `strategy` axis.
    grid : tuple of (name, values)
        The axes in the order of the file, each value in canonical form and once.
    params : Parameters
        The values of everything that is no axis.
    repeated : int
        How many equal values were taken out of the lists of the file.
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
    """Return the job that was encoded as JSON; the values of a `strategy` axis are strategies again.

    Raises
    ------
    msgspec.ValidationError
        When it is none.
    """
    job = msgspec.convert(data, JobFile)
    grid = tuple(
        (name, msgspec.convert(values, tuple[Strategy, ...]) if name == "strategy" else values)
        for name, values in job.grid
    )
    return msgspec.structs.replace(job, grid=grid)
