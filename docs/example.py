"""From a job file to a report: run this in a clone of the repository; it writes into ./example."""

from pathlib import Path

import polars as pl

import options_bt
from options_bt.report.html import write_report
from options_bt.report.images import write_images

if __name__ == "__main__":
    # Five deltas and three ranges of days to expiration on two symbols, over the last two years: 30 backtests.
    job = options_bt.load_job("jobs/grid.yaml", symbols=["NVDA", "SPY"], quick=True, name="example")
    run = options_bt.run(job, workers=1, runs=".")

    # Every table is a polars DataFrame.
    by_symbol = run.results().group_by("symbol").agg(pl.len().alias("backtests"), pl.col("sharpe").median().round(2))
    for row in by_symbol.sort("symbol").iter_rows(named=True):
        print(f"{row['symbol']}: {row['backtests']} backtests, median Sharpe ratio {row['sharpe']}")
    best = run.ranked("sharpe", top=1).row(0, named=True)
    print(f"The best: {best['symbol']}, delta {best['delta']}, dte {best['dte']}, {best['trades']} trades")
    trades = run.trades(best["job"])
    worst = trades.sort("pnl").row(0, named=True)
    print(f"Its worst trade: {worst['pnl']:.2f} dollars, closed by {worst['exit_reason']}")

    # The page, and its charts as images. In a notebook, `run` displays itself.
    write_report(run, Path("example/report.html"))
    images = write_images(run, Path("example/images"), "svg")
    print(f"{len(images)} images, among them {images[0]}")
