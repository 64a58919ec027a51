"""Attention: the one place where softmax meets a mask.

The order is fixed: scaled scores -> biases and log-gates -> hidden pairs to -inf -> empty-row rule -> normaliser ->
factors on the weights -> dropout -> values -> head gates. Masks arrive as one boolean tensor (True = may attend) and
are filled once; there is no "very small number" that a score could outweigh and no sum of two planes (unless an arm
asks for one of the other ways in `maskbench.model.attention`). A query with nothing to attend to outputs zeros: its
row is opened before the softmax, so that no gradient is NaN, and multiplied by zero afterwards.

The layers are those of Vaswani et al. 2017, "Attention is all you need", section 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from maskbench.config.schema.experiment import Legality
from maskbench.data.padding import are_real
from maskbench.masks.clock import Clock
from maskbench.masks.context import Annotations, AttentionDecision, AttentionRequest, SourceBatch
from maskbench.masks.plan import MaskPlan
from maskbench.masks.softmax import softmax
from maskbench.model.cache import LayerCache
from maskbench.model.dropout import Dropout

SMALL_FILL = -1e4
"""The finite fill in common use."""


def attention_weights(
    scores: Float[Tensor, "batch heads q kv"], decision: AttentionDecision
) -> tuple[Float[Tensor, "batch heads q kv"], Bool[Tensor, "#batch #heads #q 1"] | None]:
    """Return the weights, and True on rows that have something to attend to, None where every row counts as such.

    Args:
        scores: scaled, biases included; float32 or float64. They may be overwritten.
    """
    nonempty_rows = None
    keep = decision.keep
    if decision.apply == "hard":
        nonempty_rows = keep.any(-1, keepdim=True)
        # The softmax of a row that is -inf throughout is NaN, and so is its gradient, even where zero multiplies it
        # later. Such a row keeps all its scores here; `attend` multiplies what it reads by zero.
        keep = keep | ~nonempty_rows
        # keep broadcasts over the axes in which it has size 1: [#batch #heads #q kv] against [batch heads q kv].
        scores = scores.masked_fill_(~keep, -math.inf)
        weights = softmax(scores) if decision.normaliser is None else decision.normaliser(scores, keep)
    # All the other ways but `renormalise` let hidden positions have an influence, which an arm must declare as unsafe.
    elif decision.apply == "multiply_scores":
        weights = softmax(scores * keep)
    elif decision.apply == "small_fill":
        weights = softmax(scores.masked_fill(~keep, SMALL_FILL))
    else:
        weights = softmax(scores) * keep
        if decision.apply == "renormalise":
            kept_mass = weights.sum(-1, keepdim=True)
            weights = weights / kept_mass.masked_fill(kept_mass == 0, 1.0)
    if decision.factors is not None:
        weights = weights * decision.factors.to(weights.dtype)
    return weights, nonempty_rows


Watcher: TypeAlias = Callable[[str, int, Tensor, Tensor], None]
"""`(site, layer, weights [batch heads q kv], keep [#batch #heads #q kv])`: sees the weights of one attention layer as
they are before dropout and head gates, with zeros in the rows of queries that have nothing to attend to."""


def legal_pairs(
    site: str,
    q_idx: Int[Tensor, "q"],
    kv_idx: Int[Tensor, "kv"],
    src_lengths: Int[Tensor, "batch"] | None,
    parts: Legality = "full",
) -> Bool[Tensor, "#batch 1 #q kv"]:
    """Return which pairs the task itself allows, from true positions and lengths, never from token ids.

    At `decoder_self` a query sees the keys at its own position and before it; padding comes after every real query,
    so no real query sees it. At `encoder_self` and `cross` every query sees the real source tokens.

    Args:
        parts: which parts are in force; all but "full" leak.

    Raises:
        ValueError: the site has no attention, or source lengths are missing where they are needed.
    """
    if site == "decoder_self":
        future = parts in ("no_causal", "none")
        return (kv_idx <= q_idx[:, None])[None, None] | future
    if site not in ("encoder_self", "cross"):
        raise ValueError(f"{site!r} is no attention site (encoder_self, decoder_self, cross)")
    if src_lengths is None:
        raise ValueError(f"{site} needs the source lengths to tell tokens from padding")
    return are_real(kv_idx, src_lengths)[:, None, None] | (parts in ("no_padding", "none"))


def attend(
    query: Float[Tensor, "batch heads q d"],
    key: Float[Tensor, "batch heads kv d"],
    value: Float[Tensor, "batch heads kv d"],
    decision: AttentionDecision,
    dropout: Callable[[Tensor], Tensor],
    watch: Callable[[Tensor, Tensor], None] | None = None,
) -> Float[Tensor, "batch heads q d"]:
    """Return what each query reads: the values averaged over the keys it keeps, zeros where it keeps none.

    Args:
        decision: what to keep (legality included), and the biases, normaliser and head gates in force.
        dropout: applied to the weights.
        watch: is shown the weights and what was kept; must leave them as they are.
    """
    # [batch heads q d] @ [batch heads d kv] -> [batch heads q kv]: every query's product with every key.
    scores = query @ key.transpose(-1, -2)
    # Biases and softmax need float32 at least; under autocast the product comes in half precision.
    scores = scores.float() if scores.dtype.itemsize < 4 else scores
    scores = scores.mul_(query.shape[-1] ** -0.5)
    if decision.bias is not None:
        scores = scores + decision.bias
    weights, nonempty_rows = attention_weights(scores, decision)
    if watch is not None:
        watch(weights if nonempty_rows is None else weights * nonempty_rows, decision.keep)
    # [batch heads q kv] @ [batch heads kv d] -> [batch heads q d]: the weighted mean of the values.
    context = dropout(weights.to(value.dtype)) @ value
    # Looking is free on a CPU, where most masks leave no row empty; elsewhere it would wait for the device.
    if nonempty_rows is not None and (nonempty_rows.device.type != "cpu" or not nonempty_rows.all()):
        context = context * nonempty_rows
    if decision.head_gate is not None:
        context = context * decision.head_gate[:, :, None, None].to(context.dtype)
    return context


@dataclass(frozen=True, slots=True)
class AttentionInputs:
    """What all layers of one site share in one forward pass."""

    site: str
    plan: MaskPlan
    q_idx: Int[Tensor, "q"]
    kv_idx: Int[Tensor, "kv"]
    legal: Bool[Tensor, "#batch 1 #q kv"]
    source: SourceBatch
    tgt_ids: Int[Tensor, "batch so_far"] | None
    clock: Clock
    watcher: Watcher | None = None

    def watch(self, layer: int) -> Callable[[Tensor, Tensor], None] | None:
        """Return what is to be shown the weights of `layer`; None where nobody looks."""
        return None if self.watcher is None else partial(self.watcher, self.site, layer)

    def decide(self, layer: int, query: Tensor, key: Tensor, x: Tensor) -> AttentionDecision:
        """Ask the plan what `layer` may look at; where it places nothing, legality is the whole answer."""
        if self.plan.is_empty(self.site):
            return AttentionDecision(self.legal)
        own = self.site == "decoder_self"
        request = AttentionRequest(
            query=query,
            key=key,
            x=x,
            q_idx=self.q_idx,
            kv_idx=self.kv_idx,
            legal=self.legal,
            src_lengths=None if own else self.source.lengths,
            examples=self.source.examples,
            clock=self.clock,
            src_ids=None if own else self.source.ids,
            tgt_ids=self.tgt_ids,
            annotations=Annotations() if own else self.source.annotations,
        )
        return self.plan.decide_attention(self.site, layer, request)


class Projection(nn.Linear):
    """Several linear maps of one input as a single product; each is initialised as if it stood alone.

    Those of the attention have no bias, as in the paper.
    """

    def __init__(self, d_in: int, d_out: int, parts: int = 1, bias: bool = False) -> None:
        super().__init__(d_in, parts * d_out, bias=bias)
        self.parts = parts

    def heads(self, x: Float[Tensor, "batch len d_in"], n_heads: int) -> tuple[Tensor, ...]:
        """Return every part of the product cut into heads, each `[batch heads len d]` and contiguous."""
        # The product holds the parts side by side, and in each the heads: [batch len parts*heads*d]. Attention wants
        # the heads in front of the positions, so that one batched product serves all of them: [batch heads len d].
        batch, length, _ = x.shape
        parts: Tensor = self(x).view(batch, length, self.parts, n_heads, -1)
        # One copy here spares every product of the attention a copy of its own.
        return parts.permute(2, 0, 3, 1, 4).contiguous().unbind(0)


def merge_heads(
    context: Float[Tensor, "batch heads q d"], output: Projection
) -> Float[Tensor, "batch q d_model"]:
    """Put the heads side by side again and mix them."""
    # [batch heads q d] -> [batch q heads*d]: the inverse of what `Projection.heads` does.
    mixed: Tensor = output(context.transpose(1, 2).flatten(2))
    return mixed


class SelfAttention(nn.Module):
    """Attention of a sequence to itself."""

    def __init__(self, d_model: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.qkv = Projection(d_model, d_model, parts=3)
        self.output = Projection(d_model, d_model)
        self.dropout = Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "batch q d_model"],
        scene: AttentionInputs,
        layer: int,
        cache: LayerCache | None = None,
    ) -> Float[Tensor, "batch q d_model"]:
        """Return what every position reads; with a cache, `x` is the new positions and the old ones are kept."""
        query, key, value = self.qkv.heads(x, self.n_heads)
        if cache is not None:
            key, value = cache.extend(key, value)
        decision = scene.decide(layer, query, key, x)
        context = attend(query, key, value, decision, self.dropout, scene.watch(layer))
        return merge_heads(context, self.output)


class CrossAttention(nn.Module):
    """Attention of the decoder to the encoder's output."""

    def __init__(self, d_model: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query = Projection(d_model, d_model)
        self.key_value = Projection(d_model, d_model, parts=2)
        self.output = Projection(d_model, d_model)
        self.dropout = Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "batch q d_model"],
        memory: Float[Tensor, "batch kv d_model"],
        scene: AttentionInputs,
        layer: int,
        cache: LayerCache | None = None,
    ) -> Float[Tensor, "batch q d_model"]:
        """Return what every position reads from `memory`; with a cache, its keys and values are computed once."""
        (query,) = self.query.heads(x, self.n_heads)
        if cache is None:
            key, value = self.key_value.heads(memory, self.n_heads)
        else:
            key, value = cache.memory(lambda: self.key_value.heads(memory, self.n_heads))
        decision = scene.decide(layer, query, key, x)
        context = attend(query, key, value, decision, self.dropout, scene.watch(layer))
        return merge_heads(context, self.output)
