"""Loss masks: which target tokens count, and what the loss is then the mean of."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers import TRAIN, losses_of, placement, plan, tiny_batch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from maskbench.masks.clock import Clock
from maskbench.masks.mask_audit import MaskAudit
from maskbench.masks.strategies.outputs.loss_tokens import LossTokensOptions


def weights_of(real: Tensor, losses: Tensor | None = None, clock: Clock = TRAIN, **options: Any) -> Tensor:
    def never() -> Tensor:
        raise AssertionError("a mask that does not need the losses asked for them")

    arm = plan(placement("loss", "loss_tokens", **options))
    weights = arm.loss_weights(
        real, torch.arange(len(real)), clock, never if losses is None else lambda: losses
    )
    assert weights is not None
    return weights


def real_tokens(lengths: list[int], width: int) -> Tensor:
    return torch.arange(width) < torch.tensor(lengths)[:, None]


def test_loss_tokens_leaves_out_the_asked_share_and_never_counts_padding():
    n, words = 4000, 6
    real = real_tokens([words] * n, words + 2)
    weights = weights_of(real, ratio=0.25)
    assert bool((weights[~real] == 0).all())
    assert weights[real].mean().item() == pytest.approx(0.75, abs=4 * (0.1875 / (n * words)) ** 0.5)


def hardest(losses: list[float], n: int, count: int) -> set[int]:
    """The positions of the `count` highest losses among the first n, the earlier of equals first, by a loop."""
    chosen: set[int] = set()
    for _ in range(count):
        left = [t for t in range(n) if t not in chosen]
        chosen.add(max(left, key=lambda t: (losses[t], -t)))
    return chosen


@given(st.lists(st.lists(st.integers(0, 4), min_size=8, max_size=8), min_size=1, max_size=4), st.data())
def test_highest_leaves_out_the_hardest_tokens_of_each_sentence(rows, data):
    lengths = [data.draw(st.integers(1, 8)) for _ in rows]
    losses = torch.tensor(rows, dtype=torch.float32)
    real = real_tokens(lengths, 8)
    weights = weights_of(real, losses, choose="highest", ratio=0.4, count="floor")
    for row, n, given_weights in zip(rows, lengths, weights.tolist(), strict=True):
        gone = hardest(row, n, int(0.4 * n + 1e-9))
        assert given_weights == [float(t < n and t not in gone) for t in range(8)]


def test_batch_mates_and_padding_do_not_change_what_is_hardest():
    lengths = [5, 8, 3]
    real = real_tokens(lengths, 8)
    losses = losses_of(real)
    whole = weights_of(real, losses, choose="highest", ratio=0.5)
    for i, n in enumerate(lengths):
        arm = plan(placement("loss", "loss_tokens", choose="highest", ratio=0.5))
        loss = losses[i : i + 1, :n]
        alone = arm.loss_weights(real[i : i + 1, :n], torch.tensor([i]), TRAIN, lambda loss=loss: loss)
        assert alone is not None and torch.equal(alone[0], whole[i, :n])


def test_counts_of_highest_are_rounded_without_bias():
    n, words = 3000, 5
    real = real_tokens([words] * n, words)
    losses = torch.rand(n, words, generator=torch.Generator().manual_seed(1))
    weights = weights_of(real, losses, choose="highest", ratio=0.15)
    gone = words - weights.sum(1)
    assert set(gone.tolist()) == {0.0, 1.0}
    assert float(gone.mean()) == pytest.approx(0.75, abs=4 * (0.1875 / n) ** 0.5)


def test_prefix_leaves_out_the_first_tokens():
    real = real_tokens([4, 1, 6], 6)
    assert weights_of(real, choose="prefix", first=2).tolist() == [
        [0, 0, 1, 1, 0, 0],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 1, 1, 1, 1],
    ]


def test_the_prefix_may_shrink_over_training():
    real = real_tokens([6], 6)
    options: dict[str, Any] = {"choose": "prefix", "first": {"linear": [4, 0]}}
    kept = [int(weights_of(real, clock=Clock("train", t, 100), **options).sum()) for t in (0, 50, 100)]
    assert kept == [2, 4, 6]


@pytest.mark.parametrize("choose", ["random", "highest"])
def test_every_example_may_have_a_ratio_of_its_own(choose):
    real = real_tokens([10] * 400, 10)
    weights = weights_of(
        real, losses_of(real), choose=choose, ratio={"sample_per_example": [0.0, 1.0]}, count="floor"
    )
    kept = weights.sum(1)
    assert len(set(kept.tolist())) == 10
    # floor(10 u) is uniform on 0 to 9.
    assert float(10 - kept.mean()) == pytest.approx(4.5, abs=4 * (8.25 / 400) ** 0.5)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "takes a ratio"),
        ({"ratio": 0.1, "first": 2}, "no `first`"),
        ({"choose": "prefix"}, "takes `first`"),
        ({"choose": "prefix", "first": 2, "ratio": 0.1}, "no ratio"),
        ({"choose": "highest"}, "takes a ratio"),
        ({"choose": "highest", "ratio": 0.1, "count": "bernoulli"}, "another count"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, reason):
    with pytest.raises(ValidationError, match=reason):
        LossTokensOptions.model_validate(options)


@pytest.mark.parametrize(
    "options", [{"ratio": 0.1}, {"choose": "prefix", "first": 3}, {"choose": "highest", "ratio": 0.2}]
)
def test_options_survive_dump_and_reparse(options):
    parsed = LossTokensOptions.model_validate(options)
    assert LossTokensOptions.model_validate(parsed.model_dump(mode="json")) == parsed


TAG = "mask/ratio/loss-loss_tokens-0"


def proof_of(steps: list[tuple[Clock, Tensor]], replayed: int, lines: list[dict[str, float]]) -> Any:
    """The proof of a run whose first steps an earlier process did; the log's lines are on disk."""
    arm = plan(placement("loss", "loss_tokens", choose="highest", ratio=0.4, count="floor"))
    arm.train()
    record, batch = MaskAudit(arm), tiny_batch()
    record.replay((batch, clock) for clock, _ in steps[:replayed])
    real = real_tokens(batch.tgt_lengths.tolist(), batch.tgt_out.shape[1])
    for clock, losses in steps[replayed:]:
        record.begin_step(batch, measure=True)
        arm.loss_weights(real, batch.ids, clock, lambda losses=losses: losses)
        lines.append(record.scalars())
    return record.entries(lines)


