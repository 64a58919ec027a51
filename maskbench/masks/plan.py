"""An arm's masks, combined in one fixed order.

The model asks its plan at every site; the plan asks the strategies placed there and combines their answers:

* inputs: token masks act in order, each seeing what the earlier ones picked; special tokens are never offered;
* attention: masks are ANDed as booleans and legality has the last word; biases and log-gates are summed; at most one
  normaliser; head gates are multiplied. `maskbench.model.attention` then applies the decision;
* memory and logits: gates are multiplied, logit masks ANDed (in training the gold token always stays);
* loss: weights are multiplied.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from maskbench.config.schema import PlacementConfig
from maskbench.data.vocabulary import N_SPECIAL
from maskbench.errors import ConfigError
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
)
from maskbench.masks.clock import Clock
from maskbench.masks.context import (
    AttentionContext,
    AttentionDecision,
    AttentionRequest,
    LossContext,
    Sizes,
    TokenContext,
    TokenInput,
)
from maskbench.masks.draws import Draws
from maskbench.masks.placed import Placed, place

S = TypeVar("S", bound=Strategy)


class Observer(Protocol):
    """Sees every answer that training uses; the mask proof is one (`maskbench.masks.proof`)."""

    def picks(
        self, placed: Placed, draws: Draws | None, picked: Tensor, eligible: Tensor, examples: Tensor
    ) -> None:
        """See which tokens a token or loss mask picked among the eligible ones."""

    def pattern(self, placed: Placed, ctx: AttentionContext, keep: Tensor | None) -> None:
        """See what an attention strategy answered; `keep` is None where it hides nothing by itself."""


class MaskPlan(nn.Module):
    """Every mask of one arm. Learned masks are its submodules, so they are trained and saved with the model."""

    def __init__(
        self, placements: Sequence[PlacementConfig], *, seed: int, streams: str, sizes: Sizes
    ) -> None:
        super().__init__()
        self.placed = place(list(placements), sizes, seed, streams)
        self.sizes = sizes
        self.observer: Observer | None = None
        for placed in self.placed:
            self.add_module(placed.label, placed.strategy)
        self._by_site = {p.site: [q for q in self.placed if q.site == p.site] for p in self.placed}
        for site, here in self._by_site.items():
            if sum(isinstance(p.strategy, Normaliser) for p in here) > 1:
                raise ConfigError(f"{site} has two normalisers; at most one can turn scores into weights")

    @property
    def cacheable(self) -> bool:
        """Whether decoding may keep keys and values instead of recomputing the prefix."""
        return all(p.strategy.cacheable for p in self.placed if "eval" in p.phases)

    def is_empty(self, site: str) -> bool:
        """Whether nothing is placed at `site`."""
        return site not in self._by_site

    def _acting(self, site: str, kind: type[S], clock: Clock, layer: int = 0) -> Iterator[tuple[Placed, S]]:
        """Return the placements at `site` whose strategy is of `kind` and acts now, in the arm's order."""
        for placed in self._by_site.get(site, ()):
            if isinstance(placed.strategy, kind) and placed.acts(clock, layer):
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
            lengths: true lengths; tokens beyond them are padding.
            start: the position of the first column (in cached decoding not 0).
        """
        current = TokenInput(ids)
        masks = list(self._acting(site, TokenMask, clock))
        if not masks:
            return current
        positions = torch.arange(start, start + ids.shape[1], device=ids.device)
        eligible = (positions < lengths[:, None]) & (ids >= N_SPECIAL)
        for placed, strategy in masks:
            draws = placed.draws(clock, examples)
            context = TokenContext(current, eligible, positions, draws)
            current, picked = strategy.change(placed.at(clock), context)
            if self.observer is not None:
                self.observer.picks(placed, draws, picked, eligible, examples)
            eligible = eligible & ~picked
            before = current.picked
            current = replace(current, picked=picked if before is None else before | picked)
        return current

    def features(
        self, site: str, x: Float[Tensor, "batch len d_model"], tokens: TokenInput, clock: Clock
    ) -> Float[Tensor, "batch len d_model"]:
        """Return the embeddings plus every input feature at `site`."""
        added = [s.feature(p.at(clock), x, tokens) for p, s in self._acting(site, InputFeature, clock)]
        return torch.stack([x, *added]).sum(0) if added else x

    def attention(self, site: str, layer: int, request: AttentionRequest) -> AttentionDecision:
        """Return what one attention layer may look at, and with which bias."""
        # An AND can only close pairs, so starting from legality no answer can open an illegal one.
        decision = AttentionDecision(request.legal)
        for placed, _ in self._acting(site, Strategy, request.clock, layer):
            draws = placed.draws(request.clock, request.examples)
            context = AttentionContext(request, site, layer, self.sizes.n_heads, draws)
            decision = self._combine(decision, placed, context)
        return decision

    def _combine(
        self, decision: AttentionDecision, placed: Placed, ctx: AttentionContext
    ) -> AttentionDecision:
        strategy, at = placed.strategy, placed.at(ctx.request.clock, ctx.layer)
        keep = None
        if isinstance(strategy, AttentionMask):
            keep = placed.on_heads_keep(strategy.keep(at, ctx))
            decision = replace(decision, keep=decision.keep & keep)
        elif isinstance(strategy, ScoreBias | ScoreGate):
            bias = strategy.bias(at, ctx) if isinstance(strategy, ScoreBias) else strategy.log_gate(at, ctx)
            bias = placed.on_heads(bias, 0.0)
            decision = replace(decision, bias=bias if decision.bias is None else decision.bias + bias)
        elif isinstance(strategy, HeadGate):
            gate = placed.on_heads(strategy.head_gate(at, ctx), 1.0)
            decision = replace(
                decision, head_gate=gate if decision.head_gate is None else decision.head_gate * gate
            )
        elif isinstance(strategy, Normaliser):
            decision = replace(decision, normaliser=partial(_normalise, placed, strategy, at))
        if self.observer is not None:
            self.observer.pattern(placed, ctx, keep)
        return decision

    def memory(
        self, memory: Float[Tensor, "batch src d_model"], clock: Clock
    ) -> Float[Tensor, "batch src d_model"]:
        """Return the encoder output as the decoder reads it: multiplied by every gate at `memory`."""
        for placed, strategy in self._acting("memory", TensorGate, clock):
            memory = memory * strategy.gate(placed.at(clock), memory)
        return memory

    def logits(
        self,
        logits: Float[Tensor, "batch len vocab"],
        clock: Clock,
        gold: Int[Tensor, "batch len"] | None,
        examples: Int[Tensor, "batch"],
    ) -> Float[Tensor, "batch len vocab"]:
        """Return the vocabulary scores with every gate applied and banned entries at -inf.

        Args:
            gold: the target tokens, which are never banned; None where there are none (in decoding).
        """
        for placed, gate in self._acting("logits", TensorGate, clock):
            logits = logits * gate.gate(placed.at(clock), logits)
        keep: Tensor | None = None
        for placed, mask in self._acting("logits", LogitMask, clock):
            allowed = mask.allowed(placed.at(clock), clock, placed.draws(clock, examples))
            keep = allowed if keep is None else keep & allowed
        if keep is None:
            return logits
        keep = keep.expand(logits.shape)
        if gold is not None:
            keep = keep.scatter(-1, gold.unsqueeze(-1), True)
        return logits.masked_fill(~keep, -torch.inf)

    def loss_weights(
        self, real: Bool[Tensor, "batch len"], examples: Int[Tensor, "batch"], clock: Clock
    ) -> Float[Tensor, "batch len"] | None:
        """Return the weight of every target token in the training loss, None where all are 1.

        Args:
            real: True on target tokens, the end mark among them; False on padding.
        """
        product: Tensor | None = None
        for placed, strategy in self._acting("loss", LossMask, clock):
            draws = placed.draws(clock, examples)
            weights = strategy.weights(placed.at(clock), LossContext(real, draws))
            if self.observer is not None:
                self.observer.picks(placed, draws, real & (weights == 0), real, examples)
            product = weights if product is None else product * weights
        return product

    def penalty(self) -> Tensor | None:
        """Return the sum of the strategies' penalties, None where there is none."""
        penalties = [p for placed in self.placed if (p := placed.strategy.penalty()) is not None]
        return torch.stack(penalties).sum() if penalties else None


def _normalise(placed: Placed, strategy: Normaliser, at: object, scores: Tensor, keep: Tensor) -> Tensor:
    """Apply a placed normaliser to its heads and the softmax to the others."""
    return placed.on_heads(strategy.weights(at, scores, keep), scores.softmax(-1))
