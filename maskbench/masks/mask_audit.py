"""The mask proof: a record of what a run's masks did in training, one entry per placement.

A `MaskAudit` observes every strategy call in training. An entry holds the number of visits and random draws,
the number of different patterns, a fingerprint of all patterns, the realised ratio of picked tokens and the
density of kept pairs. The realised ratio is a mean over all tokens; `ratio_by_sentence` says how it is spread
over the sentences. Masks are pure functions of keys, so a resumed run replays the earlier steps without a
model and gets the same record. A mask that reads the model's losses cannot be replayed: it has no
fingerprint, and its realised ratio is the mean of the logged ratios.

The record has a bounded size. A placement with more than `LARGEST` draws or patterns keeps those of a random share of the
examples (`maskbench.masks.unit_sample`): draws and patterns are then estimated, the fingerprint, the coverage and the
most patterns of one example are those of the kept examples, and the key `sample` says how many these are.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskbench.data.batches import Batch
from maskbench.data.padding import are_real, real_tokens
from maskbench.masks.base import AttentionMask, LossMask, Normaliser, TokenMask
from maskbench.masks.clock import Clock
from maskbench.masks.context import AttentionContext, AttentionDecision, AttentionRequest
from maskbench.masks.placement import PlacedStrategy
from maskbench.masks.plan import MaskPlan
from maskbench.masks.random_draws import Draws
from maskbench.masks.unit_sample import LARGEST, UnitSample

_SIDE, _SIDE_PER_EXAMPLE = 64, 16
"""Side of the square of pairs that is fingerprinted, in positions: for shared and per-example patterns."""

_DRAWS, _PATTERNS = 0, 1
"""Indices of the sets of a placement's sample."""


def _fingerprint(patterns: Iterable[object]) -> str:
    """Return 16 hex digits that identify a set of patterns, independent of their order."""
    digest = hashlib.blake2b(digest_size=8)
    for pattern in sorted(map(repr, patterns)):
        digest.update(pattern.encode())
    return digest.hexdigest()


@dataclass
class _Share:
    """Counts of a part and its whole, summed over a step or a run."""

    part: int = 0
    whole: int = 0

    def add(self, part: Tensor, whole: Tensor) -> None:
        self.part += int(part)
        self.whole += int(whole)

    @property
    def value(self) -> float | None:
        return self.part / self.whole if self.whole else None


@dataclass
class _PickRecord:
    """Picks of a token or loss mask."""

    reads_losses: bool = False
    """Whether picks depend on the losses; the proof then uses logged ratios, as it cannot replay picks."""
    sample: UnitSample[int] = field(default_factory=lambda: UnitSample.of(2))
    """By example: the keys of its draws, and its patterns, the picked positions as bits."""
    ever_picked: dict[int, int] = field(default_factory=dict)
    """By kept example: the positions picked at least once, as bits."""
    ever_eligible: dict[int, int] = field(default_factory=dict)
    """By kept example: the positions eligible at least once, as bits."""
    counts: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Visits by number of picked and of eligible tokens, where any is eligible."""
    run: _Share = field(default_factory=_Share)
    step: _Share = field(default_factory=_Share)

    def add(self, words: object, picked: Tensor, eligible: Tensor, examples: Tensor) -> None:
        counts = picked.sum(), eligible.sum()
        self.step.add(*counts)
        if not self.reads_losses:
            self.run.add(*counts)
            each = zip(picked.sum(1).tolist(), eligible.sum(1).tolist(), strict=True)
            self.counts.update((part, whole) for part, whole in each if whole)
        rows = zip(examples.tolist(), _bits(picked), _bits(eligible), strict=True)
        for example, bits, possible in rows:
            if not self.sample.visit(example):
                continue
            if words is not None:
                self.sample.add(_DRAWS, example, words)
            if not self.reads_losses:
                self.sample.add(_PATTERNS, example, bits)
                self.ever_picked[example] = self.ever_picked.get(example, 0) | bits
                self.ever_eligible[example] = self.ever_eligible.get(example, 0) | possible
        if self.sample.shrink():
            for positions in (self.ever_picked, self.ever_eligible):
                for example in positions.keys() - self.sample.visits.keys():
                    del positions[example]

    def entry(self, logged: float | None) -> dict[str, Any]:
        """Return the placement's part of the proof; `logged` is the mean of the logged ratios."""
        counts = {"visits": self.sample.all_visits, "draws": self.sample.estimate_by_visits(_DRAWS)}
        if self.reads_losses:
            unknown = dict.fromkeys(("distinct", "most_patterns_of_one_example", "fingerprint"))
            found = {
                **counts,
                **unknown,
                "realised_ratio": logged,
                "ratio_by_sentence": None,
                "coverage": None,
            }
            return {**found, **_told(self.sample)}
        patterns = self.sample.sets[_PATTERNS]
        picked, possible = (
            sum(map(int.bit_count, d.values())) for d in (self.ever_picked, self.ever_eligible)
        )
        return {
            **counts,
            "distinct": self.sample.estimate_by_visits(_PATTERNS),
            "most_patterns_of_one_example": max(map(len, patterns.values()), default=0),
            "fingerprint": _fingerprint(
                (example, bits) for example in patterns for bits in patterns[example]
            ),
            "realised_ratio": self.run.value,
            "ratio_by_sentence": _spread(self.counts),
            "coverage": picked / possible if possible else None,
            **_told(self.sample),
        }


