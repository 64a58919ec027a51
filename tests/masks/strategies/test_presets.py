"""Presets: each resolves to a strategy's options, at sites where they make sense, with the numbers it documents."""

from __future__ import annotations

from typing import Any

import pytest

import maskbench.masks  # noqa: F401  (fills the registry)
from maskbench.config.schema.experiment import ModelConfig, PlacementConfig
from maskbench.masks.base import StrategyOptions
from maskbench.registry import MASKS, PRESETS, Preset, register_preset

BERT = {"mask": 0.8, "random": 0.1, "keep": 0.1, "zero": 0.0, "delete": 0.0}
ZERO = {"mask": 0.0, "random": 0.0, "keep": 0.0, "zero": 1.0, "delete": 0.0}
MASKED = {"mask": 1.0, "random": 0.0, "keep": 0.0, "zero": 0.0, "delete": 0.0}
DOCUMENTED: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("tokens", {"ratio": 0.15, "replace": BERT, "unit": "token", "collapse": False}),
    "whole_word": ("tokens", {"ratio": 0.15, "replace": BERT, "unit": "word"}),
    "span": (
        "tokens",
        {
            "ratio": 0.15,
            "replace": BERT,
            "unit": "span",
            "span": {"lengths": "geometric", "mean": 5.0, "max": 10, "of": "word"},
        },
    ),
    "infill": (
        "tokens",
        {
            "ratio": 0.3,
            "replace": MASKED,
            "collapse": True,
            "span": {"lengths": "poisson", "mean": 3.0, "max": 10, "of": "word"},
        },
    ),
    "span_corruption": (
        "tokens",
        {"ratio": 0.15, "collapse": True, "span": {"lengths": "fixed", "mean": 3.0, "max": 3, "of": "token"}},
    ),
    "token_deletion": ("tokens", {"ratio": 0.15, "replace": {**MASKED, "mask": 0.0, "delete": 1.0}}),
    "word_dropout": ("tokens", {"ratio": 0.1, "replace": ZERO, "unit": "word", "count": "bernoulli"}),
    "decoder_word_dropout": ("tokens", {"ratio": 0.25, "replace": MASKED}),
    "switchout": (
        "tokens",
        {"ratio": 0.1, "replace": {**MASKED, "mask": 0.0, "random": 1.0}, "count": "bernoulli"},
    ),
    "rate_decay": ("tokens", {"ratio": {"linear": [0.3, 0.15]}, "replace": MASKED}),
    "cutoff": ("feature_dropout", {"ratio": 0.1, "granularity": "span", "rescale": False}),
    "token_cutoff": ("feature_dropout", {"ratio": 0.1, "granularity": "token", "rescale": False}),
    "feature_cutoff": ("feature_dropout", {"ratio": 0.1, "granularity": "channel", "rescale": False}),
    "loss_truncation": ("loss_tokens", {"ratio": 0.1, "choose": "highest"}),
    "sparsemax": ("entmax", {"alpha": 2.0}),
    "entmax15": ("entmax", {"alpha": 1.5}),
    "dilated_window": ("window", {"radius": 4, "dilation": 2}),
}
"""What each preset says of itself, in numbers."""


def resolved(name: str) -> StrategyOptions:
    options: StrategyOptions = MASKS.lookup(PRESETS[name].mask).Options.model_validate(
        dict(PRESETS[name].options)
    )
    return options


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_preset_has_the_numbers_it_documents(name):
    mask, expected = DOCUMENTED[name]
    assert PRESETS[name].mask == mask
    options = resolved(name).model_dump(mode="json")
    assert {key: options[key] for key in expected} == expected


def test_every_preset_is_documented_here_or_where_it_is_made():
    made_elsewhere = set(PRESETS) - set(DOCUMENTED)
    assert all(
        PRESETS[name].mask not in {"tokens", "feature_dropout", "loss_tokens"} for name in made_elsewhere
    )


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_fits_its_sites_and_names_its_source(name):
    preset, options = PRESETS[name], resolved(name)
    strategy = MASKS.lookup(preset.mask)
    assert preset.sites and preset.sites <= strategy.sites
    assert any(ch.isdigit() for ch in preset.source) and len(preset.description.split()) > 4
    for site in preset.sites:
        where = PlacementConfig(site=site, mask=preset.mask, options=options.model_dump(mode="json"))  # type: ignore[arg-type]
        strategy.check(site, options, where, ModelConfig())


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_no_strategy_has_the_name_of_a_preset(name):
    assert name not in MASKS.names()
    with pytest.raises(ValueError, match="already"):
        register_preset(name, PRESETS[name])


def test_a_preset_cannot_take_the_name_of_a_strategy():
    with pytest.raises(ValueError, match="already"):
        register_preset("window", Preset("window", {}, frozenset({"cross"}), "d", "s"))
