from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from config_helpers import FULL, MINIMAL, load
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from maskbench.config.parsing.nodes import Node, Override, set_by_path
from maskbench.config.parsing.problems import Place
from maskbench.config.schema.experiment import (
    SITES,
    CorpusConfig,
    EvaluateConfig,
    ModelConfig,
    PlacementConfig,
    Refresh,
    RunConfig,
    TrainConfig,
)
from maskbench.config.schema.metrics import find_metric, metric_name, metric_names
from maskbench.config.schema.names import MAX_NAME_LENGTH, check_name, slugify


def run_config(**sections: Any) -> RunConfig:
    return RunConfig.model_validate({"corpus": CorpusConfig(name="pairs"), **sections})


def test_metrics_know_their_direction_and_range() -> None:
    better = {name for name in metric_names() if find_metric(name).higher_is_better}
    scores = {"token_accuracy", "exact_match", "bleu", "chrf"}
    assert better == scores | {"robustness", "effective_context"}
    assert all(
        metric.low < metric.high and metric.name == name
        for name, metric in ((n, find_metric(n)) for n in metric_names())
    )


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("test/bleu", ("test", None, "bleu", "")),
        ("test@window-radius-1/bleu", ("test", "window-radius-1", "bleu", "")),
        ("test/nll[length:6-10]", ("test", None, "nll", "length:6-10")),
        ("noise-drop-20@none/nll[tag:end]", ("noise-drop-20", "none", "nll", "tag:end")),
        ("bleu", None),
        ("/bleu", None),
        ("test/", None),
        ("a/b/c", None),
        ("a@/c", None),
        ("a@b@c/d", None),
        ("a/b[]", None),
        ("a/b[c]d", None),
    ],
)
def test_a_metric_in_a_table_is_split_and_metric(name: str, parts: tuple[Any, ...] | None) -> None:
    found = metric_name(name)
    assert found == parts
    assert found is None or str(found) == name


def test_there_are_eight_sites() -> None:
    assert len(SITES) == 8 and {"encoder_self", "memory", "loss"} < set(SITES)


def test_static_and_dynamic_are_short_for_one_variant_and_unlimited() -> None:
    assert Refresh.model_validate("static") == Refresh(per="example", variants=1)
    assert (
        Refresh.model_validate("dynamic")
        == Refresh(per="example", variants="unlimited")
        == Refresh(per="example")
    )
    for wrong in (
        "fixed",
        3,
        {"per": "token"},
        {"per": "step", "variants": 0},
        {"variants": 3},
        {"per": "run", "variants": True},
    ):
        with pytest.raises(ValidationError):
            Refresh.model_validate(wrong)


def test_layers_heads_and_phases_are_sorted_so_that_their_order_changes_no_hash() -> None:
    one = PlacementConfig(site="cross", mask="m", layers=(2, 0), heads=(3, 1), phases=("eval", "train"))
    assert (one.layers, one.heads, one.phases) == ((0, 2), (1, 3), ("train", "eval"))


@pytest.mark.parametrize("model", [ModelConfig, TrainConfig, EvaluateConfig])
def test_settings_are_frozen_and_refuse_unknown_keys_and_other_types(model: Any) -> None:
    with pytest.raises(ValidationError):
        model(bogus=1)
    with pytest.raises(ValidationError):
        setattr(model(), next(iter(model.model_fields)), 1)
    for field in model.model_fields:
        with pytest.raises(ValidationError):
            model(**{field: object()})


def test_either_steps_or_epochs_counts_and_only_that_one_is_written() -> None:
    assert TrainConfig().model_dump()["steps"] == 2000 and "epochs" not in TrainConfig().model_dump()
    by_epochs = TrainConfig(epochs=3)
    assert "steps" not in by_epochs.model_dump()
    assert TrainConfig.model_validate(by_epochs.model_dump()) == by_epochs
    with pytest.raises(ValidationError, match="both given"):
        TrainConfig(epochs=3, steps=5)


def test_identity_is_json_and_leaves_out_only_what_changes_no_number() -> None:
    identity = run_config().identity()
    assert json.loads(json.dumps(identity, allow_nan=False)) == identity
    assert identity == run_config(train=TrainConfig(save_every=7)).identity()
    assert set(identity) == {"corpus", "model", "train", "decode", "evaluate", "masks", "streams"}
    assert set(identity["train"]) == set(TrainConfig.model_fields) - {"save_every", "epochs"}
    assert set(identity["model"]) == set(ModelConfig.model_fields) - {"attention"}


@pytest.mark.parametrize(
    "sections",
    [
        *(
            {"train": TrainConfig(epochs=3)},
            {"train": TrainConfig(steps=3)},
            {"train": TrainConfig(threads=2)},
        ),
        *({"streams": "b"}, {"model": ModelConfig(tied=False)}, {"evaluate": EvaluateConfig(lowercase=True)}),
        *(
            {"corpus": CorpusConfig(name="pairs", options={"pairs": 3})},
            {"corpus": CorpusConfig(name="files")},
        ),
        {"masks": (PlacementConfig(site="loss", mask="m"),)},
    ],
)
def test_identity_changes_with_everything_that_can_change_a_number(sections: dict[str, Any]) -> None:
    assert run_config(**sections).identity() != run_config().identity()


def test_identity_does_not_depend_on_how_a_thing_is_written(tmp_path: Path) -> None:
    short = MINIMAL.replace(
        "none: []", "none: [], a: [{site: encoder_input, mask: tokens, ratio: 1, refresh: static}]"
    )
    long = MINIMAL.replace(
        "none: []",
        "none: [], b: {masks: [{refresh: {variants: 1, per: example}, replace: mask, heads: all, ratio: 1.0, "
        "mask: tokens, site: encoder_input}]}",
    )
    one, other = (load(tmp_path, text).panels[0].arms[1].config.identity() for text in (short, long))
    assert one == other


def test_an_experiment_survives_a_trip_to_another_process(tmp_path: Path) -> None:
    experiment = load(tmp_path, FULL)
    assert pickle.loads(pickle.dumps(experiment)) == experiment  # noqa: S301
    config = experiment.panels[0].arms[0].config
    assert RunConfig.model_validate_json(config.model_dump_json()) == config


@given(st.text(max_size=60))
def test_a_slug_is_a_name_or_empty(text: str) -> None:
    name = slugify(text)
    assert len(name) <= MAX_NAME_LENGTH and (
        not name or name.strip("abcdefghijklmnopqrstuvwxyz0123456789-") == ""
    )


@given(st.from_regex(r"[a-z0-9][a-z0-9-]{0,30}[a-z0-9]", fullmatch=True))
def test_a_name_without_double_hyphens_is_its_own_slug(name: str) -> None:
    assert slugify(name) == name or "--" in name


@pytest.mark.parametrize("name", ["a", "0", "x" * 32, "a-b-1", "com", "console", "lpt"])
def test_plain_names_are_accepted(name: str) -> None:
    assert check_name(name) == name


def test_a_change_shares_all_but_its_path_with_the_old_tree() -> None:
    file, option = Place(line=1, column=1), Place("--set a.b=2")
    old = set_by_path(
        set_by_path(Node(file, {}), Override("a.b", file, Node(file, 1))),
        Override("c", file, Node(file, (Node(file, 0),))),
    )
    new = set_by_path(old, Override("a.b", option, Node(option, 2)))
    assert (old.to_python(), new.to_python()) == ({"a": {"b": 1}, "c": [0]}, {"a": {"b": 2}, "c": [0]})
    assert new.get("c") is old.get("c")
    assert new.entries["a"].key_place == file and new.entries["a"].node.entries["b"].key_place == option
