"""Proofs that no prediction depends on later target tokens.

They test the whole model at every offset: a mean over a block of 64 tokens leaks from one position to 63
others, and a test of neighbours alone would find one leak in 64. Shapes are the same before and after a
change, so outputs must be bit-identical in every number format. Only `renormalise`, which computes with
hidden values and divides them out, is allowed its rounding error.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from maskbench.audit.proofs.changes import (
    replace_words,
    stack_batches,
    truncate_targets,
    with_other_padding,
    with_targets,
)
from maskbench.audit.proofs.registry import ProofResult, proof
from maskbench.audit.subject import AuditCase, largest_difference
from maskbench.config.schema.experiment import ATTENTION_SITES
from maskbench.data.batches import Batch
from maskbench.data.padding import real_tokens
from maskbench.masks.base import Normaliser
from maskbench.masks.clock import Clock
from maskbench.model.attention import CrossAttention, SelfAttention
from maskbench.model.transformer import EncoderDecoder
from maskbench.model_audit.rounding import largest_score

T = TypeVar("T")

AGREEMENT = 1e-6
"""Largest allowed difference of float64 logits between `hard` and `renormalise`."""


@proof("hard and renormalise agree", "rows", "exact")
def hard_and_renormalise_agree(case: AuditCase) -> Iterable[ProofResult]:
    """Do hiding before the softmax and dividing by what is left after it give the same scores?"""
    arm = case.subject.arm
    sites = {p.site for p in case.plan.placed if p.site in ATTENTION_SITES}
    normalised = {p.site for p in case.plan.placed if isinstance(p.strategy, Normaliser)}
    if case.plan.is_unsafe or not sites - normalised:
        yield ProofResult.skipped("no attention site is masked in one of the two ways")
        return
    clock = case.subject.train
    models = [
        case.build([p.model_copy(update={"apply": how}) if p.site in sites - normalised else p for p in arm])
        for how in ("hard", "renormalise")
        if how == "renormalise" or case.renormalises()
    ]
    real = real_tokens(case.batch.tgt_lengths, case.batch.tgt_in.shape[1])
    first = case.model if len(models) == 1 else models[0]
    hard, other = (case.logits(model, case.batch, clock)[real] for model in (first, models[-1]))
    yield ProofResult.at_most(largest_difference(hard, other), AGREEMENT)


FACTOR = 1000.0
"""Factor on queries and on keys: attention scores of 0.1 become 100,000."""


@torch.no_grad()
def enlarge_scores(case: AuditCase) -> tuple[EncoderDecoder, float]:
    """Return the case's model with enlarged attention scores, and the largest of them on its batch."""
    model = case.build()
    for module in model.modules():
        if isinstance(module, SelfAttention):
            module.qkv.weight[: 2 * module.qkv.in_features] *= FACTOR
        elif isinstance(module, CrossAttention):
            module.query.weight *= FACTOR
            module.key_value.weight[: module.key_value.in_features] *= FACTOR
    with _largest_score(model) as seen:
        case.logits(model, case.batch, case.subject.train)
    return model, max(seen)


