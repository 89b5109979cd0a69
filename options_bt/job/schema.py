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
    """

    workers: Annotated[int, Meta(ge=1, le=256)] | Literal["auto"] = "auto"
    timeout: Annotated[float, Meta(gt=0)] = 300.0
    retries: Annotated[int, Meta(ge=0, le=10)] = 1


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
    """Give the job that was encoded as JSON; the values of a `strategy` axis are strategies again.

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