def test_a_resumed_run_that_reads_losses_ends_with_the_same_proof():
    generator = torch.Generator().manual_seed(2)
    steps = [(Clock("train", i, 6, epoch=i), torch.rand(3, 8, generator=generator)) for i in range(6)]
    logged: list[dict[str, float]] = []
    whole = proof_of(steps, 0, logged)
    # floor of 0.4 times 5, 8 and 3 tokens.
    assert logged == [{TAG: pytest.approx((2 + 3 + 1) / 16)}] * 6
    for done in (1, 4):
        assert proof_of(steps, done, logged[:done]) == whole
    (entry,) = whole
    assert entry["fingerprint"] is None and entry["distinct"] is None and entry["coverage"] is None
    assert entry["realised_ratio"] == pytest.approx(6 / 16)
    assert entry["visits"] == entry["draws"] == 18


def test_only_masks_that_choose_by_losses_do_without_a_fingerprint():
    for options, reads in [
        ({"ratio": 0.4}, False),
        ({"choose": "prefix", "first": 1}, False),
        ({"choose": "highest", "ratio": 0.4}, True),
    ]:
        arm = plan(placement("loss", "loss_tokens", **options))
        record = MaskAudit(arm)
        record.replay([(tiny_batch(), TRAIN)])
        (entry,) = record.entries([])
        assert (entry["fingerprint"] is None) is reads
