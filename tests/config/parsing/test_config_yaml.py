from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from config_helpers import MINIMAL, complaint, complaints, load
from hypothesis import given
from hypothesis import strategies as st

from maskbench.config.parsing import yaml_reader
from maskbench.config.parsing.nodes import Node
from maskbench.config.parsing.problems import Place, ProblemReport
from maskbench.config.parsing.yaml_reader import parse_yaml
from maskbench.errors import ConfigError


def parse(text: str) -> Node:
    report = ProblemReport("x.yaml", text)
    node = parse_yaml(text, report)
    report.raise_if_any()
    return node


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return str(caught.value).partition("\n")[0]


@pytest.fixture(params=["CSafeLoader", "SafeLoader"], autouse=True)
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test with the parser in C and the one in Python."""
    monkeypatch.setattr(yaml_reader, "PARSER", getattr(yaml, request.param))


def test_every_key_and_value_knows_its_line_and_column() -> None:
    tree = parse("a: 1\nüb:\n  - x\n  - {c: ~}\n")
    assert tree.to_python() == {"a": 1, "üb": ["x", {"c": None}]}
    listed = tree.entries["üb"]
    assert listed.key_place == Place(line=2, column=1)
    assert [item.place for item in listed.node.items] == [Place(line=3, column=5), Place(line=4, column=5)]
    assert listed.node.items[1].entries["c"].key_place == Place(line=4, column=6)
    assert listed.node.items[1].entries["c"].node.place == Place(line=4, column=9)


def test_quoted_scalars_and_keys_are_text() -> None:
    assert parse("1: '2'\ntrue: \"3\"\nno: no\n").to_python() == {"1": "2", "true": "3", "no": "no"}


def test_a_key_given_twice_names_both_lines() -> None:
    assert (
        refusal("a: 1\nb: 2\na: 3\n") == "x.yaml:3:1: error: key 'a' is given twice; the first is in line 1"
    )
    assert refusal("{a: 1, 'a': 2}").startswith("x.yaml:1:8: error: key 'a' is given twice")


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.system ['touch canary']",
        "a: !!python/name:os.system",
        *(
            "a: !!binary aGk=",
            "a: !!timestamp x",
            "a: !!bool maybe",
            "a: !!int ''",
            "a: !x 1",
            "a: ! 1",
            "!!str a: 1",
        ),
        *("a: !!set {b, c}", "!!omap [a: 1]", "%TAG ! tag:x,2000:\n---\na: !y 1"),
    ],
)
def test_tags_are_refused_and_nothing_is_run(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "tag '" in refusal(text) and "is not allowed" in refusal(text)
    assert list(tmp_path.iterdir()) == []


def test_a_value_with_a_tag_is_not_complained_about_again(tmp_path: Path) -> None:
    message = complaint(tmp_path, MINIMAL + "train: {steps: !!int ten}\n")
    assert message == "exp.yaml:4:16: error: tag '!!int' is not allowed; write the value without it"


def test_nine_levels_of_nine_aliases_are_refused_where_they_become_too_many() -> None:
    levels = ["l0: &l0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]" for i in range(1, 9)]
    assert (
        refusal("\n".join(levels)) == "x.yaml:6:5: error: aliases expand to more than 100000 nodes (line 6)"
    )


def test_twenty_doublings_are_refused() -> None:
    text = "\n".join(["a0: &a0 [x]", *(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 21))])
    assert "aliases expand to more than" in refusal(text)


def test_a_large_file_is_only_counted_if_it_has_aliases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_reader, "MAX_EXPANDED", 100)
    assert len(parse("[" + "1, " * 200 + "1]").items) == 201
    assert "more than 100 nodes" in refusal("[&a 0, *a, " + "1, " * 200 + "1]")


def test_many_keys_are_read() -> None:
    assert len(parse("\n".join(f"k{i}: 1" for i in range(5_000))).entries) == 5_000


@pytest.mark.parametrize("text", ["a: &a [*a]", "&a {b: {c: *a}}"])
def test_an_alias_to_what_it_is_part_of_is_refused(text: str) -> None:
    assert "stands for a value it is part of" in refusal(text)


def test_an_alias_stands_for_the_same_value() -> None:
    assert parse("a: &x {b: [1]}\nc: *x\n").to_python() == {"a": {"b": [1]}, "c": {"b": [1]}}


def test_an_anchored_key_can_be_aliased() -> None:
    assert parse("&k a: 1\nb: *k\n").to_python() == {"a": 1, "b": "a"}


def test_unknown_aliases_double_anchors_and_merge_keys_are_refused() -> None:
    assert "has no anchor" in refusal("a: *b")
    assert "anchor '&a' is given twice; the first is in line 1" in refusal("a: &a 1\nb: &a 2")
    assert "merge keys (<<) are not supported" in refusal("a: &a {b: 1}\nc: {<<: *a}")


def test_ten_thousand_levels_are_refused() -> None:
    assert refusal("[" * 10_000 + "]" * 10_000) == "x.yaml:1:34: error: is nested more than 32 levels deep"


def test_depth_may_not_be_reached_by_aliases_either() -> None:
    text = "\n".join(["a0: &a0 [x]", *(f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 60))])
    assert "aliases nest values more than 32 levels deep" in refusal(text)


@pytest.mark.parametrize("key", ["[a]", "{a: 1}", "[a, {b: *c}]"])
def test_a_key_that_is_no_text_is_refused(key: str) -> None:
    assert "a key must be plain text" in refusal(f"x: &c 1\n? {key}\n: 2\ny: 3\n") or "*c" in key


def test_a_second_document_is_refused_where_it_starts() -> None:
    assert (
        refusal("a: 1\n---\nb: 2\n")
        == "x.yaml:2:1: error: a second document starts here; one document is expected"
    )


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n"])
def test_an_empty_file_is_refused(text: str) -> None:
    assert refusal(text) == "x.yaml: error: is empty; an experiment needs name, corpus and arms"


def test_numbers_too_long_and_not_finite_are_refused_in_their_place() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(f"a: .nan\nb: -.inf\nc: 1e999\nd: {'7' * 5000}\n")
    lines = [line for line in str(caught.value).split("\n") if "error" in line]
    assert lines == [
        "x.yaml:1:4: error: must be a finite number, got .nan",
        "x.yaml:2:4: error: must be a finite number, got -.inf",
        "x.yaml:3:4: error: must be a finite number, got 1e999",
        "x.yaml:4:4: error: a number of 5000 characters is too long (at most 40)",
    ]


def test_broken_yaml_is_a_config_error_with_line_and_column(tmp_path: Path) -> None:
    message = complaints(tmp_path, "name: [a\ncorpus: {name: pairs}\n")[0]
    assert message.startswith("exp.yaml:2:") and "error: not valid YAML: " in message


@pytest.mark.parametrize(
    "text", ["a: b: c", "a:\n\t- b", "'", '"\\q"', "@a", "%YAML 3.0\n---\na: 1", "a: |9\n x", "- a\nb"]
)
def test_malformed_yaml_is_never_another_exception(text: str) -> None:
    assert "error: not valid YAML" in refusal(text)


def test_any_exception_of_the_parser_becomes_a_config_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: Any, **__: Any) -> None:
        raise KeyError("maybe")

    monkeypatch.setattr(yaml, "parse", explode)
    assert refusal("a: 1") == "x.yaml: error: not valid YAML: 'maybe'"


def test_line_ends_of_other_systems_are_fine(tmp_path: Path) -> None:
    assert load(tmp_path, MINIMAL.replace("\n", "\r\n")) == load(tmp_path, MINIMAL.rstrip("\n"))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.text('a"\\:#-\n\té€', max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab<~1", max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_json_is_read_as_json_reads_it(value: Any) -> None:
    assert parse(json.dumps(value)).to_python() == value
