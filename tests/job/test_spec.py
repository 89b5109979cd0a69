from __future__ import annotations

import pickle
import re
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from options_bt.job.parameters import FIELDS, Parameters
from options_bt.job.spec import JobSpec
from options_bt.job.strategies import STRATEGIES

parameters = st.builds(
    Parameters,
    delta=st.sampled_from([0.15, 0.2]),
    dte=st.sampled_from(["30-45", "30-45@35"]),
    stop_loss=st.sampled_from([2.0, None]),
    entry_every=st.sampled_from(["any", "mon"]),
)
specs = st.builds(
    JobSpec,
    symbol=st.sampled_from(["SPY", "AAPL"]),
    window=st.integers(0, 1),
    role=st.sampled_from(["full", "train", "test"]),
    start=st.sampled_from([date(2019, 1, 1), date(2020, 1, 1)]),
    end=st.just(date(2024, 12, 31)),
    strategy=st.sampled_from([STRATEGIES["short_put"], STRATEGIES["vertical_spread"]]),
    params=parameters,
)
SPEC = JobSpec(
    symbol="SPY",
    start=date(2019, 1, 1),
    end=date(2024, 12, 31),
    strategy=STRATEGIES["put_credit_spread"],
    params=Parameters(),
)


@settings(max_examples=200)
@given(one=specs, other=specs, prints=st.tuples(st.sampled_from("ab"), st.sampled_from("ab")))
def test_ids_are_equal_exactly_when_specs_and_data_are(one: JobSpec, other: JobSpec, prints: tuple[str, str]) -> None:
    assert (one.id(prints[0]) == other.id(prints[1])) == (one == other and prints[0] == prints[1])


@given(spec=specs)
def test_a_spec_survives_its_way_to_a_worker(spec: JobSpec) -> None:
    back = pickle.loads(pickle.dumps(spec))
    assert back == spec
    assert back.id("data") == spec.id("data")


@pytest.mark.parametrize("name", FIELDS)
def test_every_parameter_is_part_of_the_id(name: str) -> None:
    odd: dict[str, Any] = {
        "dte": "8-9",
        "entry_every": "tue",
        "entry_when": "close > 1",
        "max_positions": 7,
        "contracts": 7,
        "unquoted": "hold",
        "early_assignment": False,
    }
    changed = JobSpec(
        symbol=SPEC.symbol,
        start=SPEC.start,
        end=SPEC.end,
        strategy=SPEC.strategy,
        params=Parameters(**{name: odd.get(name, 0.0625)}),
    )
    assert changed.id("data") != SPEC.id("data")


def test_an_id_is_sixteen_hexadecimal_digits() -> None:
    assert re.fullmatch(r"[0-9a-f]{16}", SPEC.id("data"))


def test_a_spec_cannot_be_changed_and_is_small() -> None:
    with pytest.raises(AttributeError):
        SPEC.symbol = "AAPL"  # type: ignore[misc]
    assert len(pickle.dumps(SPEC)) < 2000


def test_a_row_holds_the_place_and_every_parameter() -> None:
    row = SPEC.row()
    assert list(row) == ["symbol", "window", "role", "start", "end", "strategy", *FIELDS]
    assert (row["symbol"], row["window"], row["role"], row["strategy"]) == ("SPY", 0, "full", "put_credit_spread")
    assert row["delta"] == 0.2
