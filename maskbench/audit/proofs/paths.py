"""Proof that attention in blocks and the fused kernel give what one matrix of weights gives."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from torch import Tensor

from maskbench.audit.proofs.registry import ProofResult, proof
from maskbench.audit.subject import BLOCKED, EXACT, AuditCase
from maskbench.config.schema.experiment import ATTENTION_SITES
from maskbench.data.padding import real_tokens
from maskbench.masks.block_decision import reason_for_dense
from maskbench.masks.clock import Clock
from maskbench.model.attention_path import DENSE_ONLY
from maskbench.model.transformer import EncoderDecoder
from maskbench.model_audit.jacobian import fixed_direction
from maskbench.model_audit.rounding import difference, largest_score
from maskbench.randomness import seed_torch

FUSED = replace(BLOCKED, fused_share=0.0)
"""Every layer without biases by the fused kernel."""


@proof("attention paths", "invariance", "exact")
def attention_paths(case: AuditCase) -> Iterable[ProofResult]:
    """Do attention in blocks and the fused kernel give the scores and gradients of one matrix of weights?"""
    model = case.build()
    reasons = [
        reason_for_dense(model.masks, site, layer, clock)
        for clock in case.clocks
        for site in ATTENTION_SITES
        for layer in range(model.masks.sizes.layers(site))
        if not model.masks.is_empty(site)
    ]
    if reasons and all(reasons):
        yield ProofResult.skipped(str(reasons[0]))
        return
    for clock in case.clocks:
        model.attention_paths = DENSE_ONLY
        before = _scores_and_gradients(case, model, clock)
        limit = EXACT * max(1.0, *(largest_score(part) for part in before))
        for name, rules in (("in blocks", BLOCKED), ("fused", FUSED)):
            model.attention_paths = rules
            after = _scores_and_gradients(case, model, clock)
            moved = max(difference(a, b) for a, b in zip(after, before, strict=True))
            yield ProofResult.at_most(moved, limit, f"{clock.phase}, {name}")


def _scores_and_gradients(case: AuditCase, model: EncoderDecoder, clock: Clock) -> list[Tensor]:
    """Return the logits, and the gradient of a projection of the real ones in every parameter that has one."""
    model.train(False)
    model.zero_grad(set_to_none=True)
    seed_torch(3, case.subject.device)
    logits = model(case.batch, clock)
    real = real_tokens(case.batch.tgt_lengths, logits.shape[1])
    (logits @ fixed_direction(logits))[real].sum().backward()
    return [logits.detach()[real], *(p.grad.clone() for p in model.parameters() if p.grad is not None)]
