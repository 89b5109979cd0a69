from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from options_bt.errors import InputError, JobFileError
from options_bt.job.load import load_job
from options_bt.job.schema import JobFile, Period
from options_bt.job.strategies import STRATEGIES

PERIOD = "period: {start: 2019-01-01, end: 2024-12-31}\n"
BASE = f"name: x\nsymbols: [AAPL, SPY]\n{PERIOD}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "job.yaml"


def loaded(file: Path, text: str, **options: Any) -> JobFile:
    file.write_text(text, encoding="utf-8")
    return load_job(file, **options)


def rejection(file: Path, text: str, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        loaded(file, text, **options)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_of_very_many_faults_twenty_are_shown(file: Path) -> None:
    lines = rejection(file, BASE + f"grid: {{slippage: {[1 + n / 100 for n in range(1, 100)]}}}\n").splitlines()
    assert lines[0] == f"{file}: 99 faults, nothing was run"
    assert len(lines) == 22
    assert lines[-1] == "  and 79 more"


def test_all_faults_are_in_one_message_that_names_the_file(file: Path) -> None:
    message = rejection(file, BASE + "grid: {delta: [0.1, 2]}\nparms: {}\nobjective: sharpee\n")
    assert message.splitlines()[0] == f"{file}: 3 faults, nothing was run"
    assert len(message.splitlines()) == 4
    assert "  grid.delta[1]: got 2; allowed: a number above 0 and at most 1" in message
    assert "  parms: unknown key (did you mean 'params'?)" in message
    assert "  objective: got \"sharpee\" (did you mean 'sharpe'?)" in message


def test_the_faults_can_be_read_one_by_one(file: Path) -> None:
    file.write_text(BASE + "params: {delta: 5, width: 0}\n")
    with pytest.raises(JobFileError) as caught:
        load_job(str(file))
    assert caught.value.file == str(file)
    assert [fault.path for fault in caught.value.faults] == ["params.delta", "params.width"]


# --- YAML ------------------------------------------------------------------------------------------


def test_the_tickers_on_and_no_are_texts(file: Path) -> None:
    job = loaded(file, f"name: x\nsymbols: [ON, NO, Y, N, OFF, YES, NAN, INF, 'TRUE']\n{PERIOD}")
    assert job.symbols == ("ON", "NO", "Y", "N", "OFF", "YES", "NAN", "INF", "TRUE")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e5", 1e5),
        ("1E5", 1e5),
        ("1e+5", 1e5),
        ("1.5e5", 1.5e5),
        ("1.e5", 1e5),
        (".5", 0.5),
        ("2.", 2.0),
        ("+2.5", 2.5),
        ("100_000", 1e5),
        ("100000", 1e5),
        ("1e-1", 0.1),
    ],
)
def test_numbers(file: Path, text: str, value: float) -> None:
    assert loaded(file, BASE + f"params: {{capital: {text}}}\n").params.capital == value


@given(value=st.floats(1e-9, 1e12))
def test_any_float_is_read_as_python_writes_it(tmp_path_factory: pytest.TempPathFactory, value: float) -> None:
    file = tmp_path_factory.mktemp("load") / "job.yaml"
    assert loaded(file, BASE + f"params: {{capital: {value!r}}}\n").params.capital == value


@pytest.mark.parametrize(("text", "shown"), [(".inf", "inf"), ("-.INF", "-inf"), (".nan", "nan"), ("1e999", "inf")])
def test_numbers_that_are_none(file: Path, text: str, shown: str) -> None:
    assert f"params.capital: got {shown}; allowed: a number above 0" in rejection(
        file, BASE + f"params: {{capital: {text}}}\n"
    )


@pytest.mark.parametrize("text", ["true", "True", "TRUE"])
def test_true_in_its_three_spellings(file: Path, text: str) -> None:
    job = loaded(file, BASE + f"windows: {{train: 2y, test: 1y, anchored: {text}}}\n")
    assert job.windows is not None
    assert job.windows.anchored is True


def test_yes_is_no_true(file: Path) -> None:
    message = rejection(file, BASE + "windows: {train: 2y, test: 1y, anchored: yes}\n")
    assert 'windows.anchored: got "yes"; allowed: true or false' in message


