"""How far the source reaches a target token, against bounds that masks set and gradients computed one at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from looking import EVAL, model, placed, split

from maskbench.data.batches import collate
from maskbench.data.corpus import Corpus
from maskbench.data.vocabulary import WordVocabulary
from maskbench.masks.catalogue import example_arm
from maskbench.metrics import source_gradients as module
from maskbench.metrics.measure import measure
from maskbench.metrics.model_outputs import ModelOutputs
from maskbench.metrics.source_gradients import gradient_norms, gradient_reach, mean_gradient_reach
from maskbench.registry import MASKS


def test_reach_worked_out_by_hand():
    assert gradient_reach(np.array([0.0, 0.0, 3.0, 0.0])) == 0
    assert gradient_reach(np.array([1.0, 4.0, 0.0, 2.0])) == 2
    # 95 of 100 lie within one position of the largest.
    assert gradient_reach(np.array([3.0, 30.0, 50.0, 15.0, 2.0])) == 1
    assert gradient_reach(np.array([3.1, 30.0, 50.0, 14.9, 2.0])) == 2
    assert gradient_reach(np.array([5.0, 5.0, 5.0])) == 2
    assert gradient_reach(np.array([0.0, 0.0])) == 0


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=12))
def test_reach_is_the_least_distance_that_holds_the_share(norms):
    found, peak = gradient_reach(np.array(norms, dtype=np.float64)), norms.index(max(norms))

    def holds(c: int) -> bool:
        return 20 * sum(norms[max(0, peak - c) : peak + c + 1]) >= 19 * sum(norms)

    assert holds(found) and (found == 0 or not holds(found - 1))


def differences(built, data, row):
    """The gradients of one sentence alone, every number of every embedding moved a little both ways."""
    n_src, width, step = len(data.src[row]), 12, 1e-5
    moves = step * torch.eye(n_src * width, dtype=torch.float64).reshape(-1, n_src, width)
    batch = collate(data, np.full(2 * len(moves), row))
    handle = built.encoder.positions.register_forward_pre_hook(
        lambda _, args: (args[0] + torch.cat([moves, -moves]), args[1])
    )
    with torch.no_grad():
        logits = built.masks.gate_logits(built.eval()(batch, EVAL), EVAL, batch.ids)
    handle.remove()
    scores = torch.stack([logits[:, t, token] for t, token in enumerate(data.tgt[row].tolist())])
    slopes = (scores[:, : len(moves)] - scores[:, len(moves) :]) / (2 * step)
    return slopes.reshape(len(scores), n_src, width).square().sum(-1).sqrt().numpy()


ARMS = {
    "no masks": (),
    "gates": (
        placed("encoder_input", "feature_dropout"),
        placed("memory", "learned_gate"),
        placed("logits", "learned_gate"),
    ),
    "attention": (
        placed("encoder_self", "window", radius=1),
        placed("cross", "sigmoid_attention"),
        placed("decoder_self", "alibi"),
    ),
}


@pytest.mark.parametrize("arm", ARMS)
def test_gradients_are_what_moving_an_embedding_does_and_batches_do_not_matter(arm):
    built, data = model(*ARMS[arm]).train(), split()
    with torch.no_grad():
        for name, parameter in built.masks.named_parameters():
            if name.endswith("amount"):
                # Below 0 a gate learns by a stand-in gradient, which is no slope of anything.
                parameter.abs_()
    rows = [0, 1, 4]
    norms = gradient_norms(built, collate(data, np.array(rows)), EVAL)
    assert built.training and all(p.grad is None for p in built.parameters())
    for row, found in zip(rows, norms, strict=True):
        expected = np.zeros(found.shape)
        inside = differences(built, data, row)
        expected[: inside.shape[0], : inside.shape[1]] = inside
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6, atol=1e-8)


def test_the_figure_is_the_mean_over_all_tokens_of_the_first_sentences(monkeypatch):
    built, data = model(), split()
    reaches = []
    for row in range(3):
        for norms in gradient_norms(built, collate(data, np.array([row])), EVAL)[0].tolist():
            peak = max(range(len(norms)), key=lambda s: norms[s])
            c = 0
            while sum(g for s, g in enumerate(norms) if abs(s - peak) <= c) < 0.95 * sum(norms):
                c += 1
            reaches.append(c)
    assert len(set(reaches)) > 2
    monkeypatch.setattr(module, "SENTENCES", 3)
    for together in (1, 2, 16):
        monkeypatch.setattr(module, "TOGETHER", together)
        assert mean_gradient_reach(built, data, EVAL) == pytest.approx(np.mean(reaches), abs=1e-12)


@pytest.mark.parametrize(("window", "band"), [(0, 0), (0, 1), (1, 0), (1, 2)])
def test_a_band_and_windows_bound_what_a_token_can_hang_on(window, band):
    arm = [
        placed("encoder_self", "window", radius=window),
        placed("decoder_self", "window", left=0),
        placed("cross", "window", radius=band),
    ]
    built, data = model(*arm), split()
    norms = gradient_norms(built, collate(data, np.arange(len(data))), EVAL)
    for row, found in enumerate(norms.tolist()):
        n_src, n_tgt = len(data.src[row]), len(data.tgt[row])
        for t, s in np.ndindex(len(found), len(found[0])):
            # A query beyond the band of the last source token reads nothing.
            near = abs(t - s) <= band + window and any(
                abs(t - j) <= band and abs(j - s) <= window for j in range(n_src)
            )
            assert (found[t][s] > 0) == (near and t < n_tgt and s < n_src)
    value = mean_gradient_reach(built, data, EVAL)
    assert value <= 2 * (band + window) and (value > 0) == (band + window > 0)


def test_padding_is_no_part_of_a_source_even_where_it_is_read():
    leaky = placed("encoder_self", "window", radius=18, legality="no_padding", unsafe=True)
    norms = gradient_norms(model(leaky), collate(split(), np.arange(7)), EVAL)
    for row, found in enumerate(norms):
        n_src, n_tgt = len(split().src[row]), len(split().tgt[row])
        assert bool((found[:n_tgt, :n_src] > 0).all()) and not found[:, n_src:].any()


CASES = [
    (name, site) for name in MASKS.names() for site in sorted(MASKS.lookup(name).sites) if site != "loss"
]


@pytest.mark.parametrize(("name", "site"), CASES)
def test_it_can_be_computed_under_every_strategy_after_other_passes(name, site):
    both = [p.model_copy(update={"phases": ("train", "eval")}) for p in example_arm(name, site)]
    built, data = model(*both, d_type=torch.float32), split(1, 4)
    corpus = Corpus("tiny", WordVocabulary([f"w{i}" for i in range(5, 23)]), {"test": data}, "0" * 64, 19)
    outputs = ModelOutputs(built, corpus, EVAL)
    outputs.teacher_forced("test")
    value = measure(outputs, "test", "effective_context")[""]
    assert math.isfinite(value) and 0 <= value < 5
    assert not built.encoder.positions._forward_pre_hooks
    for metric in ("attention_entropy", "distractor_mass", "aer"):
        assert all(0.0 <= number <= 1.0 for number in measure(outputs, "test", metric).values())