def _told(sample: UnitSample[Any]) -> dict[str, Any]:
    """Return the key that says what the proof is estimated from; nothing where it is exact."""
    return {"sample": {"share": sample.share, "kept": len(sample.visits)}} if sample.level else {}


def _spread(counts: Mapping[tuple[int, int], int]) -> dict[str, float] | None:
    """Return how the share of picked tokens is spread over visits of sentences, all in [0, 1].

    A quantile is the smallest share that so many of the visits do not exceed. `untouched` and `whole` are the
    shares of visits with no token and with every eligible token picked. None without visits.

    Args:
        counts: visits by number of picked and of eligible tokens; at least one is eligible.
    """
    visits = sum(counts.values())
    if not visits:
        return None
    by_share: Counter[float] = Counter()
    for (part, whole), count in counts.items():
        by_share[part / whole] += count
    shares = sorted(by_share)
    reached = np.cumsum([by_share[share] for share in shares])
    quantiles = {"min": 0.0, "p5": 0.05, "median": 0.5, "p95": 0.95, "max": 1.0}
    spread = {name: shares[int(np.searchsorted(reached, q * visits))] for name, q in quantiles.items()}
    return {**spread, "untouched": by_share[0.0] / visits, "whole": by_share[1.0] / visits}


def _bits(rows: Tensor) -> list[int]:
    """Return every row of a boolean matrix as one integer; the first column is the lowest bit."""
    packed = np.packbits(rows.cpu().numpy(), axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in packed]


@dataclass
class _PatternRecord:
    """Draws and patterns of a strategy that is no token or loss mask."""

    sample: UnitSample[Any] = field(default_factory=lambda: UnitSample.of(2))
    """Draws and patterns, by example; each is a unit of its own where all examples share them."""
    is_shared: bool = False
    known: dict[int, set[object]] = field(default_factory=dict)
    """By example, 0 where all share them: options, key, layer and visit of the patterns that are already in `sample`."""
    n_known: int = 0
    step: _Share = field(default_factory=_Share)

    def is_new(self, example: int, situation: object) -> bool:
        """Whether the pattern is not in the sample yet; from now on it is known."""
        seen = self.known.setdefault(example, set())
        if situation in seen:
            return False
        seen.add(situation)
        self.n_known += 1
        return True

    def shrink(self) -> None:
        """Bound the sample and what is known of it."""
        self.sample.shrink()
        if self.n_known > LARGEST:
            # A pattern that was forgotten is computed once more and is the same.
            self.known.clear()
            self.n_known = 0

    def entry(self, density: float | None) -> dict[str, Any]:
        pictures = self.sample.sets[_PATTERNS].values()
        estimate = self.sample.estimate if self.is_shared else self.sample.estimate_by_visits
        return {
            "draws": estimate(_DRAWS),
            "distinct": estimate(_PATTERNS),
            "fingerprint": _fingerprint(picture for found in pictures for picture in found),
            "realised_ratio": None,
            "density": density,
            **_told(self.sample),
        }


