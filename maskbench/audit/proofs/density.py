"""Proof that the density a strategy gives in closed form is the counted share of kept pairs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from maskbench.audit.proofs.registry import ProofResult, proof
from maskbench.audit.subject import AuditCase
from maskbench.config.schema.experiment import PlacementConfig, Refresh
from maskbench.masks.base import AttentionMask
from maskbench.masks.clock import Clock
from maskbench.masks.context import Annotations, AttentionContext, AttentionRequest
from maskbench.masks.placement import PlacedStrategy
from maskbench.registry import MASKS

PATTERNS = 400
"""Number of patterns drawn and counted for a random strategy, whose density is an expectation."""
SIGMAS = 5.0
"""Allowed distance of claimed and counted density, in standard errors of the counted mean."""
LENGTHS = {
    "encoder_self": ((6, 6), (11, 11)),
    "decoder_self": ((6, 6), (11, 11)),
    "cross": ((5, 8), (9, 4)),
}
"""Pairs of query and key length tried at each site, in tokens."""


@proof("density", "density", "own")
@torch.no_grad()
def density(case: AuditCase) -> Iterable[ProofResult]:
    """Is the density a strategy claims the share of pairs it keeps?"""
    masks = [p for p in case.subject.placements if issubclass(MASKS.lookup(p.mask), AttentionMask)]
    found = [verdict for placement in masks for verdict in _of_one(case, placement)]
    if found:
        yield from found
    else:
        reason = "no density is given in closed form" if masks else "no pairs are chosen by position"
        yield ProofResult.skipped(reason)


def _of_one(case: AuditCase, placement: PlacementConfig) -> Iterable[ProofResult]:
    placed = _placed(case, placement)
    stochastic = placed.strategy.stochastic
    examples = torch.arange(PATTERNS if stochastic else 2)
    clock = Clock("train", 0, 100)
    options = placed.options_at(clock, 0, examples)
    for q_len, kv_len in LENGTHS[placed.site]:
        if max(q_len, kv_len) > case.subject.sizes.max_length:
            continue
        claimed = placed.strategy.density(options, q_len, kv_len)
        if claimed is None:
            continue
        counted = _counted(case, placed, options, request_of(case, examples, clock, q_len, kv_len))
        spread = float(counted.std()) / len(counted) ** 0.5
        off = abs(float(counted.mean()) - claimed)
        detail = (
            f"{placed.name}, {q_len} by {kv_len}: claims {claimed:.4f}, keeps {float(counted.mean()):.4f}"
        )
        yield ProofResult.at_most(off, SIGMAS * spread + 1e-9, detail)


def _placed(case: AuditCase, placement: PlacementConfig) -> PlacedStrategy:
    """Return the placement built; a random one draws a pattern per example, so that many are counted."""
    subject = case.subject
    if MASKS.lookup(placement.mask).stochastic:
        placement = placement.model_copy(update={"refresh": Refresh(per="example")})
    return PlacedStrategy(placement, 0, subject.sizes, subject.seed, subject.streams)


def request_of(case: AuditCase, examples: Tensor, clock: Clock, q_len: int, kv_len: int) -> AttentionRequest:
    """Return an attention request for sentences of these lengths, which repeat the first source's words."""
    plain = AttentionRequest.of_positions(
        torch.arange(q_len), torch.arange(kv_len), examples, clock, case.subject.sizes.n_heads
    )
    words = case.batch.src[0, : max(1, int(case.batch.src_lengths[0]) - 1)].cpu()
    rows = len(examples)
    return AttentionRequest(
        plain.query,
        plain.keys,
        plain.x,
        plain.q_idx,
        plain.kv_idx,
        plain.legal,
        torch.full((rows,), kv_len),
        examples,
        clock,
        words[torch.arange(kv_len) % len(words)].expand(rows, -1),
        words[torch.arange(q_len) % len(words)].expand(rows, -1),
        Annotations(torch.zeros(rows, kv_len).bool(), torch.zeros(rows, q_len, kv_len).bool()),
    )


def _counted(case: AuditCase, placed: PlacedStrategy, options: Any, request: AttentionRequest) -> Tensor:
    """Return `[examples]` shares of legal pairs that are kept, over all heads."""
    strategy, heads = placed.strategy, case.subject.sizes.n_heads
    assert isinstance(strategy, AttentionMask)
    context = AttentionContext(request, placed.site, 0, heads, placed.draws(request.clock, request.examples))
    shape = (len(request.examples), heads, len(request.q_idx), len(request.kv_idx))
    keep = strategy.keep(options, context).expand(shape)
    legal = torch.ones(shape[2:], dtype=torch.bool)
    legal = legal.tril() if placed.site == "decoder_self" else legal
    return (keep & legal).sum((1, 2, 3)).double() / (heads * int(legal.sum()))
