"""Loading a job file: YAML, overrides from the command line, and the errors of both."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from msgspec import structs

from options_bt.errors import Fault, InputError, JobFileError, nearest
from options_bt.job.parameters import EXCLUSIVE, FIELDS
from options_bt.job.reading import read_job
from options_bt.job.schema import JobFile
from options_bt.job.validation import shortened

_OWN_SCALARS = {"bool", "float", "timestamp"}


class _Loader(yaml.SafeLoader):
    """Safe YAML: the tickers ON and NO and dates stay text, 1e5 is a number, no key occurs twice."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # as PyYAML sets them
        first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] not in _OWN_SCALARS]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        own = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        keys = [self.construct_object(key, deep=True) for key in own]
        for index, key in enumerate(keys):
            if key in keys[:index]:
                mark = own[index].start_mark
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} occurs twice", problem_mark=mark)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$", re.I), list("tTfF"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][-+]?\d+)?$|^[-+]?\.(?:inf|nan)$", re.I),
    list("-+0123456789."),
)


def load_job(
    path: str | Path,
    *,
    symbols: Sequence[str] = (),
    quick: bool = False,
    overrides: Sequence[str] = (),
    name: str | None = None,
) -> JobFile:
    """Return the valid job of a job file, with the overrides of the command line.

    Parameters
    ----------
    path : str or Path
        A YAML file as docs/job-files.md describes it.
    symbols : sequence of str
        Run only these; each must be in the file.
    quick : bool
        Apply the file's `quick` section, and add ``-quick`` to the name.
    overrides : sequence of str
        ``key=value`` for any parameter, the value in YAML; a list makes it an axis.
    name : str, optional
        Name of the run, in place of the file's.

    Returns
    -------
    JobFile

    Raises
    ------
    JobFileError
        With every fault of the file.
    InputError
        When the file cannot be read or an override is wrong.

    Examples
    --------
    >>> import options_bt
    >>> job = options_bt.load_job("jobs/delta.yaml")
    >>> job.symbols
    ('AAPL', 'MSFT', 'NVDA', 'SPY')
    """
    data = _yaml(Path(path))
    if isinstance(data, dict):
        data = data | ({} if name is None else {"name": name})
        for override in overrides:
            _override(data, override)
    job = _valid(data, path)
    if quick:
        job = _valid(_quick(data, job, path), path)
    return _only(job, symbols) if symbols else job


def _valid(data: Any, path: str | Path) -> JobFile:
    job, faults = read_job(data)
    if job is None:
        raise JobFileError(str(path), faults)
    return job


def _yaml(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        hint = _nearest_file(path) if isinstance(error, FileNotFoundError) else ""
        raise InputError(f"{path}: cannot be read: {reason}{hint}") from None
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise JobFileError(str(path), [Fault(where, f"not YAML: {error.problem}")]) from None
    except yaml.YAMLError as error:
        raise JobFileError(str(path), [Fault("", f"not YAML: {error}")]) from None


def _nearest_file(path: Path) -> str:
    return nearest(path.name, (file.name for file in path.parent.glob("*.y*ml")))


def _override(data: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    key = key.strip()
    if not equals or key not in (*FIELDS, "strategy"):
        hint = nearest(key, (*FIELDS, "strategy"))
        known = ", ".join((*FIELDS, "strategy"))
        # Not the value: `--set source=...` may hold a password.
        raise InputError(f"--set {key}: expected KEY=VALUE with a known KEY{hint}; allowed: {known}")
    try:
        value = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError:
        raise InputError(f"--set {override}: the value is not YAML") from None
    overridden = {key, *(name for pair in EXCLUSIVE if key in pair for name in pair)}
    for section in ("grid", "params"):
        if isinstance(data.get(section), dict):
            data[section] = {k: v for k, v in data[section].items() if k not in overridden}
    if key == "strategy":
        data["strategy"] = None if isinstance(value, list) else value
    section = "grid" if isinstance(value, list) else "params"
    # A section that is not a mapping is left for the reader to reject.
    if (key != "strategy" or section == "grid") and isinstance(data.get(section), dict | None):
        data[section] = (data.get(section) or {}) | {key: value}


def _quick(data: dict[str, Any], job: JobFile, path: str | Path) -> dict[str, Any]:
    if job.quick is None:
        raise InputError(f"{path}: --quick needs a section `quick`, such as quick: {{start: 2023-01-01}}")
    period = {"start": job.quick.start or job.period.start, "end": job.quick.end or job.period.end}
    symbols = list(job.quick.symbols or job.symbols)
    return data | {"name": f"{job.name}-quick", "period": period, "symbols": symbols}


def _only(job: JobFile, symbols: Iterable[str]) -> JobFile:
    for symbol in symbols:
        if symbol not in job.symbols:
            hint = nearest(symbol, job.symbols)
            raise InputError(
                f"--symbol {shortened(symbol)} is not in the job file{hint}; allowed: {', '.join(job.symbols)}"
            )
    return structs.replace(job, symbols=tuple(s for s in job.symbols if s in set(symbols)))
