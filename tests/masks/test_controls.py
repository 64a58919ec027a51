"""The arms a scheduled arm has to be compared with."""

from __future__ import annotations

from typing import Any

import pytest
from helpers import placement

from maskbench.config.schema.experiment import ArmConfig, CorpusConfig, PlacementConfig, RunConfig
from maskbench.masks.controls import propose_controls

STAGES = {"step": [[0, 2], [0.33, 4], [0.67, 8]]}


def arm(*masks: PlacementConfig) -> ArmConfig:
    config = RunConfig(corpus=CorpusConfig(name="copy"), masks=masks)
    return ArmConfig(name="staged", title="staged", config=config)


def test_a_scheduled_mask_has_the_constant_at_its_average_and_the_course_backwards():
    window = placement("encoder_self", "window", radius=STAGES)
    average, backwards = propose_controls(arm(window))
    assert (average.name, backwards.name, average.of) == ("staged-average", "staged-reversed", "staged")
    assert average.masks == [{"site": "encoder_self", "mask": "window", "radius": 5}]
    turned = {"step": [[0.0, 8], [0.33, 4], [0.67, 2]]}
    assert backwards.masks == [{"site": "encoder_self", "mask": "window", "radius": turned}]


def test_what_is_not_scheduled_stays_and_what_is_default_is_not_written():
    window = placement("encoder_self", "window", radius=STAGES).model_copy(update={"layers": (1,)})
    tokens = placement("encoder_input", "tokens", "static", ratio=0.2)
    average = next(propose_controls(arm(tokens, window)))
    assert average.masks == [
        {
            "site": "encoder_input",
            "mask": "tokens",
            "refresh": {"per": "example", "variants": 1},
            "ratio": 0.2,
        },
        {"site": "encoder_self", "mask": "window", "layers": [1], "radius": 5},
    ]


@pytest.mark.parametrize(
    "value",
    [0.2, {"per_layer": [0.1, 0.3]}, {"plateau": [0.1, 0.3, 2]}],
)
def test_what_has_no_known_course_has_no_controls(value: Any):
    where = placement("encoder_self", "random_sparse", density=value)
    assert list(propose_controls(arm(where))) == []


def test_a_symmetric_course_has_the_average_alone():
    names = [
        c.name
        for c in propose_controls(arm(placement("encoder_input", "tokens", ratio={"triangle": [0.1, 0.3]})))
    ]
    assert names == ["staged-average"]


def test_what_is_drawn_has_its_middle_as_control():
    (only,) = propose_controls(
        arm(placement("encoder_self", "random_sparse", density={"sample": [0.1, 0.3]}))
    )
    assert (only.name, only.masks[0]["density"]) == ("staged-average", pytest.approx(0.2))


def test_a_course_that_is_frozen_half_way_has_the_average_of_what_it_was():
    tokens = placement("encoder_input", "tokens", ratio={"linear": [0.4, 0.0]})
    (only,) = propose_controls(arm(tokens.model_copy(update={"freeze_at": 0.5})))
    # From 0.4 to 0.2 in the first half, 0.3 on average, then 0.2.
    assert only.masks == [{"site": "encoder_input", "mask": "tokens", "ratio": pytest.approx(0.25, abs=1e-4)}]


def test_schedules_inside_a_composition_are_replaced_as_well():
    parts = [{"mask": "window", "radius": STAGES}, {"mask": "random_sparse", "density": 0.1}]
    average, backwards = propose_controls(arm(placement("encoder_self", "any", of=parts)))
    assert average.masks[0]["of"][0]["radius"] == 5
    assert backwards.masks[0]["of"][0]["radius"]["step"][0] == [0.0, 8]
    assert average.masks[0]["of"] == [
        {"mask": "window", "radius": 5, "dilation": 1},
        {"mask": "random_sparse", "density": 0.1, "diagonal": True, "per_head": False, "per_layer": False},
    ]
