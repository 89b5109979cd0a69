from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from options_bt.data.market.cleaning import cleaned
from options_bt.data.sources.factory import open_source
from options_bt.data.sources.files import FilesSource
from options_bt.data.sources.source import UNDATED
from options_bt.errors import SourceError
from tests.data.quotes import CHAIN_SCHEMA

Kind = Literal["csv", "parquet"]
KINDS: tuple[Kind, Kind] = ("csv", "parquet")

CHAIN: dict[str, list[Any]] = {
    "date": [date(2023, 12, 29), date(2024, 1, 2), date(2024, 1, 2), date(2024, 1, 3)],
    "act_symbol": ["SPY", "SPY", "AAPL", "SPY"],
    "expiration": [date(2024, 2, 16)] * 4,
    "strike": [470.0, 470.5, 180.0, 471.0],
    "call_put": ["Put", "Call", "Put", "Call"],
    "bid": [5.0, 4.5, 3.0, 4.0],
    "ask": [5.1, 4.6, 3.1, 4.1],
    "vol": [0.15, None, 0.25, 0.16],
    "delta": [-0.3, 0.45, -0.25, None],
}
OHLCV: dict[str, list[Any]] = {
    "date": [date(2024, 1, 2), date(2024, 1, 2), date(2024, 1, 3)],
    "act_symbol": ["SPY", "AAPL", "SPY"],
    "close": [472.65, 185.64, 468.79],
}
SPLIT: dict[str, list[Any]] = {
    "act_symbol": ["AAPL"],
    "ex_date": [date(2020, 8, 31)],
    "to_factor": [4.0],
    "for_factor": [1.0],
}


def write(folder: Path, kind: Kind, **tables: Mapping[str, list[Any]]) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    for name, columns in tables.items():
        frame = pl.DataFrame(columns)
        if kind == "csv":
            frame.write_csv(folder / f"{name}.csv")
        else:
            frame.write_parquet(folder / f"{name}.parquet")
    return str(folder)


def rejection(folder: Path | str, columns: Mapping[str, str] | None = None) -> str:
    with pytest.raises(SourceError) as caught:
        FilesSource(str(folder), columns or {}).symbols()
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


def quotes_of(source: FilesSource, symbol: str, *years: int) -> dict[int, pl.DataFrame]:
    return dict(source.chain(symbol, years))


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_is_a_source(tmp_path: Path, kind: Kind) -> None:
    source = FilesSource(write(tmp_path / "quotes", kind, option_chain=CHAIN, ohlcv=OHLCV, split=SPLIT), {})
    assert source.symbols() == ["AAPL", "SPY"]
    assert source.extent() == (date(2023, 12, 29), date(2024, 1, 3))
    years = quotes_of(source, "SPY", 2022, 2023, 2024)
    assert {year: frame.height for year, frame in years.items()} == {2023: 1, 2024: 2}
    assert all(frame.schema == CHAIN_SCHEMA for frame in years.values())
    assert years[2024].select("date", "strike", "right", "bid", "ask", "iv", "delta", "gamma").rows() == [
        (date(2024, 1, 2), 470.5, "call", 4.5, 4.6, None, 0.45, None),
        (date(2024, 1, 3), 471.0, "call", 4.0, 4.1, 0.16, None, None),
    ]
    assert source.closes("SPY").rows() == [(date(2024, 1, 2), 472.65), (date(2024, 1, 3), 468.79)]
    assert source.splits("AAPL").rows() == [(date(2020, 8, 31), 4.0, 1.0)]
    assert source.splits("SPY").height == 0
    assert quotes_of(source, "NOPE", 2024) == {}


values = st.floats(-10, 1000).map(lambda value: round(value, 4)) | st.none()
dates = st.dates(date(2023, 12, 1), date(2024, 2, 1)) | st.none()
rows = st.fixed_dictionaries(
    {
        "date": dates,
        "act_symbol": st.just("X"),
        "expiration": dates,
        "strike": values,
        "call_put": st.sampled_from(["Call", "Put", "call", "P", " c ", "PUT", "Straddle", None]),
        "bid": values,
        "ask": values,
        "vol": values,
        "delta": values,
    }
)


