"""Run the same trades in options-bt and in optopsy 2.3.0, and explain every difference: `make peer PEER=...`.

optopsy needs Python 3.12 or newer and its own environment; Parquet files carry the data there and back:

    python3.12 -m venv /tmp/optopsy && /tmp/optopsy/bin/pip install optopsy==2.3.0 pyarrow
    make peer PEER=/tmp/optopsy/bin/python

It also runs on Python 3.11, with the same output, if pip ignores its requirement:

    python3.11 -m venv /tmp/optopsy
    /tmp/optopsy/bin/pip install pyarrow pandas pydantic pandas-ta-classic empyrical-reloaded
    /tmp/optopsy/bin/pip install --no-deps --ignore-requires-python optopsy==2.3.0

Prints and saves benchmarks/peer.md; exits with 1 if a trade differs and no rule explains it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

import options_bt
from benchmarks.peer.cases import DENSE, DTE_TARGET, END, SPARSE, START, SYMBOL, Case, cases, our_params, our_strategy
from benchmarks.peer.cases import their_keywords as keywords
from benchmarks.peer.differences import CENT, UNEXPLAINED, difference, more_commission, one_at_a_time, same
from benchmarks.peer.rules import Chain, Trade, modelled
from benchmarks.peer.table import Compared, table
from options_bt.data.market.cleaning import cleaned
from options_bt.data.sources.factory import open_source

TABLE = Path(__file__).parents[1] / "peer.md"
SIDE = Path(__file__).with_name("optopsy_side.py")
UNLIMITED = 1000


def quotes_of(source_text: str) -> pl.DataFrame:
    """Return the clean quotes of options-bt in optopsy's columns, with the intrinsic value of each."""
    source = open_source(source_text)
    quotes, _ = cleaned(pl.concat(frame for _, frame in source.chain(SYMBOL, [int(START[:4])])))
    is_call, strike = pl.col("right") == 1, pl.col("cents") / 100
    above = pl.col("close") - strike
    return quotes.join(source.closes(SYMBOL), on="date", how="left").select(
        pl.lit(SYMBOL).alias("underlying_symbol"),
        pl.when(is_call).then(pl.lit("call")).otherwise(pl.lit("put")).alias("option_type"),
        pl.col("expiration").cast(pl.Datetime("us")),
        pl.col("date").cast(pl.Datetime("us")).alias("quote_date"),
        strike.alias("strike"),
        *("bid", "ask", "delta"),
        pl.when(is_call).then(above).otherwise(-above).clip(0).alias("intrinsic"),
    )


def chains() -> dict[str, pl.DataFrame]:
    """Return the chains for optopsy, by their names in `cases.Rules.chain`."""
    whole = quotes_of(DENSE)
    dte = (pl.col("expiration") - pl.col("quote_date")).dt.total_days()
    settled = [pl.when(dte == 0).then("intrinsic").otherwise(name).alias(name) for name in ("bid", "ask")]
    every = {"whole": whole, "cut": whole.filter(dte >= 7), "settled": whole.with_columns(settled)}
    return {name: chain.drop("intrinsic") for name, chain in (every | {"sparse": quotes_of(SPARSE)}).items()}


def ours(case: Case, cache: Path, max_positions: int) -> list[Trade]:
    """Return the trades of options-bt."""
    trades = options_bt.backtest(
        SYMBOL,
        START,
        END,
        source=case.rules.source,
        cache=cache,
        strategy=our_strategy(case),
        **our_params(case),
        max_positions=max_positions,
    ).trades
    columns = ("entry_date", "expiration", "legs", "premium", "exit_date", "exit_cost", "pnl", "exit_reason")
    rows = trades.sort("entry_date").select(columns).iter_rows()
    return [Trade(row[0], row[1], tuple(leg["strike"] for leg in row[2]), *row[3:]) for row in rows]


def run_theirs(python: str, folder: Path, data: dict[str, pl.DataFrame], wanted: Sequence[Case]) -> None:
    """Run the cases in optopsy, which writes its results into the folder."""
    for name, chain in data.items():
        chain.write_parquet(folder / f"{name}.parquet")
    described = [
        {
            "name": case.name,
            "optopsy": case.optopsy,
            "chain": case.rules.chain,
            "keywords": keywords(case),
            "sides": [leg.side for leg in case.legs],
            "dte_target": DTE_TARGET,
        }
        for case in wanted
    ]
    (folder / "cases.json").write_text(json.dumps(described))
    subprocess.run([python, "-W", "ignore", str(SIDE), str(folder)], check=True)


