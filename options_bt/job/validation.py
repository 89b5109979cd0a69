"""Validating what a user wrote against types, one value at a time, so that every fault is listed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import msgspec
from msgspec import inspect

from options_bt.errors import Fault, nearest


class Invalid:
    """Returned in place of an invalid value, whose fault is on the list."""


INVALID = Invalid()


def shortened(value: Any) -> str:
    """Return a value as a job file has it, in up to 60 characters."""
    if isinstance(value, date):
        return value.isoformat()
    try:
        text = msgspec.json.encode(value, enc_hook=str).decode()
    except RecursionError:
        return "a value that contains itself"
    return text if len(text) <= 60 else text[:57] + "..."


def _bounds(info: inspect.IntType | inspect.FloatType) -> str:
    if info.ge is not None and info.le is not None:
        return f" from {info.ge} to {info.le}"
    words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
    parts = [f"{word} {getattr(info, name)}" for name, word in words.items() if getattr(info, name) is not None]
    return f" {' and '.join(parts)}" if parts else ""


def allowed(type_: Any) -> str:
    """Return the values that a type allows, in plain words.

    Examples
    --------
    >>> from options_bt.job.parameters import Share
    >>> allowed(Share | None)
    'a number above 0 and at most 1, or null'
    """
    return _described(inspect.type_info(type_))


def _described(info: inspect.Type) -> str:
    match info:
        case inspect.UnionType(types=types):
            return ", or ".join(_described(part) for part in types)
        case inspect.NoneType():
            return "null"
        case inspect.IntType():
            return f"a whole number{_bounds(info)}"
        case inspect.FloatType():
            return f"a number{_bounds(info)}"
        case inspect.BoolType():
            return "true or false"
        case inspect.DateType():
            return "a date such as 2019-01-01"
        case inspect.LiteralType(values=values):
            return ", ".join(str(value) for value in values)
        case inspect.VarTupleType() | inspect.ListType():
            return "a list"
        case inspect.DictType():
            return "a mapping"
        case _:
            return "a text"


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


class Validator:
    """Converts values and keeps the list of faults.

    Attributes
    ----------
    faults : list of Fault
        The faults so far, in the order of reading.
    """

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def reject(self, path: str, problem: str, allowed: str = "") -> Invalid:
        """Add a fault to the list; return INVALID."""
        self.faults.append(Fault(path, problem, allowed))
        return INVALID

    def value(self, value: Any, type_: Any, path: str, form: str = "") -> Any:
        """Return `value` as `type_`, or INVALID with a fault; `form` replaces the description of what is allowed."""
        if isinstance(value, float) and not math.isfinite(value):
            return self.reject(path, f"got {value}", form or allowed(type_))
        try:
            return msgspec.convert(value, type_)
        except msgspec.ValidationError:
            return self.reject(path, f"got {shortened(value)}", form or allowed(type_))

    def mapping(self, value: Any, path: str, known: Iterable[str]) -> dict[str, Any]:
        """Return the known keys of a mapping; each unknown one is a fault with its nearest name."""
        if not isinstance(value, Mapping):
            self.reject(path, f"got {shortened(value)}", "a mapping of keys to values")
            return {}
        known = list(known)
        for key in value:
            if key not in known:
                self.reject(_joined(path, str(key)), f"unknown key{nearest(str(key), known)}", ", ".join(known))
        return {key: value[key] for key in value if key in known}

    def struct(self, value: Any, type_: Any, path: str, forms: Mapping[str, str] | None = None) -> Any:
        """Return a Struct read field by field, or INVALID when any field is wrong or missing."""
        before = len(self.faults)
        fields = {field.name: field for field in msgspec.structs.fields(type_)}
        entries = self.mapping(value, path, fields)
        if not isinstance(value, Mapping):
            return INVALID
        for name, field in fields.items():
            if field.required and name not in entries:
                self.reject(_joined(path, name), "missing", (forms or {}).get(name) or allowed(field.type))
        read = {
            name: self.value(entry, fields[name].type, _joined(path, name), (forms or {}).get(name, ""))
            for name, entry in entries.items()
        }
        return type_(**read) if len(self.faults) == before else INVALID
