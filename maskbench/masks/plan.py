"""Combine all masks of an arm, in one fixed order.

The model calls its plan at every site; the plan calls the strategies placed there and combines the results:

* inputs: token masks act in order, each receives the earlier picks; special tokens are never eligible;
* attention: boolean masks are ANDed with each other and with legality; biases and log-gates are summed; at
  most one normaliser; factors on the weights and head gates are multiplied. `maskbench.model.attention` then
  applies the decision according to the site's `apply` setting;
* inputs, memory and logits: gates are multiplied, logit masks ANDed (in training the gold token stays);
* loss: weights are multiplied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from maskbench.config.resolve.placement_rules import HARMLESS
from maskbench.config.schema.experiment import SMALL_FILL, Application, Legality, PlacementConfig
from maskbench.data.padding import are_real
from maskbench.data.vocabulary import N_SPECIAL
from maskbench.masks.base import (
    AttentionMask,
    HeadGate,
    InputFeature,
    LogitMask,
    LossMask,
    Normaliser,
    ScoreBias,
    ScoreGate,
    Strategy,
    TensorGate,
    TokenMask,
    WeightMask,
)
from maskbench.masks.block_cache import BlockCache
from maskbench.masks.clock import Clock
from maskbench.masks.context import (
    AttentionContext,
    AttentionDecision,
    AttentionRequest,
    GateContext,
    LogitContext,
    LossContext,
    Sizes,
    TokenContext,
    TokenInput,
)
from maskbench.masks.placement import PlacedStrategy, place_strategies, refuse_violations
from maskbench.masks.random_draws import Draws
from maskbench.masks.softmax import softmax

S = TypeVar("S", bound=Strategy)


class Observer(Protocol):
    """Receives the result of every strategy call; `maskbench.masks.mask_audit.MaskAudit` is one."""

    @property
    def reads_decisions(self) -> bool:
        """Whether it reads combined decisions, which exist only where a layer's weights are one matrix."""

    @property
    def measures_pairs(self) -> bool:
        """Whether it reads at present which pairs a pattern keeps."""

    def observe_picks(
        self, placed: PlacedStrategy, draws: Draws | None, picked: Tensor, eligible: Tensor, examples: Tensor
    ) -> None:
        """Receive the tokens that a token or loss mask picked, and the tokens that were eligible."""

    def observe_pattern(self, placed: PlacedStrategy, ctx: AttentionContext, keep: Tensor | None) -> None:
        """Receive an attention strategy's mask; `keep` is None for a strategy without a boolean mask."""

    def observe_pairs(self, placed: PlacedStrategy, ctx: AttentionContext, keep: Tensor) -> None:
        """Receive an attention mask at some of its queries, where `measures_pairs`; all of them, in several calls."""

    def observe_use(self, placed: PlacedStrategy, clock: Clock, examples: Tensor) -> None:
        """Receive the call of a tensor gate, an input feature or a logit mask."""

    def observe_decision(self, site: str, layer: int, decision: AttentionDecision) -> None:
        """Receive the combined decision for one layer of a site that has placements."""