@settings(max_examples=25)
@given(given=st.lists(rows, min_size=1, max_size=12))
def test_csv_and_parquet_give_the_same_and_lose_no_row(
    tmp_path_factory: pytest.TempPathFactory, given: list[dict[str, Any]]
) -> None:
    schema: dict[str, Any] = {name: pl.Date if name in ("date", "expiration") else pl.Float64 for name in given[0]}
    schema |= {"act_symbol": pl.String, "call_put": pl.String}
    frame = pl.DataFrame(given, schema=schema)
    frames = []
    for kind in KINDS:
        folder = tmp_path_factory.mktemp("files")
        (frame.write_csv if kind == "csv" else frame.write_parquet)(folder / f"option_chain.{kind}")
        frames.append(quotes_of(FilesSource(str(folder), {}), "X", 2023, 2024))
    csv, parquet = frames
    assert csv.keys() == parquet.keys()
    assert all(csv[year].equals(parquet[year]) for year in csv)
    assert sum(part.height for part in csv.values()) == len(given)
    for year, part in csv.items():
        order = [row["strike"] for row in given if (row["date"].year if row["date"] else UNDATED) == year]
        assert part["strike"].to_list() == order


def test_rows_without_a_date_and_rights_nobody_knows_are_counted(tmp_path: Path) -> None:
    chain = CHAIN | {
        "date": ["2024-01-02", "", "02/01/2024", "2024-01-02"],
        "act_symbol": ["SPY"] * 4,
        "call_put": ["Put", "Put", "Call", "Straddle"],
    }
    source = FilesSource(write(tmp_path, "csv", option_chain=chain), {})
    years = quotes_of(source, "SPY", 2024)
    assert {year: frame.height for year, frame in years.items()} == {2024: 2, UNDATED: 2}
    kept, dropped = cleaned(pl.concat(years.values()))
    assert (kept.height, dropped["null_key"]) == (1, 3)


def test_numbers_that_are_none_are_counted(tmp_path: Path) -> None:
    chain = CHAIN | {"act_symbol": ["SPY"] * 4, "bid": ["5.0", "n/a", "", "nan"], "strike": ["470", "1", "2", "3"]}
    (frame,) = [
        pl.concat(quotes_of(FilesSource(write(tmp_path, "csv", option_chain=chain), {}), "SPY", 2023, 2024).values())
    ]
    assert frame["bid"].to_list() == [5.0, None, None, None]
    assert cleaned(frame)[1]["bad_price"] == 3


def test_times_of_day_are_cut_off(tmp_path: Path) -> None:
    stamps = [datetime(2024, 1, 2, 16, 0)] * 4
    for kind in KINDS:
        folder = write(tmp_path / kind, kind, option_chain=CHAIN | {"date": stamps, "act_symbol": ["SPY"] * 4})
        assert FilesSource(folder, {}).extent() == (date(2024, 1, 2), date(2024, 1, 2))


@pytest.mark.parametrize("kind", KINDS)
def test_other_vendors_names_are_mapped(tmp_path: Path, kind: Kind) -> None:
    names = {"date": "QuoteDate", "act_symbol": "Root", "call_put": "Type", "vol": "IV", "close": "Last"}
    tables = {
        name: {names.get(column, column): values for column, values in table.items()}
        for name, table in {"option_chain": CHAIN, "ohlcv": OHLCV}.items()
    }
    mapped = open_source(f"files:{write(tmp_path / 'theirs', kind, **tables)}", names)
    plain = FilesSource(write(tmp_path / "ours", kind, option_chain=CHAIN, ohlcv=OHLCV), {})
    assert mapped.symbols() == plain.symbols()
    for year, frame in mapped.chain("SPY", [2023, 2024]):
        assert frame.equals(quotes_of(plain, "SPY", year)[year])
    assert mapped.closes("SPY").equals(plain.closes("SPY"))


@pytest.mark.parametrize("missing", ["ohlcv", "split"])
def test_closes_and_splits_may_be_absent(tmp_path: Path, missing: str) -> None:
    source = FilesSource(write(tmp_path, "csv", option_chain=CHAIN), {})
    table = source.closes("SPY") if missing == "ohlcv" else source.splits("SPY")
    assert table.height == 0
    assert table.columns == (["date", "close"] if missing == "ohlcv" else ["ex_date", "to_factor", "for_factor"])