def theirs(path: Path) -> dict[str, list[Trade]]:
    """Return optopsy's trades of every case, one for each entry date."""
    found: dict[str, list[Trade]] = defaultdict(list)
    dates = pl.col("entry_date", "expiration", "exit_date").cast(pl.Date)
    how = pl.when("early").then(pl.lit("early")).otherwise(pl.lit("planned"))
    columns = ("case", "entry_date", "expiration", "strikes", "premium", "exit_date", "exit_cost", "pnl")
    for case, day, expiration, strikes, *rest in (
        pl.read_parquet(path).with_columns(dates).sort("entry_date").select(*columns, how.alias("how")).iter_rows()
    ):
        found[case].append(Trade(day, expiration, tuple(strikes), *rest))
    return found


def compared(case: Case, chain: Chain, our: list[Trade], their: list[Trade]) -> Compared:
    """Return the trades of both programs by entry date, with the rules by which they differ."""
    ours_of, theirs_of = ({trade.entry_date: trade for trade in trades} for trades in (our, their))
    pairs = []
    for day in sorted(ours_of.keys() | theirs_of.keys()):
        trade, other = ours_of.get(day), theirs_of.get(day)
        why = difference(chain, case, trade, other)
        if other is not None and not is_modelled(chain, case, other):
            why = UNEXPLAINED
        if trade is not None and other is not None and not why:
            their_pnl = trade.pnl + more_commission(case, trade, other)
            why = "" if abs(their_pnl - other.pnl) < CENT * 100 else UNEXPLAINED
        pairs.append((trade, other, why))
    return Compared(case, pairs)


def is_modelled(chain: Chain, case: Case, trade: Trade) -> bool:
    """Return whether the rules give the same trade as optopsy, with the same P/L."""
    model = modelled(chain, case, trade.entry_date)
    return model is not None and same(model, trade) and abs(model.pnl - trade.pnl) < CENT * 100


def simulated_as_walked(path: Path, case: Case, their: list[Trade]) -> bool:
    """Return whether optopsy's simulator picked the same of its trades as `one_at_a_time` does."""
    dates = pl.col("entry_date", "exit_date").cast(pl.Date)
    log = pl.read_parquet(path).filter(pl.col("case") == case.name).with_columns(dates).drop("case").rows()
    walked = [(t.entry_date, t.exit_date, 100 * (t.premium - t.exit_cost)) for t in one_at_a_time(their)]
    return len(log) == len(walked) and all(
        a[:2] == b[:2] and abs(a[2] - b[2]) < CENT * 100 for a, b in zip(log, walked, strict=True)
    )


def has_optopsy(python: str) -> bool:
    """Return whether an interpreter exists and has optopsy and pyarrow."""
    if shutil.which(python) is None:
        return False
    return subprocess.run([python, "-c", "import optopsy, pyarrow"], capture_output=True, check=False).returncode == 0


def main(python: str, path: Path, wanted: Sequence[Case]) -> int:
    """Compare the cases, print and save the table; return the number of unexplained trades."""
    if not has_optopsy(python):
        sys.exit(f"{python or 'no Python'}: no interpreter with optopsy and pyarrow; set one up:\n{__doc__}")
    results, books, unexplained = [], [], 0
    with TemporaryDirectory() as place:
        folder = Path(place)
        data = chains()
        run_theirs(python, folder, data, wanted)
        looked_up = {name: Chain(chain) for name, chain in data.items()}
        their = theirs(folder / "theirs.parquet")
        for case in wanted:
            every, one = (ours(case, folder / "cache", limit) for limit in (UNLIMITED, 1))
            result = compared(case, looked_up[case.rules.chain], every, their[case.name])
            walked = simulated_as_walked(folder / "simulated.parquet", case, their[case.name])
            unexplained += result.unexplained + (not walked) + (one_at_a_time(every) != one)
            results.append(result)
            books.append((case, one, one_at_a_time(their[case.name])))
        probes = json.loads((folder / "probes.json").read_text())
    text = table(results, books, probes)
    path.write_text(text)
    print(text, end="")
    return unexplained


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peer", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", required=True, help="an interpreter with optopsy and pyarrow")
    parser.add_argument("--table", type=Path, default=TABLE, help="where to save the table")
    arguments = parser.parse_args()
    if count := main(arguments.python, arguments.table, tuple(cases())):
        sys.exit(f"{count} trades or selections differ, and no rule explains them")
