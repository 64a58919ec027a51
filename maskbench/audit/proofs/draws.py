"""Proof that random masks are redrawn exactly as often as their `refresh` says.

The output of one placement is examined alone: the picks of a token mask, the weights an attention mask
leaves, the factors of a gate. The input is so long that two draws rarely agree. Every visit sets torch's
generator to another state, so a mask that uses it shows more patterns than promised.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor

from maskbench.audit.generators import find_shared_draws
from maskbench.audit.proofs.registry import ProofResult, proof
from maskbench.audit.proofs.rows import recompute_weights
from maskbench.audit.subject import AuditCase
from maskbench.config.schema.experiment import ATTENTION_SITES, PlacementConfig, Refresh
from maskbench.data.vocabulary import N_SPECIAL
from maskbench.masks.clock import Clock
from maskbench.masks.context import Annotations, AttentionRequest, LogitContext, TokenInput
from maskbench.masks.placement import PlacedStrategy
from maskbench.masks.plan import MaskPlan
from maskbench.masks.random_draws import UNLIMITED
from maskbench.registry import MASKS

VISITS = 6
"""Number of visits, each in another epoch, whose patterns are compared."""
MOMENTS = (0.4, 0.05, 0.95, 0.7)
"""Shares of training, in [0, 1], tried in turn until the placement acts; a schedule may disable it."""
EXAMPLES, LENGTH = 48, 24
"""Number of sentences of the probe, and their largest length in tokens."""


class PlacementProbe:
    """Input for one placement: `EXAMPLES` sentences of the same words, so long that patterns differ."""

    def __init__(self, plan: MaskPlan, length: int) -> None:
        self.plan = plan
        self.length = length
        self.examples = torch.arange(EXAMPLES) + 100
        self.lengths = torch.full((EXAMPLES,), length)
        words = plan.sizes.vocab_size - N_SPECIAL
        # All sentences have the same words, so differences between answers come from draws.
        self.ids = (N_SPECIAL + torch.arange(length) * 7 % words).expand(EXAMPLES, length)
        marks = torch.arange(length) % 3 == 1
        self.annotations = Annotations(
            marks.expand(EXAMPLES, length), torch.eye(length).bool().expand(EXAMPLES, -1, -1)
        )

    def answer(self, placed: PlacedStrategy, clock: Clock) -> Tensor:
        """Return the complete output of the placement at `clock`, `[examples, anything]`."""
        if placed.site in ATTENTION_SITES:
            return torch.cat([self._attention(placed.site, layer, clock) for layer in placed.layers], -1)
        if placed.site == "loss":
            ones = torch.ones(EXAMPLES, self.length)
            losses = torch.linspace(0, 1, self.length).expand_as(ones)
            weights = self.plan.loss_weights(ones.bool(), self.examples, clock, lambda: losses)
            return ones if weights is None else weights
        if placed.site == "logits":
            return self._logits(clock)
        width = torch.linspace(0.5, 1.5, self.plan.sizes.d_model).expand(EXAMPLES, self.length, -1)
        if placed.site == "memory":
            return self.plan.gate_memory(width, clock, self.examples).flatten(1)
        masked = self.plan.corrupt(placed.site, self.ids, self.lengths, self.examples, clock)
        return self._tokens(placed.site, masked, clock)

    def _tokens(self, site: str, masked: TokenInput, clock: Clock) -> Tensor:
        x = torch.linspace(0.5, 1.5, self.plan.sizes.d_model).expand(*masked.ids.shape, -1)
        parts = [self.plan.modify_embeddings(site, x, masked, clock, self.examples).flatten(1), masked.ids]
        parts += [part for part in (masked.zeroed, masked.picked) if part is not None]
        lengths = self.lengths if masked.lengths is None else masked.lengths
        fill = 4 * self.length
        wide = torch.cat([part.double() for part in parts], 1)
        # Masks that move columns give other widths from visit to visit.
        return torch.cat((lengths[:, None].double(), torch.nn.functional.pad(wide, (0, fill))), 1)

    def _logits(self, clock: Clock) -> Tensor:
        scores = torch.linspace(0.5, 1.5, self.plan.sizes.vocab_size).expand(EXAMPLES, self.length, -1)
        context = LogitContext(self.ids, torch.arange(self.length), self.ids, self.lengths, clock)
        gated = self.plan.gate_logits(scores, clock, self.examples)
        return self.plan.mask_logits(gated, context, None, self.examples).flatten(1)

    def _attention(self, site: str, layer: int, clock: Clock) -> Tensor:
        index, heads = torch.arange(self.length), self.plan.sizes.n_heads
        d = self.plan.sizes.d_model // heads
        states = (torch.arange(self.length)[:, None] * 3.7 + torch.arange(d) * 1.3).sin()
        states = states.expand(EXAMPLES, heads, self.length, d)
        x = torch.linspace(-1, 1, self.plan.sizes.d_model).expand(EXAMPLES, self.length, -1)
        own = site == "decoder_self"
        request = AttentionRequest(
            states,
            states,
            x,
            index,
            index,
            torch.ones(1, 1, self.length, self.length, dtype=torch.bool),
            None if own else self.lengths,
            self.examples,
            clock,
            None if own else self.ids,
            None if site == "encoder_self" else self.ids,
            Annotations() if own else self.annotations,
        )
        decision = self.plan.decide_attention(site, layer, request)
        shape = (EXAMPLES, heads, self.length, self.length)
        gate = torch.ones(1, 1) if decision.head_gate is None else decision.head_gate
        parts = [recompute_weights(request, decision).expand(shape), decision.keep.expand(shape)]
        return torch.cat([*(p.flatten(1).double() for p in parts), gate.expand(EXAMPLES, heads).double()], 1)


def digest_patterns(stage: PlacementProbe, placed: PlacedStrategy, share: float) -> list[list[bytes]]:
    """Return, per visit, one digest of the output for each example, at `share` of training."""
    visits = []
    for visit in range(VISITS):
        torch.default_generator.manual_seed(visit)
        clock = Clock("train", round(share * 10**9) + visit, 10**9, epoch=visit)
        rows = stage.answer(placed, clock).contiguous().numpy()
        visits.append([hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in rows])
    return visits


@proof("draws", "draws", "own")
@torch.no_grad()
def draws(case: AuditCase) -> Iterable[ProofResult]:
    """Does a random mask have as many patterns as its refresh promises?"""
    random = [p for p in case.subject.placements if MASKS.lookup(p.mask).stochastic]
    if not random:
        yield ProofResult.skipped("nothing is drawn")
    for placement in random:
        yield from _of_one(case, placement)


def _of_one(case: AuditCase, placement: PlacementConfig) -> list[ProofResult]:
    subject = case.subject
    acting = placement.model_copy(update={"phases": ("train", "eval"), "freeze_at": None})
    arm = (acting, *subject.companions)
    plan = MaskPlan(arm, seed=subject.seed, streams=subject.streams, sizes=subject.sizes)
    placed = plan.placed[0]
    if any(s.name == "sample" or s.name.startswith("sample_") for s in placed.options.schedules().values()):
        return [ProofResult.skipped(f"{placed.name}: its options are drawn at every step as well")]
    refresh = placement.refresh or type(placed.strategy).default_refresh or Refresh(per="run")
    length = min(LENGTH, subject.sizes.max_length)
    bare = MaskPlan(subject.companions, seed=subject.seed, streams=subject.streams, sizes=subject.sizes)
    for share in MOMENTS:
        visits = digest_patterns(PlacementProbe(plan, length), placed, share)
        if visits != digest_patterns(PlacementProbe(bare, length), placed, share):
            break
    else:
        return [ProofResult.skipped(f"{placed.name}: it does nothing at the moments tried")]
    promised = _promised(refresh)
    seen = len({tuple(visit) for visit in visits})
    said = f"{placed.name}: {seen} patterns in {VISITS} visits, {promised} promised ({refresh.per})"
    if refresh.per != "example":
        # Few heads or gates have few patterns, so two draws may agree by chance; only an upper limit holds.
        return [ProofResult(min(2, promised) <= seen <= promised, float(seen), float(promised), said)]
    alike = len(set(visits[0])) == 1
    return [
        ProofResult(seen == promised, float(seen), float(promised), said),
        ProofResult(
            not alike,
            float(len(set(visits[0]))),
            2.0,
            f"{placed.name}: patterns of {EXAMPLES} examples, at least",
        ),
    ]


def _promised(refresh: Refresh) -> int:
    """Return the number of distinct patterns in `VISITS` visits by the refresh setting."""
    if refresh.per == "run":
        return 1
    return VISITS if refresh.variants == UNLIMITED else min(VISITS, int(refresh.variants))


@proof("own randomness", "draws", "own")
def own_draws_only(case: AuditCase) -> Iterable[ProofResult]:
    """Does a pass without dropout draw from keyed generators alone?"""
    for clock in case.clocks:
        used = find_shared_draws(case, clock)
        said = f"{clock.phase}: a mask draws from {' and '.join(used)}" if used else clock.phase
        yield ProofResult.at_most(float(len(used)), 0.0, said)
