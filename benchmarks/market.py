"""A market: how long it takes to build, and how many bytes a row has here and there."""

from __future__ import annotations

from pathlib import Path

from benchmarks.kernel import DENSE
from benchmarks.measuring import Row, side_by_side
from options_bt.data.cache.cache import Cache
from options_bt.data.cache.manifest import chain_path
from options_bt.data.market.building import MARKET_COLUMNS, build_market
from options_bt.data.market.market import save_market
from options_bt.data.prepare import prepared, pull
from options_bt.data.sources.factory import open_source

YEARS = range(2019, 2025)


def market_rows(folder: Path, years: range = YEARS, rounds: int = 25) -> list[Row]:
    """Measure the build of one symbol's market, sparse and dense, against the read of its cached files."""
    rows = []
    for text in ("demo", DENSE):
        store = Cache(folder / "cache", open_source(text).name)
        rows += _build_rows(text, store, years, rounds)
    return rows + _size_rows(store, years, folder)


def _build_rows(text: str, store: Cache, years: range, rounds: int) -> list[Row]:
    symbol = "SPY"
    pull(open_source(text), store, [symbol], years, lambda symbol_years, count, what: None)
    manifest = store.manifest(symbol)
    assert manifest is not None
    ready = prepared(store, symbol, years)
    tables = store.tables(manifest)
    others = tables["closes"], tables["splits"]
    chain = store.chain(manifest, years, MARKET_COLUMNS)
    market = build_market(symbol, "", chain, *others)

    def rebuild() -> None:
        (ready.folder / "market.json").unlink()
        prepared(store, symbol, years)

    reading, building, arrays, saving = side_by_side(
        lambda: store.chain(manifest, years),
        rebuild,
        lambda: build_market(symbol, "", chain, *others),
        lambda: save_market(market, ready.folder),
        rounds=rounds,
    )

    def row(what: str, took: float) -> Row:
        return Row(f"{text}: {what}", f"{took / reading:.2f}", f"{1000 * took:.0f} ms")

    return [
        row(f"polars reads the Parquet files of {chain.height:,} quotes, every column", reading),
        row("from these files to the memory map", building),
        row("of it making the arrays", arrays),
        row("of it writing them, with checksums", saving),
    ]


def _size_rows(store: Cache, years: range, folder: Path) -> list[Row]:
    symbol = "SPY"
    manifest = store.manifest(symbol)
    assert manifest is not None
    chain = store.chain(manifest, years)
    paths = {"CSV": folder / "chain.csv", "polars' default Parquet of the same rows": folder / "chain.parquet"}
    for path in paths.values():
        chain.write_csv(path) if path.suffix == ".csv" else chain.write_parquet(path)
    market = prepared(store, symbol, years)
    files = [store.folder / chain_path(symbol, year) for year, file in manifest.years.items() if file.rows]
    sizes = {name: path.stat().st_size for name, path in paths.items()}
    sizes["the cache"] = sum(path.stat().st_size for path in files)
    sizes["the memory map, which also has links and volatilities"] = sum(
        path.stat().st_size for path in market.folder.glob("*.npy")
    )
    return [
        Row(f"bytes of a dense quote: {name}", f"{size / sizes['the cache']:.2f}", f"{size / chain.height:.1f} bytes")
        for name, size in sizes.items()
    ]
