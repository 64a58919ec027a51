from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskbench.config.parsing.yaml_reader import resolve_scalar


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("1e-3", 0.001), ("1E5", 100000.0), ("1.0e3", 1000.0), (".5", 0.5), ("2.", 2.0), ("-0.25", -0.25)],
        *[("0", 0), ("-7", -7), ("+7", 7), ("0x1F", 31), ("9223372036854775807", 2**63 - 1)],
        *[("true", True), ("False", False), ("TRUE", True), ("null", None), ("~", None), ("", None)],
    ],
)
def test_numbers_booleans_and_nulls_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    assert resolve_scalar(text) == value and type(resolve_scalar(text)) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "no",
            "yes",
            "on",
            "off",
            "y",
            "n",
            "1:30",
            "010",
            "-007",
            "1_000",
            "0o17",
            "0b11",
            "2026-01-31",
            "00.5",
        ),
        *(
            "1e",
            "e5",
            "1.2.3",
            "tRue",
            "nan",
            "inf",
            "infinity",
            "+-1",
            "0x",
            "1 2",
            "½",
            "१२",
            ".",
            "-",
            "+.e1",
        ),
    ],
)
def test_everything_else_stays_text(text: str) -> None:
    assert resolve_scalar(text) == text


@pytest.mark.parametrize("text", ["9" * 5000, "0." + "1" * 60, "9223372036854775808", "-9223372036854775809"])
def test_numbers_no_setting_can_mean_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        resolve_scalar(text)


def test_infinities_and_nan_are_recognised_so_that_they_can_be_refused() -> None:
    assert resolve_scalar("-.inf") == -math.inf
    assert math.isnan(resolve_scalar(".NaN"))  # type: ignore[arg-type]


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63 - 1) | st.booleans())
def test_whatever_json_writes_for_a_number_is_read_as_that_number(value: float | int | bool) -> None:
    assert resolve_scalar(json.dumps(value)) == value and type(resolve_scalar(json.dumps(value))) is type(
        value
    )
