from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_bt.data.sources.demo import DemoSource
from options_bt.data.sources.factory import open_source, redacted
from options_bt.data.sources.source import require_symbols
from options_bt.errors import SourceError
from tests.data.quotes import TableSource


def rejection(text: str) -> str:
    with pytest.raises(SourceError) as caught:
        open_source(text)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_demo_is_the_sparse_profile_of_seed_one() -> None:
    assert open_source("demo").version == DemoSource("sparse", 1).version


@pytest.mark.parametrize(
    ("text", "profile", "seed"),
    [("demo?profile=dense", "dense", 1), ("demo?seed=7", "sparse", 7), ("demo?profile=dense&seed=0", "dense", 0)],
)
def test_demo_with_options(text: str, profile: str, seed: int) -> None:
    assert open_source(text).version == f"demo 1 {profile} {seed}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("demo?prfile=dense", "demo has no option 'prfile' (did you mean 'profile'?); allowed: profile, seed"),
        ("demo?profile=thin", "got profile=thin; allowed: sparse, dense"),
        ("demo?seed=x", "got seed=x; allowed: a whole number from 0 to 999999999"),
        ("demo?seed=-1", "got seed=-1"),
        ("demo?seed=", "got seed=;"),
        ("demo:x", "got 'demo:x'; allowed: demo, files:PATH or mysql://user@host:port"),
        ("csv:x", "got 'csv:x'"),
        ("", "got ''"),
    ],
)
def test_a_text_that_is_not_a_source_is_rejected(text: str, message: str) -> None:
    assert rejection(text).startswith(f"source: {message}")


def test_variables_are_replaced_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SEED", "9")
    assert open_source("demo?seed=${MY_SEED}").version == "demo 1 sparse 9"


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_SEED", raising=False)
    assert rejection("demo?seed=${MY_SEED}") == (
        "source: the environment variable MY_SEED is not set; set it or write its value"
    )


def test_the_value_of_a_variable_is_not_shown_when_the_source_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_PASSWORD", "hunter2")
    message = rejection("postgres://me:${MY_PASSWORD}@host")
    assert "hunter2" not in message


def test_a_password_is_not_shown_when_the_source_is_rejected() -> None:
    assert rejection("postgres://me:hunter2@host") == (
        "source: got 'postgres://me:***@host'; allowed: demo, files:PATH or mysql://user@host:port"
    )


@given(
    user=st.text("abcdefgh", max_size=5),
    password=st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=1).map(lambda p: f"§{p}§"),
    host=st.sampled_from(["127.0.0.1:3306", "db.example.com", "h/options"]),
)
def test_a_redacted_source_keeps_all_but_the_password(user: str, password: str, host: str) -> None:
    assert redacted(f"mysql://{user}:{password}@{host}") == f"mysql://{user}:***@{host}"
    escaped = f"mysql://{user}:{quote(password, safe='')}@{host}"
    assert redacted(escaped) == f"mysql://{user}:***@{host}"


@pytest.mark.parametrize("text", ["demo", "files:/a/b", "mysql://me@127.0.0.1:3306", "mysql://127.0.0.1:3306/x"])
def test_what_has_no_password_is_shown_as_it_is(text: str) -> None:
    assert redacted(text) == text


def test_symbols_without_quotes_are_all_named_with_the_nearest() -> None:
    source = DemoSource()
    require_symbols(source, ["SPY", "AAPL"])
    with pytest.raises(SourceError) as caught:
        require_symbols(source, ["SPY", "APPL", "zzzzzz", "spy"])
    first, *rest = str(caught.value).splitlines()
    assert first.startswith("demo: simulated market (sparse, seed 1) has 510 symbols")
    assert [line.split(":")[0].strip() for line in rest] == ["APPL", "spy", "zzzzzz"]
    assert "did you mean 'AAPL'" in rest[0]
    assert "did you mean 'SPY'" in rest[1]
    assert rest[2] == "  zzzzzz: no quotes"


def test_a_table_is_a_source() -> None:
    require_symbols(TableSource([]), ["X"])