class MaskAudit:
    """Observes a plan during training and records what its masks do."""

    reads_decisions = False

    def __init__(self, plan: MaskPlan) -> None:
        self._plan = plan
        self._picks = {
            p.label: _PickRecord(isinstance(p.strategy, LossMask) and p.strategy.reads_losses)
            for p in plan.placed
            if isinstance(p.strategy, TokenMask | LossMask)
        }
        self._patterns = {p.label: _PatternRecord() for p in plan.placed if p.label not in self._picks}
        self._measure = False
        self._target_lengths: Tensor | None = None
        plan.observer = self

    @property
    def measures_pairs(self) -> bool:
        """Whether the densities of attention masks are measured in this step."""
        return self._measure

    def begin_step(self, batch: Batch, *, measure: bool) -> None:
        """Start a training step.

        Args:
            measure: whether to measure the densities of attention masks in this step.
        """
        self._measure = measure
        self._target_lengths = batch.tgt_lengths
        for picks in self._picks.values():
            picks.step = _Share()
        for patterns in self._patterns.values():
            patterns.step = _Share()

    def observe_decision(self, site: str, layer: int, decision: AttentionDecision) -> None:
        """Do nothing: the proof records placements, not combined decisions."""

    def observe_picks(
        self, placed: PlacedStrategy, draws: Draws | None, picked: Tensor, eligible: Tensor, examples: Tensor
    ) -> None:
        """Record which tokens a token or loss mask picked (called by the plan)."""
        if self._plan.training:
            words = None if draws is None else draws.key.words
            self._picks[placed.label].add(words, picked, eligible, examples)

    def observe_use(self, placed: PlacedStrategy, clock: Clock, examples: Tensor) -> None:
        """Record the call of a gate, feature or logit mask (called by the plan)."""
        if self._plan.training:
            self._note(placed, 0, clock, examples)

    def observe_pattern(self, placed: PlacedStrategy, ctx: AttentionContext, keep: Tensor | None) -> None:
        """Record an attention strategy's pattern and, where asked for, its density (called by the plan)."""
        if not self._plan.training:
            return
        self._note(placed, ctx.layer, ctx.request.clock, ctx.request.examples)
        if self._measure:
            self._measure_density(placed, ctx, keep)

    def observe_pairs(self, placed: PlacedStrategy, ctx: AttentionContext, keep: Tensor) -> None:
        """Measure the density of a part of a pattern that `observe_pattern` was told of (called by the plan)."""
        if self._plan.training:
            self._measure_density(placed, ctx, keep)

    def _measure_density(self, placed: PlacedStrategy, ctx: AttentionContext, keep: Tensor | None) -> None:
        r = ctx.request
        real = self._real_queries(ctx)
        legal = (r.legal & real).expand(len(r.examples), ctx.n_heads, len(r.q_idx), len(r.kv_idx))
        share = self._patterns[placed.label].step
        if keep is not None:
            share.add((keep & legal).sum(), legal.sum())
        elif isinstance(placed.strategy, Normaliser):
            visible = legal.sum(-1)
            kept = placed.strategy.kept(placed.options_in(ctx), visible)
            if kept is not None:
                seen = visible.expand(-1, ctx.n_heads, -1).double()
                share.add(placed.restrict_to_heads(kept.double().expand_as(seen), seen).sum(), seen.sum())

    def _real_queries(self, ctx: AttentionContext) -> Tensor:
        """Return True on queries that are not padding, `[batch, 1, q, 1]`."""
        lengths = ctx.request.src_lengths if ctx.site == "encoder_self" else self._target_lengths
        assert lengths is not None  # begin_step has run
        return are_real(ctx.request.q_idx, lengths)[:, None, :, None]

    def _note(self, placed: PlacedStrategy, layer: int, clock: Clock, examples: Tensor) -> None:
        """Record the pattern in use; each different pattern is computed once."""
        record = self._patterns[placed.label]
        draws = placed.draws(clock, examples)
        words = None if draws is None else draws.key.words
        if not placed.varies_by_example and (draws is None or not draws.per_example):
            self._note_shared(record, placed, layer, clock, words)
            return
        sample = record.sample
        kept = [example for example in examples.tolist() if sample.visit(example)]
        visit = placed.effective_clock(clock).epoch if placed.varies_by_example else 0
        situation = (placed.options_json(clock, layer), words, layer, visit)
        new = [example for example in kept if record.is_new(example, situation)]
        if words is not None:
            for example in kept:
                sample.add(_DRAWS, example, words)
        if new:
            pictures = _pictures(placed, layer, clock, torch.tensor(new), self._plan.sizes.n_heads)
            for example, picture in zip(new, pictures, strict=True):
                sample.add(_PATTERNS, example, picture)
        record.shrink()

    def _note_shared(
        self, record: _PatternRecord, placed: PlacedStrategy, layer: int, clock: Clock, words: object
    ) -> None:
        """Record a pattern that all examples share; each draw and each pattern is a unit of its own."""
        record.is_shared = True
        sample: UnitSample[Any] = record.sample
        found: list[tuple[int, object]] = []
        if words is not None:
            found.append((_DRAWS, (words, 0)))
        if record.is_new(0, (placed.options_json(clock, layer), words, layer)):
            (picture,) = _pictures(
                placed, layer, clock, torch.zeros(1, dtype=torch.int64), self._plan.sizes.n_heads
            )
            found.append((_PATTERNS, picture))
        for index, unit in found:
            if sample.visit(unit):
                sample.add(index, unit, unit)
        record.shrink()

    def replay(self, steps: Iterable[tuple[Batch, Clock]]) -> None:
        """Record the steps that an earlier process did, without a model."""
        self._plan.train()
        for batch, clock in steps:
            self.begin_step(batch, measure=False)
            self._plan.corrupt("encoder_input", batch.src, batch.src_lengths, batch.ids, clock)
            self._plan.corrupt("decoder_input", batch.tgt_in, batch.tgt_lengths, batch.ids, clock)
            real = real_tokens(batch.tgt_lengths, batch.tgt_out.shape[1])
            self._plan.loss_weights(
                real, batch.ids, clock, partial(torch.zeros, real.shape, device=real.device)
            )
            for placed in self._plan.placed:
                if placed.label in self._patterns:
                    for layer in (n for n in placed.layers if placed.is_active(clock, n)):
                        self._note(placed, layer, clock, batch.ids)

    def scalars(self) -> dict[str, float]:
        """Return the ratios and densities of the current step, by TensorBoard tag."""
        found = [("ratio", label, r.step.value) for label, r in self._picks.items()]
        found += [("density", label, r.step.value) for label, r in self._patterns.items()]
        return {f"mask/{what}/{label}": value for what, label, value in found if value is not None}

    def entries(self, logged: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the proof: one entry per placement, in the arm's order.

        Args:
            logged: the lines of metrics.jsonl. The density of an attention mask, and the ratio of a mask
                that reads losses, are means of logged values.
        """
        entries = []
        for placed in self._plan.placed:
            oracle = "annotation" in placed.strategy.depends_on
            entry: dict[str, Any] = {"site": placed.site, "mask": placed.name, "oracle": oracle}
            entry["phases"] = list(placed.phases)
            # Parameters that `train_only` leaves out keep the values they start from.
            learned = list(placed.strategy.parameters())
            if learned:
                entry["trained"] = "train" in placed.phases and any(p.requires_grad for p in learned)
            picks = self._picks.get(placed.label)
            tag = f"mask/{'density' if picks is None else 'ratio'}/{placed.label}"
            values = [value for line in logged if (value := line.get(tag)) is not None]
            mean = sum(values) / len(values) if values else None
            if picks is None:
                entry |= self._patterns[placed.label].entry(mean)
            else:
                entry |= {**picks.entry(mean), "density": None}
            entries.append(entry)
        return entries


def _pictures(
    placed: PlacedStrategy, layer: int, clock: Clock, examples: Tensor, n_heads: int
) -> list[object]:
    """Return one digest per different pattern.

    For a mask that depends on positions only: the digest of its pattern over a fixed square of pairs, per
    example where patterns differ between examples. For others: the digest of the options and draws.
    """
    if not isinstance(placed.strategy, AttentionMask) or placed.strategy.depends_on:
        return [_digest(f"{placed.name}{text}".encode()) for text in _options(placed, layer, clock, examples)]
    draws = placed.draws(clock, examples)
    per_example = placed.varies_by_example or (draws is not None and draws.per_example)
    n = _SIDE_PER_EXAMPLE if per_example else _SIDE
    index, batch = torch.arange(n), len(examples)
    request = AttentionRequest.of_positions(index, index, examples, clock, n_heads)
    context = AttentionContext(request, placed.site, layer, n_heads, draws)
    options = placed.options_at(clock, layer, examples)
    keep = placed.compute_keep(options, context).expand(batch, n_heads, n, n)
    digests = [_digest(np.packbits(pattern).tobytes()) for pattern in keep.numpy()]
    # The example id is part of a per-example pattern, so equal patterns of two examples count as two.
    return list(zip(examples.tolist(), digests, strict=True)) if per_example else list(digests)


def _options(placed: PlacedStrategy, layer: int, clock: Clock, examples: Tensor) -> list[str]:
    """Return the options and draws in use as text: all that a result depends on besides the input.

    One text for all examples, or one per example where options or draws differ between examples.
    """
    draws = placed.draws(clock, examples)
    drawn = "" if draws is None else repr(draws.key.words)
    if not placed.varies_by_example:
        text = placed.options_json(clock, layer) + drawn
        own = draws is not None and draws.per_example
        return [f"{text} {example}" for example in examples.tolist()] if own else [text]
    each = [placed.options_at(clock, layer, examples[i : i + 1]) for i in range(len(examples))]
    return [
        f"{options!r} {drawn} {example}" for options, example in zip(each, examples.tolist(), strict=True)
    ]


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()
