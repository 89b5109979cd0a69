"""What the gaps of the source do to results, and how much modelled quotes repair: `make thinning`.

A dense simulated market is the truth. It is thinned like the source (Monday, Wednesday and Friday, the expirations
nearest to 14, 28 and 56 days, 27 strikes), and the same entries are backtested four times: with every quote of the held
contracts (the truth), with those on the source's days, and on the thinned market with `unquoted: hold` and with
`unquoted: model`. Errors that come from the source's days alone are beyond any model of quotes.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl

from options_bt.data.market.building import build_market
from options_bt.data.market.market import Chain, Market
from options_bt.data.sources.demo import DemoSource
from options_bt.engine.backtest import metrics_row, run_backtest
from options_bt.engine.frames import trades_table
from options_bt.job.load import load_job
from options_bt.job.planner import Plan

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "benchmarks" / "thinning.md"
SYMBOLS, SEEDS = ("AAPL", "MSFT", "NVDA", "SPY"), (1, 2, 3)
STRATEGIES = ("put_credit_spread", "iron_condor", "short_put", "short_strangle", "covered_call")
DTE = (14, 28, 56)
STEPS = np.array([1, 2, 3, 4, 5, 6.5, 8, 10, 12.5, 15.5, 19, 24, 30]) / 100
MONEYNESS = 1 + np.concatenate([-STEPS[::-1], [0.0], STEPS])
GRID_METRICS = ("total_pnl", "sharpe", "max_drawdown", "win_rate")
WAYS = {"hold": "`hold`", "model": "`model`", "days": "every quote of the source's days"}
COLUMNS = ("entry_date", "exit_date", "pnl", "modelled_exit", "stale_days", "quote_days")
HEADING = f"""# What gaps do to results

