"""Proof that attention in blocks and the fused kernel give what one matrix of weights gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from maskbench.audit.proofs.leaks import EXACT, largest_score
from maskbench.audit.proofs.registry import ProofResult, proof
from maskbench.audit.subject import AuditCase, largest_difference
from maskbench.masks.block_decision import reason_for_dense
from maskbench.masks.clock import Clock
from maskbench.model.attention_path import DENSE_ONLY, PathRules
from maskbench.model.transformer import EncoderDecoder
from maskbench.randomness import seed_torch

BLOCKED = PathRules(smallest=1, rows=4, fused_share=2.0)
"""Every layer in blocks of four queries, so that short sentences have several blocks."""
FUSED = PathRules(smallest=1, rows=4, fused_share=0.0)
"""Every layer without biases by the fused kernel."""


@proof("attention paths", "invariance", "exact")
def attention_paths(case: AuditCase) -> Iterable[ProofResult]:
    """Do attention in blocks and the fused kernel give the scores and gradients of one matrix of weights?"""
    model = case.build()
    dense = [reason for clock in case.clocks for reason in _reasons(model, clock)]
    if dense and not any(_may_leave(model, clock) for clock in case.clocks):
        yield ProofResult.skipped(dense[0])
        return
    for clock in case.clocks:
        model.attention_paths = DENSE_ONLY
        before = _scores_and_gradients(case, model, clock)
        limit = EXACT * max(1.0, *(largest_score(part) for part in before))
        for name, rules in (("in blocks", BLOCKED), ("fused", FUSED)):
            model.attention_paths = rules
            after = _scores_and_gradients(case, model, clock)
            moved = max(largest_difference(a, b) for a, b in zip(after, before, strict=True))
            yield ProofResult.at_most(moved, limit, f"{clock.phase}, {name}")


def _layers(model: EncoderDecoder) -> Iterator[tuple[str, int]]:
    for site in ("encoder_self", "decoder_self", "cross"):
        yield from ((site, layer) for layer in range(model.masks.sizes.layers(site)))


def _reasons(model: EncoderDecoder, clock: Clock) -> list[str]:
    """Return why layers need one matrix of weights; empty if none does."""
    found = (reason_for_dense(model.masks, site, layer, clock) for site, layer in _layers(model))
    return [reason for reason in found if reason is not None]


def _may_leave(model: EncoderDecoder, clock: Clock) -> bool:
    """Whether some layer of a site with placements may be computed in another way."""
    placed = [(site, layer) for site, layer in _layers(model) if not model.masks.is_empty(site)]
    return any(reason_for_dense(model.masks, site, layer, clock) is None for site, layer in placed)


def _scores_and_gradients(case: AuditCase, model: EncoderDecoder, clock: Clock) -> list[Tensor]:
    """Return the logits, and the gradient of a projection of the real ones in every parameter that has one."""
    model.train(False)
    model.zero_grad(set_to_none=True)
    seed_torch(3, case.subject.device)
    logits = model(case.batch, clock)
    direction = torch.linspace(0.3, 1.7, logits.shape[-1], device=logits.device, dtype=logits.dtype).cos()
    real = torch.arange(logits.shape[1], device=logits.device) < case.batch.tgt_lengths[:, None]
    (logits @ direction)[real].sum().backward()
    return [logits.detach()[real], *(p.grad.clone() for p in model.parameters() if p.grad is not None)]