class MaskPlan(nn.Module):
    """All masks of one arm. Learned masks are submodules, so they are trained and saved with the model."""

    def __init__(
        self, placements: Sequence[PlacementConfig], *, seed: int, streams: str, sizes: Sizes
    ) -> None:
        super().__init__()
        refuse_violations(placements, sizes)
        self.placed = place_strategies(list(placements), sizes, seed, streams)
        self.sizes = sizes
        self.observer: Observer | None = None
        self.kept: frozenset[str] = frozenset()
        """Labels of the placements that `take_kept` takes from another plan."""
        self.block_cache = BlockCache()
        self._use(self.placed)

    @property
    def reads_decisions(self) -> bool:
        """Whether an observer reads the combined decisions of attention layers."""
        return self.observer is not None and self.observer.reads_decisions

    def _use(self, placed: Sequence[PlacedStrategy]) -> None:
        self.placed = list(placed)
        for one in self.placed:
            self.add_module(one.label, one.strategy)
        self._by_site = {p.site: [q for q in self.placed if q.site == p.site] for p in self.placed}

    def take_kept(self, own: MaskPlan) -> None:
        """Put the placements of `own`, with their learned parameters, in place of those in `kept`.

        Raises:
            ValueError: `own` has not all of them.
        """
        theirs = {placed.label: placed for placed in own.placed}
        missing = self.kept - theirs.keys()
        if missing:
            raise ValueError(f"the plan keeps {', '.join(sorted(missing))}, which the model does not have")
        self._use([theirs[p.label] if p.label in self.kept else p for p in self.placed])

    def application(self, site: str) -> Application:
        """Return how attention applies the site's combined mask to the scores; "hard" by default."""
        return cast(Application, self._site_setting(site, "apply"))

    def legality(self, site: str) -> Legality:
        """Return which parts of legality (causality, padding) are enforced at a site; "full" by default."""
        return cast(Legality, self._site_setting(site, "legality"))

    def fill(self, site: str) -> float:
        """Return the score that hidden pairs get at a site under `apply: small_fill`."""
        fill = self._site_setting(site, "fill")
        return SMALL_FILL if fill is None else cast(float, fill)

    def _site_setting(self, site: str, key: str) -> str | float | None:
        # `placement_rules` refuses placements of a site that disagree, so there is at most one other value.
        harmless = HARMLESS[key]
        values = (getattr(p.placement, key) for p in self._by_site.get(site, ()))
        return next((value for value in values if value != harmless), harmless)

    @property
    def is_unsafe(self) -> bool:
        """Whether hidden positions influence the output at some site."""
        return any(p.placement.leaks for p in self.placed)

    def frozen_parameters(self, clock: Clock) -> list[nn.Parameter]:
        """Return the learned parameters of the placements that are past their `freeze_at`."""
        return [q for p in self.placed if p.is_frozen(clock) for q in p.strategy.parameters()]

    @property
    def cacheable(self) -> bool:
        """Whether decoding may keep keys and values instead of recomputing the prefix.

        False where `decoder_self` leaks: earlier states then change as the prefix grows.
        """
        leaks = any(p.placement.leaks for p in self._by_site.get("decoder_self", ()))
        return not leaks and all(p.strategy.cacheable for p in self.placed if "eval" in p.phases)

    def is_empty(self, site: str) -> bool:
        """Whether nothing is placed at `site`."""
        return site not in self._by_site

    def acting(
        self, site: str, kind: type[S], clock: Clock, layer: int = 0
    ) -> Iterator[tuple[PlacedStrategy, S]]:
        """Yield the placements at `site` whose strategy is a `kind` and is active in this phase and layer.

        In the order of the arm's configuration.
        """
        for placed in self._by_site.get(site, ()):
            if isinstance(placed.strategy, kind) and placed.is_active(clock, layer):
                yield placed, placed.strategy

    def corrupt(
        self,
        site: str,
        ids: Int[Tensor, "batch len"],
        lengths: Int[Tensor, "batch"],
        examples: Int[Tensor, "batch"],
        clock: Clock,
        start: int = 0,
    ) -> TokenInput:
        """Return the input after every token mask at `site`.

        Args:
            lengths: true lengths in tokens; later columns are padding.
            start: the position of the first column; not 0 in cached decoding.
        """
        current = TokenInput(ids)
        masks = list(self.acting(site, TokenMask, clock))
        if not masks:
            return current
        positions = torch.arange(start, start + ids.shape[1], device=ids.device)
        eligible = are_real(positions, lengths) & (ids >= N_SPECIAL)
        for placed, strategy in masks:
            draws = placed.draws(clock, examples)
            context = TokenContext(current, eligible, positions, draws, lengths, examples)
            changed, picked = strategy.change(placed.options_at(clock, 0, examples), context)
            if self.observer is not None:
                self.observer.observe_picks(placed, draws, picked, eligible, examples)
            if changed.origin is current.origin:
                # A picked token is not eligible for later masks, so no token is picked twice.
                before = changed.picked
                current = replace(changed, picked=picked if before is None else before | picked)
                eligible = eligible & ~picked
            else:
                # The mask moved columns, so positions and eligibility are computed again; `rearranged` moved
                # the earlier picks along and marked new tokens as picked.
                current = changed
                lengths = lengths if current.lengths is None else current.lengths
                positions = torch.arange(start, start + current.ids.shape[1], device=ids.device)
                real = are_real(positions, lengths) & (current.ids >= N_SPECIAL)
                eligible = real if current.picked is None else real & ~current.picked
        return current

    def modify_embeddings(
        self,
        site: str,
        x: Float[Tensor, "batch len d_model"],
        tokens: TokenInput,
        clock: Clock,
        examples: Int[Tensor, "batch"],
        start: int = 0,
    ) -> Float[Tensor, "batch len d_model"]:
        """Return the embeddings times every gate at `site`, plus every input feature there.

        Features read the gated embeddings, not each other's results.
        """
        x = self._gated(site, x, clock, examples, start)
        added = []
        for placed, strategy in self.acting(site, InputFeature, clock):
            added.append(strategy.feature(placed.options_at(clock, 0, examples), x, tokens))
            self._tell_used(placed, clock, examples)
        return torch.stack([x, *added]).sum(0) if added else x

    def _gated(
        self,
        site: str,
        x: Float[Tensor, "batch len width"],
        clock: Clock,
        examples: Int[Tensor, "batch"],
        start: int,
    ) -> Float[Tensor, "batch len width"]:
        for placed, strategy in self.acting(site, TensorGate, clock):
            positions = torch.arange(start, start + x.shape[1], device=x.device)
            draws = placed.draws(clock, examples)
            gate = strategy.gate(placed.options_at(clock, 0, examples), x, GateContext(positions, draws))
            x = x * gate.to(x.dtype)
            self._tell_used(placed, clock, examples)
        return x

    def _tell_used(self, placed: PlacedStrategy, clock: Clock, examples: Tensor) -> None:
        if self.observer is not None:
            self.observer.observe_use(placed, clock, examples)

    def decide_attention(self, site: str, layer: int, request: AttentionRequest) -> AttentionDecision:
        """Return the combined mask, bias, normaliser, factors and head gate of one attention layer."""
        # Start from legality: AND only removes pairs, so no strategy can make an illegal pair visible. A row
        # without any kept pair stays empty here; under `apply: hard` attention outputs zeros for it.
        decision = AttentionDecision(request.legal, apply=self.application(site), fill=self.fill(site))
        for placed, _ in self.acting(site, Strategy, request.clock, layer):
            decision = self._combine(decision, placed, self.context(placed, layer, request))
        if self.observer is not None:
            self.observer.observe_decision(site, layer, decision)
        return decision

    def decide_attention_alone(
        self, placed: PlacedStrategy, layer: int, request: AttentionRequest
    ) -> AttentionDecision:
        """Return an attention layer's decision as if `placed` were the only placement; for pictures."""
        context = self.context(placed, layer, request)
        return self._combine(AttentionDecision(request.legal), placed, context)

    def context(self, placed: PlacedStrategy, layer: int, request: AttentionRequest) -> AttentionContext:
        """Return what a placement's attention strategy is asked with, its random draws included."""
        draws = placed.draws(request.clock, request.examples)
        return AttentionContext(request, placed.site, layer, self.sizes.n_heads, draws)

    def _combine(
        self, decision: AttentionDecision, placed: PlacedStrategy, ctx: AttentionContext
    ) -> AttentionDecision:
        strategy, options = placed.strategy, placed.options_in(ctx)
        # AND, sum and product do not depend on the order of the placements (up to rounding).
        keep = None
        if isinstance(strategy, AttentionMask):
            keep = placed.keep(options, ctx)
            decision = replace(decision, keep=decision.keep & keep)
        elif isinstance(strategy, ScoreBias | ScoreGate):
            bias, keep = placed.bias(options, ctx)
            if keep is not None:
                decision = replace(decision, keep=decision.keep & keep)
            decision = replace(decision, bias=bias if decision.bias is None else decision.bias + bias)
        elif isinstance(strategy, WeightMask):
            factors = placed.restrict_to_heads(strategy.factors(options, ctx), 1.0)
            factors = factors if decision.factors is None else decision.factors * factors
            decision = replace(decision, factors=factors)
        elif isinstance(strategy, HeadGate):
            gate = placed.head_gate(options, ctx)
            decision = replace(
                decision, head_gate=gate if decision.head_gate is None else decision.head_gate * gate
            )
        elif isinstance(strategy, Normaliser):
            decision = replace(decision, normaliser=partial(_normalise, placed, strategy, options, ctx))
        if self.observer is not None:
            self.observer.observe_pattern(placed, ctx, keep)
        return decision

    def gate_memory(
        self, memory: Float[Tensor, "batch src d_model"], clock: Clock, examples: Int[Tensor, "batch"]
    ) -> Float[Tensor, "batch src d_model"]:
        """Return the encoder output times every gate at `memory`."""
        return self._gated("memory", memory, clock, examples, 0)

    def gate_logits(
        self,
        logits: Float[Tensor, "batch len vocab"],
        clock: Clock,
        examples: Int[Tensor, "batch"],
        start: int = 0,
    ) -> Float[Tensor, "batch len vocab"]:
        """Return the vocabulary scores times every gate at `logits`.

        Args:
            start: the position of the first row.
        """
        return self._gated("logits", logits, clock, examples, start)

    def mask_logits(
        self,
        logits: Float[Tensor, "batch len vocab"],
        ctx: LogitContext,
        gold: Int[Tensor, "batch len"] | None,
        examples: Int[Tensor, "batch"],
    ) -> Float[Tensor, "batch len vocab"]:
        """Return the vocabulary scores with -inf for every entry that a logit mask hides.

        Args:
            gold: the target tokens, never hidden; None in decoding.
        """
        keep: Tensor | None = None
        for placed, mask in self.acting("logits", LogitMask, ctx.clock):
            draws = placed.draws(ctx.clock, examples)
            allowed = mask.allowed(placed.options_at(ctx.clock, 0, examples), ctx.with_draws(draws))
            self._tell_used(placed, ctx.clock, examples)
            keep = allowed if keep is None else keep & allowed
        if keep is None:
            return logits
        keep = keep.expand(logits.shape)
        if gold is not None:
            # A hidden gold token would have probability 0 and an infinite loss.
            keep = keep.scatter(-1, gold.unsqueeze(-1), True)
        return logits.masked_fill(~keep, -torch.inf)

    def loss_weights(
        self,
        real: Bool[Tensor, "batch len"],
        examples: Int[Tensor, "batch"],
        clock: Clock,
        losses: Callable[[], Float[Tensor, "batch len"]],
    ) -> Float[Tensor, "batch len"] | None:
        """Return the weight of every target token in the training loss, the product of all loss masks.

        None where no loss mask acts: every weight is then 1.

        Args:
            real: True on target tokens and their end mark, False on padding.
            losses: returns the negative log-likelihood of every real token, for masks that read it.
        """
        product: Tensor | None = None
        for placed, strategy in self.acting("loss", LossMask, clock):
            draws = placed.draws(clock, examples)
            weights = strategy.weights(
                placed.options_at(clock, 0, examples), LossContext(real, draws, losses)
            )
            if self.observer is not None:
                self.observer.observe_picks(placed, draws, real & (weights == 0), real, examples)
            product = weights if product is None else product * weights
        return product

    def penalty(self) -> Tensor | None:
        """Return the sum of the penalties of strategies that act in training; None without penalties."""
        trained = [placed for placed in self.placed if "train" in placed.phases]
        penalties = [p for t in trained if (p := t.strategy.penalty(t.active_heads())) is not None]
        return torch.stack(penalties).sum() if penalties else None


def _normalise(
    placed: PlacedStrategy,
    strategy: Normaliser,
    options: object,
    ctx: AttentionContext,
    scores: Tensor,
    keep: Tensor,
) -> Tensor:
    """Return attention weights: by the normaliser in the placement's heads, by the softmax in the others."""
    return placed.restrict_to_heads(strategy.weights(options, scores, keep, ctx), softmax(scores))
