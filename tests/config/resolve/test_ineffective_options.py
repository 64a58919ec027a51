"""Options that are valid and do not do what they say, given the others."""

from __future__ import annotations

from typing import Any

import pytest

import maskbench.metrics  # noqa: F401  registers the metrics
from maskbench.config.resolve.ineffective_options import find_ineffective_options
from maskbench.config.schema.experiment import CorpusConfig, RunConfig

FINE: dict[str, dict[str, Any]] = {
    "train": {"steps": 400, "warmup_steps": 40, "valid_every": 100},
    "evaluate": {"metrics": ["nll", "bleu"]},
}
MASK = [{"site": "encoder_input", "mask": "tokens", "options": {"ratio": 0.1}}]


def told(*changes: tuple[str, Any], masks: Any = ()) -> list[str]:
    settings: dict[str, Any] = {section: dict(values) for section, values in FINE.items()}
    for key, value in changes:
        section, _, name = key.partition(".")
        settings.setdefault(section, {})[name] = value
    config = RunConfig.model_validate({"corpus": CorpusConfig(name="copy"), "masks": masks, **settings})
    return [key for key, _ in find_ineffective_options(config)]


@pytest.mark.parametrize(
    ("expected", "without", "needed"),
    [
        # without effect, given `without`; with effect, given `needed` as well
        ("train.schedule", [("train.warmup_steps", 401)], [("train.warmup_steps", 400)]),
        (
            "train.select",
            [("train.valid_every", 401), ("train.select", "valid/bleu")],
            [("train.valid_every", 400)],
        ),
        ("train.select", [("train.average", 2), ("train.select", "valid/bleu")], [("train.average", 1)]),
        ("train.average", [("train.average", 5)], [("train.average", 4)]),
        ("train.rdrop", [("train.rdrop", 1.0), ("model.dropout", 0.0)], [("model.dropout", 0.1)]),
        ("decode.length_penalty", [("decode.length_penalty", 0.6)], [("decode.beam_size", 2)]),
        (
            "decode.beam_size",
            [("decode.beam_size", 4), ("evaluate.metrics", ["nll"])],
            [("evaluate.metrics", ["nll", "exact_match"])],
        ),
        (
            "evaluate.lowercase",
            [("evaluate.lowercase", True), ("evaluate.metrics", ["nll", "token_accuracy"])],
            [("evaluate.metrics", ["chrf"])],
        ),
        (
            "evaluate.by",
            [("evaluate.by", ["tag"]), ("evaluate.metrics", ["bleu"])],
            [("evaluate.metrics", ["token_accuracy"])],
        ),
    ],
)
def test_an_option_is_told_exactly_where_it_has_no_effect(expected, without, needed) -> None:
    assert told(*without) == [expected]
    assert told(*without, *needed) == []


def test_ordinary_settings_are_not_told() -> None:
    assert told() == told(masks=MASK) == []
    assert told(("train.rdrop", 1.0), ("model.dropout", 0.0), masks=MASK) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"freeze_at": 1.0}, "tokens.freeze_at"),
        ({"freeze_at": 0.9}, None),
        ({"refresh": {"per": "example"}, "phases": ["eval"]}, "tokens.refresh"),
        ({"refresh": {"per": "example"}, "phases": ["train"]}, None),
    ],
)
def test_keys_of_a_placement(change: dict[str, Any], expected: str | None) -> None:
    assert told(masks=[{**MASK[0], **change}]) == ([expected] if expected else [])