def test_dates_with_and_without_quotes(file: Path) -> None:
    job = loaded(file, "name: x\nsymbols: [A]\nperiod: {start: 2019-01-01, end: '2024-12-31'}\n")
    assert job.period == Period(date(2019, 1, 1), date(2024, 12, 31))


@pytest.mark.parametrize(
    ("text", "line", "column", "key"),
    [("name: y\n", 4, 1, "name"), ("params: {delta: 0.1, width: 5, delta: 0.2}\n", 4, 32, "delta")],
)
def test_a_key_that_stands_twice_is_named_with_its_second_place(
    file: Path, text: str, line: int, column: int, key: str
) -> None:
    message = rejection(file, BASE + text)
    assert f"line {line}, column {column}: not YAML: the key '{key}' occurs twice" in message


@pytest.mark.parametrize(
    ("text", "line"), [("\tparams: 3\n", 4), ("grid: [1\n", 5), ("x: : y\n", 4), ("---\nname: y\n", 4), ("a: *b\n", 4)]
)
def test_a_file_that_is_no_yaml_is_rejected_with_the_line(file: Path, text: str, line: int) -> None:
    message = rejection(file, BASE + text)
    assert message.startswith(f"{file}: 1 fault, nothing was run\n  line {line}, column ")
    assert ": not YAML: " in message


@pytest.mark.parametrize("text", ["x: !!python/object:os.system ls\n", "x: !mine 3\n"])
def test_yaml_that_would_make_objects_is_rejected(file: Path, text: str) -> None:
    assert "could not determine a constructor for the tag" in rejection(file, BASE + text)


@pytest.mark.parametrize("text", ["", "# nothing\n", "text", "- 1\n", "null\n"])
def test_a_file_without_keys_is_rejected(file: Path, text: str) -> None:
    assert "allowed: a mapping of keys to values" in rejection(file, text)


def test_control_characters_are_rejected(file: Path) -> None:
    assert "not YAML: unacceptable character #x0000" in rejection(file, BASE + "\x00")


def test_a_mapping_may_be_merged_into_another(file: Path) -> None:
    job = loaded(file, BASE + "params: {<<: {width: 3, delta: 0.1}, delta: 0.2}\n")
    assert (job.params.width, job.params.delta) == (3.0, 0.2)


def test_a_list_that_holds_itself_is_rejected(file: Path) -> None:
    assert "symbols" in rejection(file, f"name: x\nsymbols: &a [*a]\n{PERIOD}")


# --- Files -----------------------------------------------------------------------------------------


def test_a_file_that_is_missing_is_rejected_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "delta.yaml").write_text(BASE)
    with pytest.raises(InputError, match=r"detla\.yaml: cannot be read: No such file .*did you mean 'delta\.yaml'\?"):
        load_job(tmp_path / "detla.yaml")


def test_a_folder_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        load_job(tmp_path)


def test_a_folder_that_is_missing_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file or directory"):
        load_job(tmp_path / "no" / "job.yaml")


def test_a_file_in_another_encoding_is_rejected(file: Path) -> None:
    file.write_bytes("name: Größe\n".encode("latin-1"))
    with pytest.raises(InputError, match="cannot be read: it is not UTF-8 text"):
        load_job(file)


def test_a_file_that_cannot_be_read_is_not_offered_itself(file: Path) -> None:
    file.write_bytes(b"\xff")
    with pytest.raises(InputError) as caught:
        load_job(file)
    assert "did you mean" not in str(caught.value)


def test_a_byte_order_mark_is_no_fault(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + BASE.encode())
    assert load_job(file).name == "x"