@contextmanager
def _largest_score(model: EncoderDecoder) -> Iterator[list[float]]:
    """Within the context, append the largest absolute scaled score of every self-attention to the list."""
    seen: list[float] = []

    def note(layer: SelfAttention) -> Callable[[nn.Module, object, Tensor], None]:
        def noted(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            batch, length, _ = output.shape
            query, key, _value = output.float().view(batch, length, 3, layer.n_heads, -1).unbind(2)
            scores = torch.einsum("bihd,bjhd->bhij", query, key) / query.shape[-1] ** 0.5
            seen.append(float(scores.abs().max()))

        return noted

    layers = [m for m in model.modules() if isinstance(m, SelfAttention)]
    handles = [layer.qkv.register_forward_hook(note(layer)) for layer in layers]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


EXACT = 1e-10
"""Allowed float64 difference, relative to scores above 1, if shapes and so the order of sums differ."""
VISITS = 12
"""Number of draws of which a random mask must act in at least one."""


def leak_limit(case: AuditCase, scale: float) -> float:
    """Return how far a hidden token may move a score of size `scale`: 0, or the rounding of `renormalise`.

    `renormalise` rounds weights three times; in low precision one rounding of a weight can change a sum of a
    few dozen terms by as many units in the last place.
    """
    if not case.renormalises():
        return 0.0
    return 1e-12 if case.dtype == torch.float64 else 64 * case.eps * max(1.0, scale)


def later_changes(batch: Batch, vocab_size: int, *, single: bool) -> Iterator[tuple[int, Batch]]:
    """Yield `t` and a batch with all targets after t changed; with `single` also one with only t + 1."""
    for t in range(batch.tgt_in.shape[1] - 1):
        new = replace_words(batch.tgt_in, vocab_size, t)
        after = torch.arange(batch.tgt_in.shape[1], device=new.device) > t
        yield t, with_targets(batch, torch.where(after, new, batch.tgt_in))
        if single:
            only = batch.tgt_in.clone()
            only[:, t + 1] = new[:, t + 1]
            yield t, with_targets(batch, only)


def score_variants(
    case: AuditCase,
    model: EncoderDecoder,
    variants: Iterable[tuple[T, Batch]],
    scores: Callable[[EncoderDecoder, Batch], Tensor],
) -> Iterator[tuple[T, Tensor, Tensor]]:
    """Yield for every variant its name and the scores of the case's batch and of the variant, `[batch tgt anything]`.

    Copies of the batch pass the model together, and so do as many variants, in passes of at most `PASS_BYTES`. Each
    variant has the same row as its copy in a pass of the same shape, so scores that do not depend on the change are
    bit-identical. Variants of further passes are compared with the copies of the first, whose draws are the same.

    Args:
        variants: name and changed batch; each has the shape of the case's batch.
    """
    at_once = max(1, case.rows_at_once(case.batch) // len(case.batch.ids))
    rest, before = iter(variants), torch.empty(0)
    while piece := list(itertools.islice(rest, at_once)):
        names, changed = zip(*piece, strict=True)
        if len(before) != len(piece):
            before = _split(scores(model, stack_batches([case.batch] * len(piece))), len(piece))
        after = _split(scores(model, stack_batches(changed)), len(piece))
        yield from zip(names, before, after, strict=True)


def _split(scores: Tensor, n: int) -> Tensor:
    """Return the scores of `n` stacked batches, `[n batch tgt anything]`."""
    return scores.view(n, -1, *scores.shape[1:])


def measure_future_leak(
    case: AuditCase, model: EncoderDecoder, clock: Clock, *, dropout: bool, single: bool = True
) -> tuple[float, int, float]:
    """Return the largest change of scores up to t if later tokens change, that t, and the largest score."""
    worst, where, size = 0.0, 0, 0.0
    changes = later_changes(case.batch, case.subject.sizes.vocab_size, single=single)
    for t, before, after in score_variants(
        case, model, changes, lambda m, b: case.logits(m, b, clock, dropout=dropout)
    ):
        moved = largest_difference(after[:, : t + 1], before[:, : t + 1])
        worst, where = (moved, t) if moved > worst else (worst, where)
        size = max(size, largest_score(before))
    return worst, where, size


@proof("differs", "leaks", "both")
def mask_has_effect(case: AuditCase) -> Iterable[ProofResult]:
    """Does the arm do anything?"""
    subject = case.subject
    if not subject.placements:
        yield ProofResult.skipped("the arm has no masks")
        return
    if _claims_to_hide_nothing(case):
        yield ProofResult.skipped("it claims to keep every legal pair")
        return
    tries = [(case.batch, clock) for clock in (*case.clocks, *_other_visits(case))]
    if case.subject.longest is not None:
        tries.append((case.subject.longest.to(case.subject.device), case.subject.train))
    moved, least = 0.0, 0.0
    for batch, clock in tries:
        without = case.answers(case.plain, batch, clock)
        moved = largest_difference(case.answers(case.model, batch, clock), without)
        # A difference within rounding does not count.
        least = EXACT * max(1.0, largest_score(without)) if case.dtype == torch.float64 else 0.0
        if moved > least:
            break
    if moved <= least and subject.kind == "arm" and _waits_for_an_occasion(case):
        yield ProofResult.skipped("nothing in the sentences tried gives it occasion to act")
        return
    yield ProofResult(
        moved > least, moved, least, "" if moved > least else "at least: nothing the model says changes"
    )


def _waits_for_an_occasion(case: AuditCase) -> bool:
    """Whether the arm may act only rarely: it reads corpus annotations or the input, or is random."""
    audited = case.plan.placed[: len(case.subject.placements)]
    rare = {"annotation", "input"}
    return any(rare & p.strategy.depends_on or p.strategy.stochastic for p in audited)


def _other_visits(case: AuditCase) -> list[Clock]:
    """Return later clocks for random arms, which may by chance hide nothing in a few sentences."""
    if not any(placed.strategy.stochastic for placed in case.plan.placed):
        return []
    train = case.subject.train
    return [replace(train, step=train.step + n, epoch=train.epoch + n) for n in range(1, VISITS)]


def _claims_to_hide_nothing(case: AuditCase) -> bool:
    """Whether every audited placement gives a density of 1 for sentences of the largest length."""
    placed, n = case.plan.placed[: len(case.subject.placements)], case.subject.sizes.max_length
    return all(p.strategy.density(p.options_at(case.subject.train), n, n) == 1.0 for p in placed)


@proof("causality", "leaks", "both")
def causality(case: AuditCase) -> Iterable[ProofResult]:
    """Do scores at t stay when target tokens after t change, all of them and each alone?"""
    for clock in case.clocks:
        moved, t, size = measure_future_leak(case, case.model, clock, dropout=clock.phase == "train")
        where = f"{clock.phase}: tokens after {t} move scores at or before it" if moved else clock.phase
        yield ProofResult.at_most(moved, leak_limit(case, size), where)


@proof("truncation", "leaks", "exact")
def truncation(case: AuditCase) -> Iterable[ProofResult]:
    """Do scores up to t stay when the target ends after t?"""
    # If the plan is cacheable, the cached decoding proof covers evaluation.
    for clock in case.clocks[:1] if case.plan.cacheable else case.clocks:
        whole = case.logits(case.model, case.batch, clock)
        worst, where = 0.0, 0
        for t in range(1, whole.shape[1]):
            kept = case.logits(case.model, truncate_targets(case.batch, t), clock)
            real = real_tokens(case.batch.tgt_lengths, t)
            moved = largest_difference(kept[real], whole[:, :t][real])
            worst, where = (moved, t) if moved > worst else (worst, where)
        detail = (
            f"{clock.phase}: cutting the target after {where} tokens moves scores" if worst > EXACT else ""
        )
        yield ProofResult.at_most(worst, EXACT * max(1.0, largest_score(whole)), detail or clock.phase)


@proof("large scores", "leaks", "both")
def large_scores(case: AuditCase) -> Iterable[ProofResult]:
    """Does what is hidden stay hidden when scores are 10,000 and beyond?"""
    if case.renormalises():
        yield ProofResult.skipped("renormalise is declared for scores of unit scale")
        return
    model, largest = enlarge_scores(case)
    clock = case.subject.train
    future, _, _ = measure_future_leak(case, model, clock, dropout=False, single=False)
    real = case.logits(model, case.batch, clock)
    padding = case.logits(model, with_other_padding(case.batch, case.subject.sizes.vocab_size), clock)
    rows = real_tokens(case.batch.tgt_lengths, real.shape[1])
    worst = max(future, largest_difference(padding[rows], real[rows]))
    what = "later tokens" if future >= worst else "padding"
    yield ProofResult.at_most(worst, 0.0, f"scores up to {largest:.0e}" + (f": {what} leak" if worst else ""))
