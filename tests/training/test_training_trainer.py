"""One training step: what it measures, what it leaves alone, and what padding, masks and streams do to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import config
from torch import Tensor

from maskbench.data import load_corpus
from maskbench.data.batches import Batch, collate
from maskbench.model.dropout import Dropout
from maskbench.training.trainer import Trainer, make_trainer

LOSS_TOKENS = {
    "site": "loss",
    "mask": "loss_tokens",
    "refresh": {"per": "example"},
    "options": {"ratio": 0.5},
}
BAN = {"site": "logits", "mask": "ban_tokens", "options": {"tokens": ["s1", "s2", "s3"]}}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def trainer_of(cache: Path, *, seed: int = 3, dropout: bool = True, **changes: Any) -> Trainer:
    chosen = config(**changes)
    trainer = make_trainer(chosen, load_corpus(chosen.corpus, cache), seed)
    for module in trainer.model.modules():
        if isinstance(module, Dropout) and not dropout:
            module.p = 0.0
    return trainer


def losses(trainer: Trainer, steps: int = 3) -> list[float]:
    return [trainer.update(*trainer.batch(step)).nll for step in range(steps)]


def rows(batch: Batch, chosen: slice) -> Batch:
    fields = (getattr(batch, name) for name in Batch.__dataclass_fields__)
    return Batch(*(None if field is None else field[chosen] for field in fields))


def measured(cache: Path, batch: Batch, **changes: Any) -> tuple[float, float, dict[str, Tensor]]:
    """Return loss, nll and gradients of one batch at the initial weights, without dropout."""
    trainer = trainer_of(cache, dropout=False, masks=changes.pop("masks", []), precision="float32")
    loss, nll = trainer.objective.backward(batch, trainer.batch(0)[1])
    grads = {n: p.grad for n, p in trainer.model.named_parameters() if p.grad is not None}
    return loss.item(), nll.item(), grads


@pytest.fixture(scope="module")
def batch(cache: Path) -> Batch:
    return trainer_of(cache).batch(0)[0]


def test_other_streams_and_seeds_change_the_numbers_and_stream_a_is_the_default(cache: Path) -> None:
    kinds = [{}, {"streams": "a"}, {"streams": "b"}, {"seed": 4}]
    default, a, b, other_seed = (losses(trainer_of(cache, **kind)) for kind in kinds)  # type: ignore[arg-type]
    assert default == a
    assert len({tuple(x) for x in (a, b, other_seed)}) == 3


def test_the_masks_of_an_arm_leave_batches_and_initial_weights_alone(cache: Path) -> None:
    masked, plain = trainer_of(cache), trainer_of(cache, masks=[])
    assert all(torch.equal(masked.batch(s)[0].ids, plain.batch(s)[0].ids) for s in range(8))
    weights = plain.model.state_dict()
    assert all(torch.equal(t, weights[n]) for n, t in masked.model.state_dict().items() if "masks" not in n)


def test_the_nll_is_the_mean_over_real_tokens_of_sentences_read_alone(cache: Path, batch: Batch) -> None:
    trainer = trainer_of(cache, dropout=False, masks=[], precision="float32")
    nlls: list[float] = []
    for i in batch.ids.numpy():
        alone = collate(trainer._split, batch.ids.numpy()[batch.ids.numpy() == i])
        log_p = trainer.model(alone, trainer.batch(0)[1]).log_softmax(-1)[0]
        nlls += [-log_p[t, int(word)].item() for t, word in enumerate(alone.tgt_out[0])]
    report = trainer.update(*trainer.batch(0))
    assert report.n_tokens == len(nlls)
    assert report.nll == pytest.approx(sum(nlls) / len(nlls), rel=1e-5)


@pytest.mark.parametrize("cut", [1, 2, 4])
def test_parts_of_a_batch_add_up_to_the_whole(cache: Path, batch: Batch, cut: int) -> None:
    whole = measured(cache, batch)
    parts = [rows(batch, slice(None, cut)), rows(batch, slice(cut, None))]
    sums = [measured(cache, part) for part in parts]
    shares = [part.n_tokens / batch.n_tokens for part in parts]
    assert sum(w * s[0] for w, s in zip(shares, sums, strict=True)) == pytest.approx(whole[0], rel=1e-5)
    assert sum(w * s[1] for w, s in zip(shares, sums, strict=True)) == pytest.approx(whole[1], rel=1e-5)
    for name, grad in whole[2].items():
        added = shares[0] * sums[0][2][name] + shares[1] * sums[1][2][name]
        torch.testing.assert_close(added, grad, rtol=1e-4, atol=1e-6)


def test_a_row_that_is_all_padding_changes_nothing(cache: Path, batch: Batch) -> None:
    def one_more(tensor: Tensor) -> Tensor:
        return torch.cat([tensor, torch.zeros_like(tensor[:1])])

    fields = (getattr(batch, name) for name in Batch.__dataclass_fields__)
    padded = Batch(*(None if field is None else one_more(field) for field in fields))
    assert_same(measured(cache, padded), measured(cache, batch))


def test_columns_of_padding_change_nothing(cache: Path) -> None:
    split = trainer_of(cache)._split
    by_length = split.src.lengths.argsort(kind="stable")
    tight = collate(split, by_length[:3])
    wide = rows(collate(split, by_length[[0, 1, 2, -1]]), slice(0, 3))
    assert wide.src.shape[1] > tight.src.shape[1]
    assert_same(measured(cache, wide), measured(cache, tight))


def assert_same(
    one: tuple[float, float, dict[str, Tensor]], other: tuple[float, float, dict[str, Tensor]]
) -> None:
    assert one[:2] == pytest.approx(other[:2], rel=1e-6)
    torch.testing.assert_close(one[2], other[2], rtol=1e-4, atol=1e-6)


def test_loss_masks_change_the_loss_and_never_the_nll(cache: Path, batch: Batch) -> None:
    plain, masked = measured(cache, batch), measured(cache, batch, masks=[LOSS_TOKENS])
    assert masked[1] == pytest.approx(plain[1], rel=1e-6)
    assert masked[0] != plain[0]


def test_logit_masks_change_the_loss_and_never_the_nll(cache: Path, batch: Batch) -> None:
    plain, masked = measured(cache, batch), measured(cache, batch, masks=[BAN])
    assert masked[1] == pytest.approx(plain[1], rel=1e-6)
    assert masked[0] < plain[0]


def test_a_loss_mask_that_leaves_no_token_gives_no_loss_and_no_gradient(cache: Path, batch: Batch) -> None:
    everything = {**LOSS_TOKENS, "options": {"ratio": 1.0}}
    loss, nll, grads = measured(cache, batch, masks=[everything])
    assert loss == 0.0 and nll > 0.0
    assert not any(grad.any() for grad in grads.values())


def test_a_penalty_is_part_of_the_loss_and_of_the_gradient_only(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainer_of(cache, dropout=False, masks=[], precision="float32")
    batch, clock = trainer.batch(0)
    loss, nll = trainer.objective.backward(batch, clock)
    weight = trainer.model.words.table("output")
    assert weight.grad is not None
    before, weight.grad = weight.grad, None
    trainer.optimiser.zero_grad(set_to_none=True)
    monkeypatch.setattr(trainer.model.masks, "penalty", lambda: 0.5 * weight.square().sum())
    more, same = trainer.objective.backward(batch, clock)
    assert same.item() == nll.item()
    assert more.item() == pytest.approx(loss.item() + 0.5 * weight.square().sum().item(), rel=1e-6)
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, before + weight.detach())


def test_a_step_draws_nothing_that_a_step_before_could_shift(cache: Path) -> None:
    """Dropout is seeded by the step: whatever was drawn in between, the numbers are the same."""
    trainer, disturbed = trainer_of(cache), trainer_of(cache)
    wanted = losses(trainer, 2)
    found = losses(disturbed, 1)
    torch.rand(1000)
    assert [*found, disturbed.update(*disturbed.batch(1)).nll] == wanted


def test_a_model_in_evaluation_mode_is_trained_with_dropout(cache: Path) -> None:
    trainer, evaluated = trainer_of(cache), trainer_of(cache)
    evaluated.model.eval()
    assert losses(evaluated) == losses(trainer)