# --- Overrides -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "name", "value"),
    [
        ("delta=0.3", "delta", 0.3),
        ("dte=30-45", "dte", "30-45"),
        ("dte=21", "dte", "21-21"),
        ("dte={min: 30, max: 45, target: 31}", "dte", "30-45@31"),
        ("stop_loss=null", "stop_loss", None),
        ("capital=1e6", "capital", 1e6),
        (" delta = 0.3", "delta", 0.3),
        ("entry_when=close > 5 and close = close", "entry_when", "close > 5 and close = close"),
        ("entry_every=mon", "entry_every", "mon"),
        ("entry_every=mon,wed", "entry_every", "mon,wed"),
    ],
)
@pytest.mark.parametrize("section", ["", "params: {delta: 0.1}\n", "grid: {delta: [0.1], dte: [7-21]}\n"])
def test_a_value_is_set_in_place_of_the_files(file: Path, section: str, override: str, name: str, value: Any) -> None:
    job = loaded(file, BASE + section, overrides=[override])
    assert getattr(job.params, name) == value
    assert name not in dict(job.grid)


def test_a_list_makes_an_axis(file: Path) -> None:
    job = loaded(file, BASE + "params: {delta: 0.1}\ngrid: {width: [5]}\n", overrides=["delta=[0.2, 0.3]"])
    assert job.grid == (("width", (5.0,)), ("delta", (0.2, 0.3)))
    assert job.params.delta == 0.2


def test_the_last_of_two_overrides_counts(file: Path) -> None:
    assert loaded(file, BASE, overrides=["delta=[0.2, 0.3]", "delta=0.4"]).params.delta == 0.4


@pytest.mark.parametrize("section", ["", "strategy: long_call\n", "grid: {strategy: [long_call, long_put]}\n"])
def test_a_strategy_is_set_by_name_or_as_an_axis(file: Path, section: str) -> None:
    assert loaded(file, BASE + section, overrides=["strategy=short_put"]).strategy == STRATEGIES["short_put"]
    job = loaded(file, BASE + section, overrides=["strategy=[short_put, short_call]"])
    assert job.grid == (("strategy", (STRATEGIES["short_put"], STRATEGIES["short_call"])),)


@pytest.mark.parametrize("override", ["detla=3", "delta", "=3", "", "name=y", "symbols=[A]"])
def test_an_override_of_something_else_is_rejected_with_what_can_be(file: Path, override: str) -> None:
    message = rejection(file, BASE, overrides=[override])
    assert message.startswith(f"--set {override.partition('=')[0]}: expected KEY=VALUE with a known KEY")
    assert "allowed: delta, " in message
    assert message.endswith(", strategy")


def test_the_nearest_key_is_offered(file: Path) -> None:
    assert "(did you mean 'delta'?)" in rejection(file, BASE, overrides=["detla=3"])


@pytest.mark.parametrize("override", ["delta=[1,", "delta={", "delta=@"])
def test_an_override_that_is_no_yaml_is_rejected(file: Path, override: str) -> None:
    assert rejection(file, BASE, overrides=[override]) == f"--set {override}: the value is not YAML"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("delta=2", "params.delta: got 2; allowed: a number above 0 and at most 1"),
        ("delta=", "params.delta: got null"),
        ("delta=[0.1, 2]", "grid.delta[1]: got 2"),
        ("delta=[]", "grid.delta: got []"),
    ],
)
def test_an_override_is_checked_like_the_file(file: Path, override: str, message: str) -> None:
    assert message in rejection(file, BASE, overrides=[override])


@pytest.mark.parametrize("override", ["source=mysql://me:hunter2@host", "sorce=mysql://me:hunter2@host"])
def test_a_password_is_not_shown_with_an_override_that_is_rejected(file: Path, override: str) -> None:
    assert "hunter2" not in rejection(file, BASE, overrides=[override])


@pytest.mark.parametrize(
    ("section", "override"),
    [("params: {width: 5}\n", "width_pct=0.05"), ("params: {contracts: 2}\n", "risk=0.02")],
)
def test_an_override_replaces_the_partner_that_excludes_it(file: Path, section: str, override: str) -> None:
    assert loaded(file, BASE + section, overrides=[override])


@pytest.mark.parametrize(("section", "override"), [("params: [1]\n", "delta=0.1"), ("grid: wide\n", "delta=[0.1]")])
def test_an_override_of_a_section_that_is_no_mapping_leaves_its_fault(file: Path, section: str, override: str) -> None:
    assert "a mapping of keys to values" in rejection(file, BASE + section, overrides=[override])


# --- Quick, symbols, name --------------------------------------------------------------------------