def test_greeks_may_be_absent(tmp_path: Path) -> None:
    chain = {name: values for name, values in CHAIN.items() if name not in ("vol", "delta")}
    frame = quotes_of(FilesSource(write(tmp_path, "csv", option_chain=chain), {}), "AAPL", 2024)[2024]
    assert frame.schema == CHAIN_SCHEMA
    assert frame["delta"].to_list() == [None]


# --- What a person sees ----------------------------------------------------------------------------


def test_a_folder_that_is_missing_is_named_with_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert rejection("no/such") == f"source: there is no folder no/such (looked in {tmp_path})"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    assert "there is no folder" in rejection(tmp_path / "x")


def test_a_folder_without_a_chain_is_rejected(tmp_path: Path) -> None:
    write(tmp_path, "csv", ohlcv=OHLCV)
    assert rejection(tmp_path) == f"source: {tmp_path} has no option_chain.parquet and no option_chain.csv"


@pytest.mark.parametrize("table", ["option_chain", "ohlcv", "split"])
def test_one_table_in_two_formats_is_rejected(tmp_path: Path, table: str) -> None:
    tables = {"option_chain": CHAIN, "ohlcv": OHLCV, "split": SPLIT}
    write(tmp_path, "parquet", **tables)
    write(tmp_path, "csv", **{table: tables[table]})
    assert rejection(tmp_path) == f"source: {tmp_path} has both {table}.parquet and {table}.csv; keep one"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("column", [name for name in CHAIN if name not in ("vol", "delta")])
def test_a_missing_column_is_named_with_those_there_are_and_the_remedy(tmp_path: Path, kind: Kind, column: str) -> None:
    chain = {f"{name}_x" if name == column else name: values for name, values in CHAIN.items()}
    write(tmp_path, kind, option_chain=chain)
    message = rejection(tmp_path)
    assert message.startswith(f"source: {tmp_path / 'option_chain'}.{kind} has no column '{column}'")
    assert f"it has: {', '.join(chain)}. " in message
    assert message.endswith(f"Name the right ones in the job file, as in columns: {{{column}: NAME}}")


def test_the_nearest_column_is_offered(tmp_path: Path) -> None:
    write(tmp_path, "csv", option_chain={name.upper(): values for name, values in CHAIN.items()})
    assert "has no column 'act_symbol' (did you mean 'ACT_SYMBOL'?), 'date' (did you mean 'DATE'?)" in rejection(
        tmp_path
    )


@pytest.mark.parametrize(("table", "column"), [("ohlcv", "close"), ("split", "to_factor")])
def test_a_missing_column_of_the_other_tables_is_named(tmp_path: Path, table: str, column: str) -> None:
    tables: dict[str, dict[str, list[Any]]] = {"option_chain": CHAIN, "ohlcv": OHLCV, "split": SPLIT}
    tables[table] = {name: values for name, values in tables[table].items() if name != column}
    write(tmp_path, "parquet", **tables)
    assert f"{table}.parquet has no column '{column}'" in rejection(tmp_path)


def test_a_mapped_column_that_is_missing_is_named_as_it_was_mapped(tmp_path: Path) -> None:
    write(tmp_path, "csv", option_chain=CHAIN)
    assert "has no column 'Strik' (did you mean 'strike'?)" in rejection(tmp_path, {"strike": "Strik"})


@pytest.mark.parametrize("column", ["delta", "vol"])
def test_a_mapped_greek_that_is_missing_is_named_as_it_was_mapped(tmp_path: Path, column: str) -> None:
    write(tmp_path, "csv", option_chain=CHAIN)
    assert "has no column 'Typo'" in rejection(tmp_path, {column: "Typo"})


def test_a_mapping_of_a_column_nobody_knows_is_rejected(tmp_path: Path) -> None:
    write(tmp_path, "csv", option_chain=CHAIN)
    message = rejection(tmp_path, {"stike": "K"})
    assert message.startswith("columns.stike: unknown (did you mean 'strike'?); allowed: act_symbol, date, ")


