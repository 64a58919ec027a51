"""Settings at the top of a file that every panel, or every arm, replaces."""

from __future__ import annotations

from pathlib import Path

import pytest
from config_helpers import complaint, complaints, load

from maskbench.config.load import find_hints
from maskbench.config.schema.experiment import Experiment

NONSENSE = [
    ("corpus: nonsense", "1:9: error: corpus must be a mapping, got 'nonsense'"),
    ("corpus: {name: nonsense}", "1:16: error: no corpus named 'nonsense'"),
    ("corpus: {name: 3}", "1:16: error: corpus.name must be text, got 3"),
    ("corpus: {name: pairs, pairs: many}", "1:30: error: corpus.pairs must be a whole number"),
    ("corpus: {name: pairs, peers: 3}", "1:23: error: unknown key 'peers' in corpus; did you mean 'pairs'?"),
    ("model: [1]", "1:8: error: model must be a mapping, got a list of 1"),
    ("model: {d_model: wide}", "1:18: error: model.d_model must be a whole number, got 'wide'"),
    ("train: {lr: 0}", "1:13: error: train.lr must be greater than 0, got 0"),
    ("train: {select: test/nll}", "1:17: error: train.select must be measured on the split valid"),
    ("decode: {beam_size: -1}", "1:21: error: decode.beam_size must be at least 1, got -1"),
    ("evaluate: {metrics: [blue]}", "1:21: error: evaluate.metrics has no metric 'blue'"),
    ("evaluate: {by: [weight]}", "1:17: error: evaluate.by[0] must be"),
    ("evaluate: {masks: [nobody]}", "1:20: error: evaluate.masks: there is no arm 'nobody'"),
    (
        "evaluate: {masks: [{mine: [{site: memory, mask: window, radius: 1}]}]}",
        "1:35: error: evaluate.masks.mine[0]: window does not act at memory",
    ),
]
"""A first line, and what is wrong with it."""

REPLACING = {
    "corpus": "corpus: {name: pairs, pairs: 5}",
    "model": "model.d_model: 12, model.n_heads: 3",
    "train": "train.lr: 1e-3, train.select: valid/nll",
    "decode": "decode.beam_size: 2, decode.n_best: 2",
    "evaluate": "evaluate.metrics: [exact_match], evaluate.by: [tag], evaluate.masks: [own], evaluate.splits: [test]",
}


def with_panels(first: str, section: str) -> str:
    """A file whose panels both replace what its first line sets."""
    corpus = "" if section == "corpus" else "corpus: {name: pairs}\n"
    own = REPLACING[section]
    return f"{first}\n{corpus}name: tiny\narms: {{none: []}}\npanels: {{a: {{{own}}}, b: {{{own}}}}}\n"


@pytest.mark.parametrize(("first", "message"), NONSENSE)
def test_nonsense_that_every_panel_replaces_is_found_at_its_place(
    first: str, message: str, tmp_path: Path
) -> None:
    text = with_panels(first, first.partition(":")[0])
    # A section that is no mapping cannot be replaced key by key either; that is said for each key.
    found = complaints(tmp_path, text)
    assert any(line.startswith(f"exp.yaml:{message}") for line in found), found
    assert len(found) == 1 or first == "model: [1]"


@pytest.mark.parametrize(
    "first",
    [
        "model: {d_model: 13}",  # n_heads does not divide it, but the panels have another width
        "decode: {beam_size: 1}",
        "decode: {n_best: 4}",  # more than the beam at the top of the file holds
        "corpus: {pairs: 7}",  # without a name
        "evaluate: {metrics: [bleu], splits: [elsewhere]}",
        "evaluate: {masks: [none, {mine: [{site: encoder_self, mask: window, radius: 1}]}]}",
        "train: {lr: 0.5}",
    ],
)
def test_what_is_valid_and_replaced_loads_and_gets_a_hint(first: str, tmp_path: Path) -> None:
    section = first.partition(": {")[0]
    assert isinstance(load(tmp_path, with_panels(first, section)), Experiment)
    hints = find_hints(tmp_path / "exp.yaml")
    assert hints == [
        f"{tmp_path}/exp.yaml:1: {section} has no effect: every panel sets it itself; "
        "leave it out at the top of the file"
    ]


def test_only_what_is_replaced_gets_a_hint(tmp_path: Path) -> None:
    text = (
        "name: tiny\ncorpus:\n  name: pairs\n  pairs: 3\ntrain: {lr: 0.5, steps: 7}\narms: {none: []}\n"
        "panels: {a: {corpus.pairs: 5, train.epochs: 1}, b: {corpus.pairs: 6, train.epochs: 2}}\n"
    )
    load(tmp_path, text)
    hints = [hint.split(" has ")[0].replace(f"{tmp_path}/", "") for hint in find_hints(tmp_path / "exp.yaml")]
    assert hints == ["exp.yaml:4: corpus.pairs", "exp.yaml:5: train.steps"]


def test_what_every_arm_sets_itself_gets_a_hint(tmp_path: Path) -> None:
    text = (
        "name: tiny\ncorpus: {name: pairs}\nmodel: {positions: learned, d_model: 16}\narms:\n"
        "  none: {set: {model.positions: none}}\n  waves: {set: {model.positions: sinusoidal}}\n"
    )
    load(tmp_path, text)
    (hint,) = find_hints(tmp_path / "exp.yaml")
    assert "exp.yaml:3: model.positions has no effect: every arm sets it itself" in hint


def test_a_setting_that_one_panel_leaves_is_used(tmp_path: Path) -> None:
    text = (
        "name: tiny\ncorpus: {name: pairs}\narms: {none: []}\npanels: {a: {corpus: {name: pairs}}, b: {}}\n"
    )
    load(tmp_path, text)
    assert find_hints(tmp_path / "exp.yaml") == []


def test_a_file_without_panels_has_no_hints(tmp_path: Path) -> None:
    load(tmp_path, "name: tiny\ncorpus: {name: pairs}\ntrain: {steps: 3}\narms: {none: []}\n")
    assert find_hints(tmp_path / "exp.yaml") == []


def test_a_corpus_is_needed_only_where_some_panel_has_none(tmp_path: Path) -> None:
    panels = "panels: {{a: {{corpus: {{name: pairs}}}}, b: {{{}}}}}\n"
    rest = "name: tiny\narms: {none: []}\n"
    load(tmp_path, rest + panels.format("corpus: {name: pairs, pairs: 3}"))
    assert "missing key 'corpus'" in complaint(tmp_path, rest + panels.format(""))