def test_quick_overrides_days_and_symbols_and_marks_the_name(file: Path) -> None:
    text = BASE + "quick: {start: 2023-01-01, symbols: [SPY]}\n"
    job = loaded(file, text, quick=True)
    assert (job.name, job.symbols) == ("x-quick", ("SPY",))
    assert job.period == Period(date(2023, 1, 1), date(2024, 12, 31))
    assert loaded(file, text).period.start == date(2019, 1, 1)


def test_quick_keeps_what_it_does_not_name(file: Path) -> None:
    job = loaded(file, BASE + "quick: {end: 2020-01-31}\n", quick=True)
    assert job.symbols == ("AAPL", "SPY")
    assert job.period == Period(date(2019, 1, 1), date(2020, 1, 31))


def test_quick_needs_its_section(file: Path) -> None:
    assert rejection(file, BASE, quick=True) == (
        f"{file}: --quick needs a section `quick`, such as quick: {{start: 2023-01-01}}"
    )


def test_windows_that_do_not_fit_the_quick_days_are_rejected(file: Path) -> None:
    text = BASE + "windows: {train: 2y, test: 1y}\nquick: {start: 2023-01-01}\n"
    assert loaded(file, text).windows is not None
    assert "the period 2023-01-01 to 2024-12-31 has room for 0" in rejection(file, text, quick=True)


def test_only_the_symbols_asked_for_in_the_order_of_the_file(file: Path) -> None:
    assert loaded(file, BASE, symbols=["SPY"]).symbols == ("SPY",)
    assert loaded(file, BASE, symbols=["SPY", "AAPL"]).symbols == ("AAPL", "SPY")


def test_a_symbol_that_is_not_in_the_file_is_rejected_with_those_that_are(file: Path) -> None:
    assert rejection(file, BASE, symbols=["SPYY"]) == (
        "--symbol \"SPYY\" is not in the job file (did you mean 'SPY'?); allowed: AAPL, SPY"
    )


def test_a_symbol_must_be_among_the_quick_ones(file: Path) -> None:
    text = BASE + "quick: {symbols: [SPY]}\n"
    assert "allowed: SPY" in rejection(file, text, quick=True, symbols=["AAPL"])


def test_another_name(file: Path) -> None:
    assert loaded(file, BASE, name="y").name == "y"
    assert loaded(file, BASE + "quick: {}\n", name="y", quick=True).name == "y-quick"
    assert 'name: got "a/b"; allowed: a plain file name' in rejection(file, BASE, name="a/b")


# --- Passwords -------------------------------------------------------------------------------------


def test_a_password_from_the_environment_is_not_kept(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOLT_PASSWORD", "hunter2")
    job = loaded(file, BASE + "source: mysql://me:${DOLT_PASSWORD}@host\n")
    assert job.source == "mysql://me:${DOLT_PASSWORD}@host"
    assert "hunter2" not in repr(job)


@pytest.mark.parametrize(
    "line",
    [
        "source: mysq://me:hunter2@host",
        "sorce: mysql://me:hunter2@host",
        "source: mysql: //me:hunter2@host",
        "source: mysql://me:hunter2@host\nsource: demo",
        "source: me:hunter2@host",
        "source: 'mysql://me:hunter2@host\"",
        "source: mysql://me:hunter2@host\n  - x: [",
    ],
)
def test_a_password_is_in_no_message(file: Path, line: str) -> None:
    assert "hunter2" not in rejection(file, f"{BASE}{line}\n")


def test_a_password_is_in_no_message_about_something_else(file: Path) -> None:
    message = rejection(file, BASE + "source: mysql://me:hunter2@host\nparams: {delta: 5}\nfoo: 1\n")
    assert "2 faults" in message
    assert "hunter2" not in message


def test_the_loader_makes_no_other_change_to_yaml(file: Path) -> None:
    text = BASE + "grid: {delta: [0.1, 0.2], stop_loss: [null, ~, 1], dte: [7-21, '30-45']}\n"
    plain = yaml.safe_load(text)
    job = loaded(file, text)
    assert job.grid == (
        ("delta", tuple(plain["grid"]["delta"])),
        ("stop_loss", (None, 1.0)),
        ("dte", tuple(plain["grid"]["dte"])),
    )
