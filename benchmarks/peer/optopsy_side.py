"""Run the cases in optopsy, in a Python that has optopsy and pyarrow but not options-bt.

``python optopsy_side.py FOLDER`` reads ``cases.json`` and the chains it names, and writes ``theirs.parquet``,
``simulated.parquet`` and ``probes.json``. Only public functions of optopsy are called.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import wraps
from importlib.metadata import version
from pathlib import Path
from typing import Any

import optopsy
import pandas as pd

Case = dict[str, Any]


def nearest_expiration(target: float) -> Callable[[pd.DataFrame], pd.Series]:
    """Return a selector of the candidate with the days to expiration nearest to a target, the sooner of two."""

    def chosen(candidates: pd.DataFrame) -> pd.Series:
        ordered = candidates.sort_values("dte_entry", kind="stable")
        return ordered.loc[(ordered["dte_entry"] - target).abs().idxmin()]

    return chosen


def every_day(raw: pd.DataFrame, case: Case) -> pd.DataFrame:
    """Return one of optopsy's trades for each entry date, with the names and signs of options-bt."""
    raw = raw.assign(entry_date=raw["expiration"] - pd.to_timedelta(raw["dte_entry"], unit="D"))
    selector = nearest_expiration(case["dte_target"])
    raw = pd.DataFrame([selector(day) for _, day in raw.groupby("entry_date")]).reset_index(drop=True)
    single = len(case["sides"]) == 1
    sign = -case["sides"][0] if single else -1  # the prices of single legs are unsigned, other totals are what was paid
    entry, closing = ("entry", "exit") if single else ("total_entry_cost", "total_exit_proceeds")
    strikes = ["strike"] if single else [f"strike_leg{leg}" for leg in range(1, len(case["sides"]) + 1)]
    planned = raw["expiration"] - pd.Timedelta(days=case["keywords"]["exit_dte"])
    early = raw["_early_exit_date"] if "_early_exit_date" in raw else pd.Series(pd.NaT, raw.index)
    early = early.astype(planned.dtype)
    return pd.DataFrame(
        {
            "case": case["name"],
            "entry_date": raw["entry_date"],
            "expiration": raw["expiration"],
            "strikes": raw[strikes].astype(float).to_numpy().tolist(),
            "premium": sign * raw[entry],
            "exit_date": early.fillna(planned),
            "early": early.notna(),
            "exit_cost": sign * raw[closing],
            "pnl": raw["pct_change"] * raw[entry].abs() * 100,
        }
    )


def one_at_a_time(chain: pd.DataFrame, raw: pd.DataFrame, case: Case) -> pd.DataFrame:
    """Return the trade log of optopsy's simulator on these trades; it depends on the name of the strategy."""
    known = wraps(getattr(optopsy, case["optopsy"]))(lambda data, **keywords: raw)
    selector = nearest_expiration(case["dte_target"])
    log = optopsy.simulate(chain, known, capital=1e9, selector=selector, **case["keywords"]).trade_log
    return log.assign(case=case["name"])[["case", "entry_date", "exit_date", "realized_pnl"]]


def probes(chain: pd.DataFrame, sparse: pd.DataFrame) -> dict[str, Any]:
    """Measure behaviour that a user may not expect."""
    near, far = ({"target": delta, "min": delta - 0.05, "max": delta + 0.05} for delta in (0.2, 0.1))
    days: dict[str, Any] = {"max_entry_dte": 45, "exit_dte": 7}
    put = {**days, "leg1_delta": near}
    raw = optopsy.short_puts(chain, raw=True, **put)
    charged = optopsy.short_puts(chain, raw=True, commission=0.65, **put)

    def simulated(strategy: Callable[..., pd.DataFrame], **more: Any) -> float:
        return float(optopsy.simulate(chain, strategy, **put, **more).summary["total_pnl"])

    def days_traded(tolerance: int) -> int:
        found = optopsy.short_puts(sparse, raw=True, exit_dte_tolerance=tolerance, **put)
        return int(found["quote_date_entry"].nunique())

    own = optopsy.simulate(chain, optopsy.short_puts, max_positions=1000, **put).trade_log
    own_dte = (own["expiration"] - own["entry_date"]).dt.days
    return {
        "version": version("optopsy"),
        "low_first": len(optopsy.short_put_spread(chain, raw=True, leg1_delta=far, leg2_delta=near, **days)),
        "high_first": len(optopsy.short_put_spread(chain, raw=True, leg1_delta=near, leg2_delta=far, **days)),
        "fee": float(((raw["pct_change"] - charged["pct_change"]) * raw["entry"] * 100).median()),
        "simulated": simulated(optopsy.short_puts),
        "simulated_charged": simulated(optopsy.short_puts, commission=0.65),
        "simulated_wrapped": simulated(lambda data, **keywords: optopsy.short_puts(data, **keywords)),
        "unlimited": len(own),
        "expirations": own["expiration"].nunique(),
        "dte": [int(own_dte.min()), int(own_dte.max())],
        "sparse": [days_traded(0), days_traded(7)],
        "raw": len(raw),
        "aggregated": int(optopsy.short_puts(chain, **put)["count"].sum()),
    }


def main(folder: Path) -> None:
    """Run every case and write the results."""
    found = json.loads((folder / "cases.json").read_text())
    chains = {name: pd.read_parquet(folder / f"{name}.parquet") for name in {case["chain"] for case in found}}
    trades, logs = [], []
    for case in found:
        chain = chains[case["chain"]]
        raw = getattr(optopsy, case["optopsy"])(chain, raw=True, **case["keywords"])
        if raw.empty:
            continue
        trades.append(every_day(raw, case))
        logs.append(one_at_a_time(chain, raw, case))
    pd.concat(trades, ignore_index=True).to_parquet(folder / "theirs.parquet")
    pd.concat(logs, ignore_index=True).to_parquet(folder / "simulated.parquet")
    (folder / "probes.json").write_text(json.dumps(probes(chains["whole"], chains["sparse"])))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
