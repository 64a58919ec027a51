"""Proofs that cached decoding gives the scores of a whole pass, and that evaluation is deterministic."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from maskbench.audit.generators import find_shared_draws
from maskbench.audit.proofs.leaks import EXACT
from maskbench.audit.proofs.registry import ProofResult, proof
from maskbench.audit.subject import AuditCase, largest_difference
from maskbench.data.padding import real_tokens
from maskbench.masks.context import LogitContext
from maskbench.model.cache import DecoderCache
from maskbench.model_audit.rounding import largest_score


def decoded(case: AuditCase, pieces: Sequence[tuple[int, int]], cache: DecoderCache | None) -> Tensor:
    """Return the logits of the batch's targets, computed per `(start, end)` piece as in decoding."""
    model, batch, clock = case.model.eval(), case.batch, case.subject.evaluation
    masks, found = model.masks, []
    with torch.no_grad():
        inputs, source = model.read(batch, clock)
        memory = model.encode(inputs, source, clock)
        for start, end in pieces:
            so_far = torch.full_like(batch.tgt_lengths, end)
            tokens = masks.corrupt(
                "decoder_input", batch.tgt_in[:, start:end], so_far, batch.ids, clock, start=start
            )
            hidden = model.decode(tokens, memory, source, clock, cache=cache)
            gated = masks.gate_logits(model.logits(hidden), clock, batch.ids, start)
            context = LogitContext(
                batch.tgt_in[:, :end],
                torch.arange(start, end, device=batch.src.device),
                batch.src,
                batch.src_lengths,
                clock,
            )
            found.append(masks.mask_logits(gated, context, None, batch.ids))
    return torch.cat(found, 1)


@proof("cached decoding", "decoding", "exact")
def cached_decoding(case: AuditCase) -> Iterable[ProofResult]:
    """Are scores from cached keys and values those of a whole pass?"""
    if not case.plan.cacheable:
        names = sorted({p.name for p in case.plan.placed if not p.strategy.cacheable})
        yield ProofResult.skipped(f"{', '.join(names)}: decoding recomputes the prefix, as declared")
        return
    length = case.batch.tgt_in.shape[1]
    whole = decoded(case, [(0, length)], None)
    cache = DecoderCache(case.subject.sizes.decoder_layers, length)
    steps = decoded(case, [(t, t + 1) for t in range(length)], cache)
    real = real_tokens(case.batch.tgt_lengths, length)
    yield ProofResult.at_most(
        largest_difference(steps[real], whole[real]), EXACT * max(1.0, largest_score(whole))
    )


@proof("own randomness", "draws", "own")
def own_draws_only(case: AuditCase) -> Iterable[ProofResult]:
    """Does a pass without dropout draw from keyed generators alone?"""
    for clock in case.clocks:
        used = find_shared_draws(case, clock)
        said = f"{clock.phase}: a mask draws from {' and '.join(used)}" if used else clock.phase
        yield ProofResult.at_most(float(len(used)), 0.0, said)


@proof("evaluation repeats", "decoding", "both")
def evaluation_repeats(case: AuditCase) -> Iterable[ProofResult]:
    """Is an evaluation the same in another epoch and another state of torch's generator?"""
    clock = case.subject.evaluation
    first = case.unchanged(clock)
    again = case.answers(case.model, case.batch, replace(clock, epoch=clock.epoch + 7), seed=4)
    yield ProofResult.at_most(
        largest_difference(again, first), 0.0, "another epoch and another state of torch's generator"
    )