By `make thinning`: {len(SYMBOLS)} symbols x {len(SEEDS)} seeds of the dense simulated market, 2019 to 2024. Dollars per
trade of one contract. Trades are compared with the true ones of the same entry; the second table has one position at a
time, the third is jobs/grid.yaml.
"""
ERROR = "spread of error (of the truth)"
CONTRACT = ["date", "expiration", "strike", "right"]


def thinned(chain: pl.DataFrame, closes: pl.DataFrame) -> pl.DataFrame:
    """Return the quotes that the source would have."""
    rows = chain.filter(pl.col("date").dt.weekday().is_in([1, 3, 5]))
    dte = (pl.col("expiration") - pl.col("date")).dt.total_days()
    listed = rows.select("date", "expiration").unique().sort("date", "expiration")
    nearest = [listed.filter((dte - days).abs() == (dte - days).abs().min().over("date")) for days in DTE]
    kept = rows.join(pl.concat(nearest).unique(), on=["date", "expiration"], how="semi")
    strikes = kept.select("date", "expiration", "strike").unique().join(closes, on="date")
    chosen = [
        strikes.filter(away == away.min().over("date", "expiration"))
        for away in ((pl.col("strike") - share * pl.col("close")).abs() for share in MONEYNESS)
    ]
    return kept.join(pl.concat(chosen).unique(), on=["date", "expiration", "strike"], how="semi")


def seen_market(whole: Market, thin: Market) -> Market:
    """Return a market with the entries of the thinned quotes, and all quotes of the contracts that are held."""
    every, few = whole.chain, thin.chain
    own_day = np.searchsorted(every.days.date, few.days.date)
    days = np.array(every.days).view(np.recarray)
    days.groups_from[:], days.groups_to[:] = 0, 0
    days.groups_from[own_day], days.groups_to[own_day] = few.days.groups_from, few.days.groups_to
    groups = np.array(few.groups).view(np.recarray)
    for name in ("puts_from", "calls_from", "calls_to"):
        groups[name] += len(every.quotes)
    picked = np.array(few.quotes).view(np.recarray)
    picked.day = own_day[few.quotes.day]
    rows = contracts(few).join(contracts(every), on=CONTRACT, how="left", maintain_order="left")
    picked.next = every.quotes.next[rows["row_right"].to_numpy()]
    quotes = np.concatenate([every.quotes, picked]).view(np.recarray)
    implied = np.concatenate([every.implied, few.implied]).view(np.recarray)
    for array in (days, groups, quotes, implied):
        array.flags.writeable = False
    chain = Chain(days, groups, quotes, implied, every.actions)
    return Market(
        symbol=whole.symbol,
        fingerprint=f"{whole.fingerprint} of held contracts",
        chain=chain,
        traded=whole.traded,
        history=whole.history,
        dropped={},
        implied_closes=0,
    )


def contracts(chain: Chain) -> pl.DataFrame:
    """Return the contract of each quote, with its row number."""
    sizes = np.stack(
        [chain.groups.calls_from - chain.groups.puts_from, chain.groups.calls_to - chain.groups.calls_from]
    )
    quotes = chain.quotes
    return pl.DataFrame(
        {
            "date": chain.days.date[quotes.day],
            "expiration": np.repeat(chain.groups.expiration, sizes.sum(axis=0)),
            "strike": np.ascontiguousarray(quotes.strike),
            "right": np.repeat(np.tile([0, 1], len(chain.groups)), sizes.T.ravel()),
            "row": np.arange(len(quotes)),
        }
    )


def markets() -> Iterator[tuple[int, str, dict[str, Market]]]:
    """Yield, for each seed and symbol, the market for each way of backtesting."""
    for seed, symbol in product(SEEDS, SYMBOLS):
        source = DemoSource("dense", seed)
        chain = pl.concat(frame for _, frame in source.chain(symbol, range(2019, 2025)))
        closes, splits = source.closes(symbol), source.splits(symbol)
        few = thinned(chain, closes)
        dense = build_market(symbol, "dense", chain, closes, splits)
        some = build_market(symbol, "some", chain.join(few, on="date", how="semi"), closes, splits)
        thin = build_market(symbol, "thin", few, closes, splits)
        yield (
            seed,
            symbol,
            {
                "true": seen_market(dense, thin),
                "days": seen_market(some, thin),
                "hold": thin,
                "model": thin,
            },
        )


def plan_of(symbol: str, way: str, *overrides: str) -> Plan:
    """Return the plan of jobs/grid.yaml for one symbol and way."""
    unquoted = "model" if way == "model" else "hold"
    return Plan(load_job(ROOT / "jobs/grid.yaml", symbols=[symbol], overrides=[*overrides, f"unquoted={unquoted}"]))


def trades_of(seed: int, symbol: str, ways: dict[str, Market]) -> pl.DataFrame:
    """Return the trades of each strategy in each way, one entered each day."""
    found = []
    for (way, market), strategy in product(ways.items(), STRATEGIES):
        settings = [f"strategy={strategy}", "delta=0.2", "dte=30-45", "max_positions=1000", "capital=1e9"]
        (spec,) = plan_of(symbol, way, *settings)
        trades = trades_table([("job", run_backtest(spec, market))]).select(COLUMNS)
        found.append(trades.with_columns(strategy=pl.lit(strategy), way=pl.lit(way)))
    return pl.concat(found).with_columns(symbol=pl.lit(symbol), seed=pl.lit(seed))


def metrics_of(seed: int, symbol: str, ways: dict[str, Market]) -> pl.DataFrame:
    """Return the metrics of each job of jobs/grid.yaml, and of each strategy with one position at a time."""
    rows = []
    for way, market in ways.items():
        named = [plan_of(symbol, way, f"strategy={name}", "delta=0.2", "dte=30-45")[0] for name in STRATEGIES]
        group = ["grid"] * len(plan_of(symbol, way)) + list(STRATEGIES)
        for number, spec in enumerate([*plan_of(symbol, way), *named]):
            metrics = metrics_row(run_backtest(spec, market).metrics)
            key = {"seed": seed, "symbol": symbol, "way": way, "job": number, "group": group[number]}
            rows.append(key | {name: metrics[name] for name in GRID_METRICS})
    return pl.DataFrame(rows)


def against_truth(rows: pl.DataFrame, key: list[str]) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield the rows of each way joined with the true ones, whose columns end in `_true`."""
    truth = rows.filter(pl.col("way") == "true")
    for way in WAYS:
        yield way, rows.filter(pl.col("way") == way).join(truth, on=key, suffix="_true")


