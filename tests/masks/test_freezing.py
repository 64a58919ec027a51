"""A placement that stops changing: its schedules, its draws and what it learns."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import placement, plan, tiny_batch

from maskbench.config.schema.experiment import PlacementConfig
from maskbench.masks.clock import Clock

PER_EPOCH, STEPS = 7, 50


def frozen(
    share: float, mask: str, refresh: Any = None, site: str = "encoder_input", **options: Any
) -> PlacementConfig:
    return placement(site, mask, refresh, **options).model_copy(update={"freeze_at": share})


def clock(step: int) -> Clock:
    return Clock("train", step, STEPS, step // PER_EPOCH, PER_EPOCH)


def hidden_at(where: PlacementConfig, step: int) -> torch.Tensor:
    batch = tiny_batch()
    return plan(where).corrupt("encoder_input", batch.src, batch.src_lengths, batch.ids, clock(step)).ids


@pytest.mark.parametrize("refresh", ["dynamic", {"per": "step"}, {"per": "epoch"}])
def test_after_the_share_every_draw_is_the_one_at_the_share(refresh):
    where = frozen(0.3, "tokens", refresh, ratio=0.5)
    stop = hidden_at(where, 15)
    assert all(torch.equal(hidden_at(where, step), stop) for step in range(15, STEPS))
    assert any(not torch.equal(hidden_at(where, step), stop) for step in range(15))


def test_a_schedule_stops_at_its_value_then():
    (placed,) = plan(frozen(0.4, "tokens", ratio={"linear": [0.0, 1.0]})).placed
    assert [placed.options_at(clock(step)).ratio for step in (0, 10, 20, 21, 49)] == pytest.approx(
        [0, 0.2, 0.4, 0.4, 0.4]
    )


def test_without_the_key_nothing_stops():
    (placed,) = plan(placement("encoder_input", "tokens", ratio={"linear": [0.0, 1.0]})).placed
    assert placed.options_at(clock(49)).ratio == pytest.approx(0.98)
    assert not placed.is_frozen(clock(49))


def test_learned_parameters_stop_after_the_share():
    arm = plan(frozen(0.5, "transform", site="decoder_self"), placement("encoder_self", "transform"))
    assert arm.frozen_parameters(clock(25)) == []
    names = {
        name for name, p in arm.named_parameters() if any(p is q for q in arm.frozen_parameters(clock(26)))
    }
    assert names and all("decoder_self" in name for name in names)
