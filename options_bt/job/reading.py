"""Reading a job: plain data in, a valid job or all of its faults out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import structs

from options_bt.errors import Fault, nearest
from options_bt.job.objectives import OBJECTIVES
from options_bt.job.parameters import CANONICAL, EXCLUSIVE, FIELDS, Parameters
from options_bt.job.predicates import predicate_problem
from options_bt.job.schema import JobFile, Period, Quick, RunSettings
from options_bt.job.strategies import STRATEGIES, Strategy
from options_bt.job.strategy_mapping import read_strategy
from options_bt.job.validation import INVALID, Validator, shortened
from options_bt.job.windows import DURATION_FORM, Windows, spans

NAME_FORM = "a plain file name: letters, digits, '.', '_' and '-', starting with a letter or digit"
SYMBOL_FORM = "a ticker such as AAPL or BRK.B, in quotes where YAML would read something else"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}(?<!\.)")
_SYMBOL = re.compile(r"[A-Za-z0-9^][A-Za-z0-9.^_-]{0,19}")
_KEYS = tuple(name for name in JobFile.__struct_fields__ if name != "repeated")
_REQUIRED = {"name": NAME_FORM, "symbols": "a list of tickers", "period": "a start and an end"}


def read_job(data: Any) -> tuple[JobFile | None, list[Fault]]:
    """Return the job that plain data describes, or all of its faults.

    Parameters
    ----------
    data : Any
        From a YAML or JSON loader.

    Returns
    -------
    job : JobFile or None
        None when there is any fault.
    faults : list of Fault
    """
    reader = _Reader()
    entries = reader.mapping(data, "", _KEYS)
    if isinstance(data, Mapping):
        for key, form in _REQUIRED.items():
            if key not in entries:
                reader.reject(key, "missing", form)
    # A key without a value counts as missing.
    entries = {key: value for key, value in entries.items() if value is not None or key in _REQUIRED}
    read = {key: getattr(reader, key)(value) for key, value in entries.items()}
    reader.cross_check(read, entries)
    if reader.faults:
        return None, reader.faults
    return JobFile(**read, repeated=reader.repeated), []


class _Reader(Validator):
    """Reads a job file with one method for each key."""

    def __init__(self) -> None:
        super().__init__()
        self.repeated = 0

    def _once(self, values: list[Any]) -> tuple[Any, ...]:
        kept = tuple(dict.fromkeys(values))
        self.repeated += len(values) - len(kept)
        return kept

    def name(self, value: Any) -> Any:
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            return self.reject("name", f"got {shortened(value)}", NAME_FORM)
        return value

    def symbols(self, value: Any, path: str = "symbols") -> Any:
        if not isinstance(value, list | tuple) or not value:
            return self.reject(path, f"got {shortened(value)}", "a list of tickers, at least one")
        for index, symbol in enumerate(value):
            if not isinstance(symbol, str) or not _SYMBOL.fullmatch(symbol):
                self.reject(f"{path}[{index}]", f"got {shortened(symbol)}", SYMBOL_FORM)
        return self._once([str(symbol) for symbol in value])

    def period(self, value: Any) -> Any:
        period = self.struct(value, Period, "period")
        if isinstance(period, Period) and period.end < period.start:
            return self.reject("period.end", f"got {period.end}", f"{period.start} or later")
        return period

    def quick(self, value: Any) -> Any:
        entries = dict(value) if isinstance(value, Mapping) else value
        symbols = entries.pop("symbols", None) if isinstance(entries, dict) else None
        quick = self.struct(entries, Quick, "quick")
        if symbols is not None and isinstance(quick, Quick):
            quick = structs.replace(quick, symbols=self.symbols(symbols, "quick.symbols"))
        return quick

    def source(self, value: Any) -> Any:
        kinds = "demo, files:PATH or mysql://user@host:port"
        if not isinstance(value, str):
            # Not the value: it may hold a password.
            return self.reject("source", f"got a {type(value).__name__}", kinds)
        kind = re.split(r"[:?]", value, maxsplit=1)[0]
        if "$" not in kind and kind not in ("demo", "files", "mysql"):
            hint = nearest(kind, ("demo", "files", "mysql"))
            return self.reject("source", f"got a source of kind {shortened(kind)}{hint}", kinds)
        return value

    def columns(self, value: Any) -> Any:
        return self.value(value, dict[str, str], "columns", "a mapping of our name to the vendor's")

    def strategy(self, value: Any, path: str = "strategy") -> Any:
        if isinstance(value, Mapping):
            return read_strategy(self, value, path)
        if isinstance(value, str) and value in STRATEGIES:
            return STRATEGIES[value]
        hint = nearest(value, STRATEGIES) if isinstance(value, str) else ""
        known = ", ".join(STRATEGIES) + ", or a mapping with legs or arms of your own"
        return self.reject(path, f"got {shortened(value)}{hint}", known)

    def grid(self, value: Any) -> Any:
        axes = []
        for name, values in self.mapping(value, "grid", (*FIELDS, "strategy")).items():
            path = f"grid.{name}"
            if not isinstance(values, list | tuple) or not values:
                self.reject(path, f"got {shortened(values)}", "a list of at least one value")
                continue
            read = [self._parameter(name, v, f"{path}[{i}]") for i, v in enumerate(values)]
            axes.append((name, self._once(read)))
            if name == "strategy":
                self._check_names([strategy for strategy in axes[-1][1] if isinstance(strategy, Strategy)])
        return tuple(axes)

    def _check_names(self, strategies: list[Strategy]) -> None:
        names = [strategy.name for strategy in strategies]
        for name in dict.fromkeys(name for name in names if names.count(name) > 1):
            self.reject("grid.strategy", f"two strategies are called {shortened(name)}", "a name for each")

    def params(self, value: Any) -> Any:
        entries = self.mapping(value, "params", FIELDS)
        read = {key: self._parameter(key, entry, f"params.{key}") for key, entry in entries.items()}
        return INVALID if INVALID in read.values() else Parameters(**read)

    def _parameter(self, name: str, value: Any, path: str) -> Any:
        if name == "strategy":
            return self.strategy(value, path)
        if name in CANONICAL:
            canonical, form = CANONICAL[name]
            try:
                return canonical(value)
            except (ValueError, TypeError):
                return self.reject(path, f"got {shortened(value)}", form)
        if name == "entry_when" and isinstance(value, str) and (problem := predicate_problem(value)):
            return self.reject(path, problem.got, problem.allowed)
        return self.value(value, FIELDS[name].type, path)

    def windows(self, value: Any) -> Any:
        forms = dict.fromkeys(("train", "test", "step"), DURATION_FORM)
        forms["embargo"] = f"{DURATION_FORM}, or null"
        return self.struct(value, Windows, "windows", forms)

    def objective(self, value: Any) -> Any:
        if value in OBJECTIVES:
            return value
        hint = nearest(str(value), OBJECTIVES)
        return self.reject("objective", f"got {shortened(value)}{hint}", ", ".join(OBJECTIVES))

    def run(self, value: Any) -> Any:
        forms = {
            "workers": "a whole number from 1 to 256, or auto",
            "keep": "auto, all, metrics, or top and a number, such as top 100",
        }
        return self.struct(value, RunSettings, "run", forms)

    def cross_check(self, read: dict[str, Any], entries: dict[str, Any]) -> None:
        """Reject keys that are valid one by one, but not together."""
        axes = entries["grid"] if isinstance(entries.get("grid"), Mapping) else {}
        fixed = entries["params"] if isinstance(entries.get("params"), Mapping) else {}
        for name in axes:
            if name in fixed or (name == "strategy" and "strategy" in entries):
                other = name if name == "strategy" else f"params.{name}"
                self.reject(f"grid.{name}", f"also given as {other}", "one of the two")
        for first, second in EXCLUSIVE:
            given = [name for name in (first, second) if name in axes or fixed.get(name) is not None]
            if len(given) == 2:
                self.reject(f"params.{second}", f"also given: {first}", f"{first} or {second}")
        period, windows = read.get("period"), read.get("windows")
        if isinstance(period, Period):
            self._check_windows(period, windows)
            self._check_quick(period, read.get("quick"))

    def _check_windows(self, period: Period, windows: Any) -> None:
        if not isinstance(windows, Windows):
            return
        cut = spans(period.start, period.end, windows)
        short = next((span for span in cut if span.end < span.start), None)
        if short is not None:
            problem = f"got {shortened(windows.embargo)}, which leaves no training in window {short.window}"
            self.reject("windows.embargo", problem, f"less than train, which is {windows.train}")
        found = len(cut) // 2
        if found == 0 or (windows.count is not None and found < windows.count):
            needed = "at least 1" if windows.count is None else str(windows.count)
            problem = f"the period {period.start} to {period.end} has room for {found}"
            self.reject("windows", problem, f"{needed}: lengthen it or shorten the windows")

    def _check_quick(self, period: Period, quick: Any) -> None:
        if isinstance(quick, Quick) and (quick.start or period.start) > (quick.end or period.end):
            self.reject("quick", "its end is before its start", f"days up to {period.end}")
