"""optopsy's `simulate` over a list of rules, in a loop or in a process pool: run by a Python that has optopsy.

``python optopsy_loop.py CHAIN RULES WORKERS`` prints how many trades each of the rules made; needs nothing of
options-bt.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import optopsy
import pandas as pd

_chain: pd.DataFrame = None


def _read(path: str) -> None:
    global _chain
    _chain = pd.read_parquet(path)


def _nearest_expiration(candidates: pd.DataFrame) -> pd.Series:
    ordered = candidates.sort_values("dte_entry", kind="stable")
    return ordered.loc[(ordered["dte_entry"] - 37.5).abs().idxmin()]


def trades_of(keywords: dict[str, Any]) -> int:
    """Return how many trades optopsy's simulator makes with these keywords."""
    spread = optopsy.short_put_spread
    return len(optopsy.simulate(_chain, spread, capital=1e9, selector=_nearest_expiration, **keywords).trade_log)


def main(path: str, rules: list[dict[str, Any]], workers: int) -> None:
    """Read, run, print."""
    if workers == 1:
        _read(path)
        found = [trades_of(keywords) for keywords in rules]
    else:
        with ProcessPoolExecutor(workers, initializer=_read, initargs=(path,)) as pool:
            found = list(pool.map(trades_of, rules))
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(Path(sys.argv[2]).read_text()), int(sys.argv[3]))
