"""What users would use instead, on one chain and with the same rules: optopsy, and a backtest of one's own in polars.

The rules are those of `benchmarks.peer`: a put sold and one bought by delta, 30 to 45 days, closed at so many days to
expiration. The trades of the backtest in polars must be those of options-bt; optopsy's differ where docs/peer.md says.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from itertools import islice, product
from pathlib import Path
from typing import Any

import yaml

import options_bt
from benchmarks.measuring import MB, OPTIONS_BT, Observed, Row, observed
from benchmarks.peer.__main__ import has_optopsy, quotes_of
from benchmarks.peer.cases import DENSE, DTE_MAX, DTE_MIN, END, START, SYMBOL, Leg
from benchmarks.plain import COMMISSION, DELTA_TOLERANCE, Rules, backtest, read_puts
from options_bt.data.sources.factory import open_source

WING = 0.1
LOOP = Path(__file__).with_name("optopsy_loop.py")
_DELTAS = (0.20, 0.16, 0.18, 0.22, 0.25)
_EXIT_DTE = (7, 14, 21)  # Fridays, as optopsy closes on the very day or not at all
_OFF = {"stop_loss": None, "profit_target": None, "min_credit": 0, "capital": 1e9, "unquoted": "hold"}


def rules_of(count: int) -> list[Rules]:
    """Give up to fifteen rules."""
    return [Rules(delta, WING, exit_dte=days) for days, delta in islice(product(_EXIT_DTE, _DELTAS), count)]


def same_trades(folder: Path, rules: Sequence[Rules]) -> None:
    """Check that the backtest in polars makes the trades of options-bt on the chain in a folder.

    Raises
    ------
    SystemExit
        When it does not.
    """
    puts, closes = read_puts(folder / "chain.parquet"), _closes()
    for each in rules:
        exits = {"exit_dte": each.exit_dte, "profit_target": each.profit_target, "stop_loss": each.stop_loss}
        params = _params() | exits | {"delta": each.delta}
        theirs = options_bt.backtest(
            SYMBOL, START, END, source=DENSE, cache=folder / "cache", strategy=_strategy(), **params
        ).trades
        columns = ("entry_date", "exit_date", "expiration", "legs", "pnl")
        ours = [
            (entry, exit_day, expiration, *(leg["strike"] for leg in legs), round(pnl, 6))
            for entry, exit_day, expiration, legs, pnl in theirs.sort("entry_date").select(columns).iter_rows()
        ]
        found = [(*trade[:5], round(trade.pnl, 6)) for trade in backtest(puts, closes, each)]
        if found != ours:
            raise SystemExit(f"the backtest in polars makes other trades than options-bt: {each}")


def write_chain(folder: Path) -> None:
    """Write the chain and the closes that every program reads."""
    source = open_source(DENSE)
    for _, frame in source.chain(SYMBOL, [int(START[:4])]):
        frame.write_parquet(folder / "chain.parquet")
    source.closes(SYMBOL).write_parquet(folder / "closes.parquet")
    quotes_of(DENSE).drop("intrinsic").write_parquet(folder / "optopsy.parquet")


def alternative_rows(folder: Path, count: int, many: int, python: str) -> list[Row]:
    """Measure the programs, each in processes of its own, from their start to their end.

    Parameters
    ----------
    folder : Path
    count, many : int
        Backtests that each program runs, and those that options-bt alone runs besides.
    python : str
        An interpreter that has optopsy; without one its rows are left out, and the table says so.
    """
    write_chain(folder)
    rules = rules_of(count)
    same_trades(folder, rules)
    (folder / "rules.json").write_text(json.dumps([each._asdict() for each in rules]))
    (folder / "keywords.json").write_text(json.dumps([_keywords(each) for each in rules]))
    chain, closes = str(folder / "chain.parquet"), str(folder / "closes.parquet")
    plain = observed([sys.executable, "-m", "benchmarks.plain", chain, closes, str(folder / "rules.json")], folder)
    found = [("a backtest of one's own in polars, trade after trade", count, plain)]
    if has_optopsy(python):
        loop = [python, "-W", "ignore", str(LOOP), str(folder / "optopsy.parquet"), str(folder / "keywords.json")]
        found.append(("optopsy 2.3 `simulate` in a loop", count, observed([*loop, "1"], folder)))
        found.append(("optopsy 2.3 `simulate` in a pool of two processes", count, observed([*loop, "2"], folder)))
    for jobs in (count, many):
        job = _job_file(folder, rules, jobs)
        command = [OPTIONS_BT, "run", str(job), "-q", "--fresh", "--workers", "1"]
        observed(command, folder)
        found.append(("`options-bt run --workers 1`, with its report", jobs, observed(command, folder)))
    slowest = max(told.seconds / jobs for _, jobs, told in found)
    rows = [_row(what, jobs, told, slowest) for what, jobs, told in found]
    missing = Row("optopsy: not measured, as no Python that has it was named", "", "")
    return rows if has_optopsy(python) else [*rows, missing]


def _row(what: str, jobs: int, told: Observed, slowest: float) -> Row:
    rate = jobs / told.seconds
    figure = f"{rate:,.1f} a second, {told.peak('whole') / MB:,.0f} MB at most"
    return Row(f"{jobs:,} backtests of one year: {what}", f"{slowest * rate:,.1f} times as fast", figure)


def _closes() -> dict[Any, float]:
    return dict(open_source(DENSE).closes(SYMBOL).iter_rows())


def _params() -> dict[str, Any]:
    return _OFF | {"dte": f"{DTE_MIN}-{DTE_MAX}", "delta_tolerance": DELTA_TOLERANCE, "commission": COMMISSION}


def _strategy() -> dict[str, Any]:
    legs = [{"name": "short", "right": "put", "side": "short"}, {"name": "long", "right": "put", "side": "long"}]
    legs[1]["delta"] = WING  # type: ignore[assignment]  # the value of another key
    return {"name": "spread", "legs": legs}


def _keywords(rules: Rules) -> dict[str, Any]:
    legs = Leg(1, "put", rules.wing), Leg(-1, "put", rules.delta)
    ranges = {
        f"leg{n}_delta": {"target": leg.delta, "min": leg.low, "max": leg.high} for n, leg in enumerate(legs, start=1)
    }
    filled = {"slippage": "per_leg", "fill_ratio": 0.5, "per_leg_slippage": 0.0}
    return {"max_entry_dte": DTE_MAX, "exit_dte": rules.exit_dte, "min_bid_ask": 0.001, **filled, **ranges}


def _job_file(folder: Path, rules: Sequence[Rules], jobs: int) -> Path:
    """Write a job file of these rules, each with so many slippages that there are so many backtests."""
    deltas, days = (list(dict.fromkeys(getattr(each, name) for each in rules)) for name in ("delta", "exit_dte"))
    slippages = max(1, jobs // (len(deltas) * len(days)))
    described = {
        "name": f"alternatives-{jobs}",
        "source": DENSE,
        "symbols": [SYMBOL],
        "period": {"start": START, "end": END},
        "strategy": _strategy(),
        "grid": {"delta": deltas, "exit_dte": days, "slippage": [0.5 * n / slippages for n in range(1, slippages + 1)]},
        "params": _params(),
        "run": {"keep": "metrics"},
    }
    path = folder / f"alternatives-{jobs}.yaml"
    path.write_text(yaml.safe_dump(described, sort_keys=False))
    return path
