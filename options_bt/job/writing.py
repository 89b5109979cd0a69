"""Writing a job as a job file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import msgspec
import yaml
from msgspec import structs

from options_bt.job.parameters import Parameters
from options_bt.job.schema import JobFile
from options_bt.job.strategies import ONE_ARMED, STRATEGIES, Arm, Leg, Strategy


def written_job(job: JobFile) -> str:
    """Return the YAML of a job file that is read as this job, without values that its lists repeated.

    Examples
    --------
    >>> import options_bt
    >>> print(written_job(options_bt.load_job("jobs/delta.yaml", symbols=["SPY"])).partition("quick")[0])
    name: delta
    symbols: [SPY]
    period:
      start: 2019-01-01
      end: 2024-12-31
    <BLANKLINE>
    """
    return yaml.dump(_entries(job), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


class _Dumper(yaml.SafeDumper):
    """Writes lists of plain values on one line."""


def _represented_list(dumper: yaml.SafeDumper, values: Sequence[Any]) -> yaml.Node:
    plain = not any(isinstance(value, dict | list | tuple) for value in values)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=plain)


for kind in (list, tuple):
    _Dumper.add_representer(kind, _represented_list)


def _entries(job: JobFile) -> dict[str, Any]:
    entries = _changed(job, JobFile(name="", symbols=(), period=job.period)) | {"period": structs.asdict(job.period)}
    grid = {name: [_value(value) for value in values] for name, values in job.grid}
    own = {"params": _changed(job.params, Parameters()), "grid": grid, "strategy": _strategy(job.strategy)}
    entries |= {name: value for name, value in own.items() if name in entries and value}
    entries.pop("repeated", None)
    order = ("name", "source", "columns", "symbols", "period", "quick", "strategy", "grid", "params", "windows")
    return {name: entries[name] for name in (*order, "objective", "run") if name in entries}


def _changed(struct: msgspec.Struct, default: msgspec.Struct) -> dict[str, Any]:
    """Return the fields, as plain values, that differ from another struct's."""
    names = struct.__struct_fields__
    values = ((name, getattr(struct, name)) for name in names if getattr(struct, name) != getattr(default, name))
    return {name: _plain(msgspec.to_builtins(value, builtin_types=(date,))) for name, value in values}


def _plain(value: Any) -> Any:
    return {key: one for key, one in value.items() if one is not None} if isinstance(value, dict) else value


def _value(value: Any) -> Any:
    return _strategy(value) if isinstance(value, Strategy) else value


def _strategy(strategy: Strategy) -> Any:
    if STRATEGIES.get(strategy.name) == strategy:
        return strategy.name
    if len(strategy.arms) == 1 and strategy.arms[0].name is None:
        return {"name": strategy.name} | _arm(strategy.arms[0])
    return {"name": strategy.name, "arms": [_arm(arm) for arm in strategy.arms]}


def _arm(arm: Arm) -> dict[str, Any]:
    entries: dict[str, Any] = {"name": arm.name, "when": arm.when}
    if arm.kind == "custom":
        entries |= {"legs": [_leg(leg) for leg in arm.legs], "shares": arm.shares or None}
    else:
        bare = structs.replace(arm, name=None, when=None)
        entries["strategy"] = next(name for name, known in ONE_ARMED.items() if known == bare)
    return {name: value for name, value in entries.items() if value is not None}


def _leg(leg: Leg) -> dict[str, Any]:
    entries = _changed(leg, Leg(name="", right="put", side="long"))
    entries |= {"right": leg.right, "side": leg.side}
    select, value, anchor = (entries.pop(key, None) for key in ("select", "value", "of"))
    if select == "same_strike":
        return entries | {"same_strike": anchor}
    if anchor is not None:
        entries["of"] = anchor
    return entries | ({} if value is None else {select or "delta": value})