def trade_lines(trades: pl.DataFrame) -> Iterator[str]:
    """Yield the table of errors per trade."""
    yield "| strategy | way | trades | true P/L | bias | spread of the error | spread of the truth | same exit date "
    yield "| within 3 days | win rate | true | stale days | modelled exits |\n|" + "---|" * 13 + "\n"
    error, late = pl.col("pnl") - pl.col("pnl_true"), (pl.col("exit_date") - pl.col("exit_date_true")).dt.total_days()
    pairs = dict(against_truth(trades, ["seed", "symbol", "strategy", "entry_date"]))
    for strategy, way in product(STRATEGIES, WAYS):
        row = (
            pairs[way]
            .filter(pl.col("strategy") == strategy)
            .select(
                pl.len().alias("trades"),
                pl.col("pnl_true").mean(),
                error.mean().alias("bias"),
                error.std().alias("spread"),
                pl.col("pnl_true").std().alias("spread_true"),
                (late == 0).mean().alias("same"),
                (late.abs() <= 3).mean().alias("near"),
                (pl.col("pnl") > 0).mean().alias("wins"),
                (pl.col("pnl_true") > 0).mean().alias("wins_true"),
                (pl.col("stale_days").sum() / pl.col("quote_days").sum()).alias("stale"),
                pl.col("modelled_exit").mean(),
            )
        )
        count, *dollars, same, near, wins, wins_true, stale, modelled = row.row(0)
        shares = " | ".join(f"{share:.0%}" for share in (same, near, wins, wins_true, stale, modelled))
        yield f"| {strategy} | {WAYS[way]} | {count:,} | {' | '.join(f'{x:,.1f}' for x in dollars)} | {shares} |\n"


def strategy_lines(metrics: pl.DataFrame) -> Iterator[str]:
    """Yield the table of errors of each strategy's metrics, one position at a time."""
    yield f"| strategy | way | {' | '.join(f'{name}: bias, {ERROR}' for name in GRID_METRICS)} |\n"
    yield "|" + "---|" * (len(GRID_METRICS) + 2) + "\n"
    pairs = dict(against_truth(metrics, ["seed", "symbol", "job"]))
    for strategy, way in product(STRATEGIES, WAYS):
        errors = [_error(pairs[way].filter(pl.col("group") == strategy), name) for name in GRID_METRICS]
        yield f"| {strategy} | {WAYS[way]} | {' | '.join(errors)} |\n"


def grid_lines(metrics: pl.DataFrame) -> Iterator[str]:
    """Yield the table of errors of the grid's metrics, and of how well its ranking survives."""
    grid = metrics.filter(pl.col("group") == "grid")
    yield "| way | " + " | ".join(f"{name}: bias, {ERROR}" for name in GRID_METRICS)
    yield " | rank correlation in a symbol | lowest | same best | of the best three | over 60 jobs |\n"
    yield "|" + "---|" * (len(GRID_METRICS) + 6) + "\n"
    rank = pl.corr("sharpe", "sharpe_true", method="spearman")
    for way, rows in against_truth(grid, ["seed", "symbol", "job"]):
        errors = [_error(rows, name) for name in GRID_METRICS]
        best = pl.col("job").top_k_by("sharpe", 3).is_in(pl.col("job").top_k_by("sharpe_true", 3).implode()).mean()
        ranks = rows.group_by("seed", "symbol").agg(
            rank, first=pl.col("sharpe").arg_max() == pl.col("sharpe_true").arg_max(), best=best
        )
        whole = rows.group_by("seed").agg(rank).select(pl.col("sharpe").mean())
        mean = ranks.select(pl.col("sharpe").mean(), pl.col("sharpe").min().alias("low"), "first", "best").mean()
        correlation, low, first, third = mean.row(0)
        yield f"| {WAYS[way]} | {' | '.join(errors)} | {correlation:.2f} | {low:.2f} "
        yield f"| {first:.0%} | {third:.0%} | {whole.item():.2f} |\n"


def _error(rows: pl.DataFrame, name: str) -> str:
    truth = pl.col(f"{name}_true")
    error = pl.col(name) - truth
    bias, spread, of = rows.select(error.mean(), error.std().alias("spread"), truth.std().alias("of")).row(0)
    return f"{bias:,.4g}, {spread:,.3g} ({of:,.3g})"


def main() -> None:
    """Measure, and print and save the tables."""
    trades, metrics = [], []
    for seed, symbol, ways in markets():
        trades.append(trades_of(seed, symbol, ways))
        metrics.append(metrics_of(seed, symbol, ways))
    tables = (trade_lines(pl.concat(trades)), strategy_lines(pl.concat(metrics)), grid_lines(pl.concat(metrics)))
    text = "\n".join([HEADING, *("".join(lines) for lines in tables)])
    TABLE.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
