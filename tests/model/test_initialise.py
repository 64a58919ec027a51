"""Weights keyed by name."""

from __future__ import annotations

import math

import pytest
import torch
from helpers import plan, sizes
from torch import Tensor, nn

from maskbench.config.schema.experiment import ModelConfig
from maskbench.masks.plan import MaskPlan
from maskbench.model.attention import Projection
from maskbench.model.embedding import EmbeddingTable
from maskbench.model.initialise import initialise
from maskbench.model.transformer import EncoderDecoder
from maskbench.randomness import Key

CONFIG = ModelConfig(d_model=64, n_heads=4, encoder_layers=1, decoder_layers=2, d_ff=96)


def weights(
    seed: int = 0, streams: str = "a", arm: MaskPlan | None = None, config: ModelConfig = CONFIG
) -> dict[str, Tensor]:
    arm = arm or plan(of=sizes(n_heads=4, encoder_layers=1))
    model = EncoderDecoder(config, arm, 301, 19)
    initialise(model, seed, streams)
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def test_the_same_seed_gives_the_same_weights_whatever_the_global_generator_did():
    torch.manual_seed(1)
    first = weights()
    torch.manual_seed(2)
    torch.randn(17)
    second = weights()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_seeds_streams_and_names_give_different_weights():
    name, other = "encoder.layers.0.feed_forward.inner.weight", "decoder.layers.0.feed_forward.inner.weight"
    base = weights()
    assert not torch.equal(base[name], base[other])
    assert not torch.equal(base[name], weights(seed=1)[name])
    assert not torch.equal(base[name], weights(streams="b")[name])


def test_a_parameter_depends_on_its_name_and_not_on_what_else_there_is():
    deeper = weights(config=CONFIG.model_copy(update={"encoder_layers": 2, "positions": "learned"}))
    base = weights()
    assert len(deeper) > len(base)
    assert all(torch.equal(base[name], deeper[name]) for name in base)


def test_weights_are_drawn_from_the_generator_of_the_key():
    name = "words.tables.shared.weight"
    generator = torch.Generator().manual_seed(Key.of(7, "init", name).low32)
    expected = torch.empty(301, 64).normal_(0.0, 0.125, generator=generator)
    assert torch.equal(weights(seed=7)[name], expected)


def test_parameters_of_the_masks_are_left_alone():
    class Learned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.depth = nn.Parameter(torch.full((3,), 4.5))

    arm = plan(of=sizes(n_heads=4, encoder_layers=1))
    arm.add_module("learned", Learned())
    with_mask, base = weights(arm=arm), weights()
    assert with_mask.pop("masks.learned.depth").tolist() == [4.5] * 3
    assert all(torch.equal(base[name], with_mask[name]) for name in base) and len(base) == len(with_mask)


def test_every_matrix_of_a_fused_projection_has_the_spread_of_a_single_one():
    found = weights()
    qkv = found["encoder.layers.0.self_attention.qkv.weight"]
    bound = math.sqrt(6 / (64 + 64))
    assert 0.98 * bound < float(qkv.abs().max()) <= bound
    inner = found["encoder.layers.0.feed_forward.inner.weight"]
    bound = math.sqrt(6 / (64 + 96))
    assert 0.98 * bound < float(inner.abs().max()) <= bound


def test_norms_start_as_the_identity_and_biases_at_zero():
    for name, value in weights().items():
        if "norm" in name or name.endswith("bias"):
            assert bool((value == (1.0 if name.endswith("weight") else 0.0)).all()), name


def test_dtype_does_not_change_the_numbers():
    name = "encoder.layers.0.feed_forward.inner.weight"
    model = EncoderDecoder(CONFIG, plan(of=sizes(n_heads=4, encoder_layers=1)), 301, 19).double()
    initialise(model, 0)
    assert torch.equal(model.get_parameter(name).detach().float(), weights()[name])


def test_a_module_without_a_rule_is_an_error():
    with pytest.raises(TypeError, match="no rule to initialise"):
        initialise(nn.Sequential(EmbeddingTable(3, 4), Projection(4, 5), nn.Conv1d(2, 3, 1)), 0)