@pytest.mark.parametrize("damage", ["empty", "cut", "garbage", "zeros in the middle"])
def test_a_corrupt_parquet_file_is_named(tmp_path: Path, damage: str) -> None:
    many = {name: values * 500 for name, values in CHAIN.items()}
    write(tmp_path, "parquet", option_chain=many)
    path = tmp_path / "option_chain.parquet"
    data = path.read_bytes()
    damaged = {
        "empty": b"",
        "cut": data[: len(data) // 2],
        "garbage": b"hello" * 100,
        "zeros in the middle": data[:100] + bytes(1000) + data[1100:],
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(SourceError, match="cannot be read: ") as caught:
        list(FilesSource(str(tmp_path), {}).chain("SPY", [2024]))
    assert str(caught.value).startswith(f"source: {tmp_path}")


def test_a_csv_with_uneven_lines_is_rejected(tmp_path: Path) -> None:
    write(tmp_path, "csv", option_chain=CHAIN)
    with (tmp_path / "option_chain.csv").open("a") as file:
        file.write("2024-01-02,SPY,2024-02-16,470,Put,1,2,3,4,5,6,7\n")
    with pytest.raises(SourceError, match="cannot be read: "):
        list(FilesSource(str(tmp_path), {}).chain("SPY", [2024]))


def test_a_mapping_that_one_table_needs_leaves_the_others_alone(tmp_path: Path) -> None:
    chain = {"QuoteDate" if name == "date" else name: values for name, values in CHAIN.items()}
    folder = write(tmp_path, "csv", option_chain=chain, ohlcv=OHLCV)
    assert FilesSource(folder, {"date": "QuoteDate"}).closes("SPY").height == 2


def test_a_chain_without_rows_has_nothing(tmp_path: Path) -> None:
    source = FilesSource(write(tmp_path, "csv", option_chain={name: [] for name in CHAIN}), {})
    assert source.symbols() == []
    assert source.extent() is None


# --- Names and versions ----------------------------------------------------------------------------


def test_another_folder_or_mapping_is_another_source(tmp_path: Path) -> None:
    one, two = (write(tmp_path / name / "quotes", "csv", option_chain=CHAIN) for name in "ab")
    sources = [FilesSource(one, {}), FilesSource(two, {}), FilesSource(one, {"gamma": "vol"})]
    assert len({source.name for source in sources}) == 3
    assert all(source.name.startswith("files-quotes-") for source in sources)
    assert sources[0].label == f"files in {one}"


def test_one_folder_is_one_source_however_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(write(tmp_path / "quotes", "csv", option_chain=CHAIN))
    monkeypatch.chdir(tmp_path)
    assert len({FilesSource(text, {}).name for text in (str(folder), "quotes", "./quotes/")}) == 1


@pytest.mark.parametrize("folder", ["my quotes", "ümläut", "a,b;c"])
def test_the_name_of_a_source_is_a_plain_file_name(tmp_path: Path, folder: str) -> None:
    name = FilesSource(write(tmp_path / folder, "csv", option_chain=CHAIN), {}).name
    assert set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-")


@pytest.mark.parametrize("table", ["option_chain", "ohlcv", "split"])
def test_a_table_that_was_written_again_is_another_version(tmp_path: Path, table: str) -> None:
    folder = write(tmp_path, "csv", option_chain=CHAIN, ohlcv=OHLCV, split=SPLIT)
    before = FilesSource(folder, {})
    assert FilesSource(folder, {}).version == before.version
    path = tmp_path / f"{table}.csv"
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    after = FilesSource(folder, {})
    assert after.version != before.version
    assert after.name == before.name


def test_real_quotes_are_read_whole(real_data: Path) -> None:
    source = FilesSource(str(real_data), {})
    assert source.symbols() == ["AAPL", "SPX"]
    assert source.extent() == (date(2011, 1, 3), date(2014, 8, 7))
    frames = [frame for symbol in source.symbols() for frame in quotes_of(source, symbol, *range(2011, 2015)).values()]
    assert sum(frame.height for frame in frames) == 11_654
    assert source.closes("SPX").height == 5
    assert source.closes("AAPL").rows() == [(date(2014, 8, 7), 94.48)]
    assert source.splits("AAPL").height == 0
