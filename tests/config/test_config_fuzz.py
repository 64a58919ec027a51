from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from config_helpers import COMBINED, FULL, MINIMAL, load
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskbench.config.load import dump_resolved
from maskbench.errors import ConfigError

SNIPPETS = [
    *(
        "!!python/name:os.system",
        "&a",
        "*a",
        "<<: *a",
        "[[[[",
        "{{{{",
        "---",
        "...",
        "%YAML 9",
        "? ",
        "- ",
        ": ",
        "|",
        ">",
    ),
    *(
        "\t",
        "\r",
        "\0",
        "\x1b",
        "\ufeff",
        "\u2028",
        "\x85",
        "é",
        "'",
        '"\\ud800"',
        "9" * 50,
        "1e999",
        ".nan",
        "~",
        "true",
    ),
    *(
        "$radius",
        "010",
        "1_000",
        "none",
        "[]",
        "{}",
        "train.steps",
        "panels:",
        "arms:",
        "quick:",
        "grid: {a: [1, 2]}",
    ),
]
SOURCE = FULL.encode()


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """Draw a valid file with a few bytes, words or lines changed."""
    data = bytearray(draw(st.sampled_from([SOURCE, COMBINED.encode(), MINIMAL.encode()])))
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["byte", "delete", "snippet", "double", "swap", "indent"]))
        at = draw(st.integers(0, max(0, len(data) - 1)))
        lines = bytes(data).split(b"\n")
        line = draw(st.integers(0, len(lines) - 1))
        if kind == "byte":
            data[at : at + 1] = bytes([draw(st.integers(0, 255))])
        elif kind == "delete":
            del data[at : at + draw(st.integers(1, 12))]
        elif kind == "snippet":
            data[at : at + draw(st.integers(0, 3))] = draw(st.sampled_from(SNIPPETS)).encode()
        elif kind == "double":
            data = bytearray(b"\n".join([*lines[: line + 1], *lines[line:]]))
        elif kind == "swap":
            words = re.findall(rb"[\w.-]+", bytes(data)) or [b"x"]
            data = bytearray(
                bytes(data).replace(draw(st.sampled_from(words)), draw(st.sampled_from(words)), 1)
            )
        else:
            data = bytearray(b"\n".join([*lines[:line], b"  " + lines[line], *lines[line + 1 :]]))
    return bytes(data)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=mutants(), quick=st.booleans())
def test_a_damaged_file_gives_an_experiment_or_a_config_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, quick: bool
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    try:
        experiment = load(folder, data, quick=quick)
    except ConfigError as error:
        lines = str(error).split("\n")
        assert lines[0].startswith(str(folder)) and ": error: " in lines[0]
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", str(error))
    else:
        assert load(folder, dump_resolved(experiment)) == experiment
    finally:
        shutil.rmtree(folder)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.text("acdeimnoprst.=[]{}:,0123!&*$ -\n", max_size=25), max_size=3),
    st.text("0123,- x", max_size=6),
)
def test_any_options_give_an_experiment_or_a_config_error(
    tmp_path_factory: pytest.TempPathFactory, overrides: list[str], seeds: str
) -> None:
    folder: Path = tmp_path_factory.getbasetemp()
    try:
        load(folder, FULL, overrides=overrides, seeds=seeds)
    except ConfigError as error:
        assert ": error: " in str(error)
