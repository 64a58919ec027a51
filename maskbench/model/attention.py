"""Multi-head attention with masks; every mask is applied here, or in the blocks of `blocked_attention`.

The order is fixed: scaled scores -> biases and log-gates -> hidden pairs to -inf -> empty-row rule ->
normaliser -> factors on the weights -> dropout -> values -> head gates. The mask is one boolean tensor (True
= may attend). By default hidden pairs get -inf, not a finite number that a score could exceed;
`attention_weights` has the other ways that an arm can choose. A query without any kept key outputs zeros:
its row is unmasked before the softmax, so that no gradient is NaN, and multiplied by zero afterwards.

The layers are those of Vaswani et al. 2017, "Attention is all you need", section 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from maskbench.config.schema.experiment import Legality
from maskbench.data.padding import are_real
from maskbench.masks.block_decision import BlockDecision, decide_blocks, reason_for_dense, tell_patterns
from maskbench.masks.clock import Clock
from maskbench.masks.context import Annotations, AttentionDecision, AttentionRequest, SourceBatch
from maskbench.masks.plan import MaskPlan
from maskbench.masks.softmax import softmax
from maskbench.model.attention_path import AUTO, Path, PathRules
from maskbench.model.blocked_attention import blocked_attention
from maskbench.model.cache import LayerCache
from maskbench.model.dropout import Dropout
from maskbench.model.row_groups import RowGroups


def attention_weights(
    scores: Float[Tensor, "batch heads q kv"], decision: AttentionDecision
) -> tuple[Float[Tensor, "batch heads q kv"], Bool[Tensor, "#batch #heads #q 1"] | None]:
    """Return the attention weights, and True on rows with at least one kept key.

    The second is None where the mask is not applied as "hard": all rows then keep their output.

    Args:
        scores: scaled, biases included; float32 or float64. They may be overwritten.
    """
    nonempty_rows = None
    keep = decision.keep
    if decision.apply == "hard":
        nonempty_rows = keep.any(-1, keepdim=True)
        # The softmax of a row of -inf is NaN, and so is its gradient, even if it is multiplied by zero
        # later. Such a row keeps all its scores here; `attend` multiplies its output by zero.
        keep = keep | ~nonempty_rows
        # keep [#batch #heads #q kv] broadcasts to [batch heads q kv].
        scores = scores.masked_fill_(~keep, -math.inf)
        weights = softmax(scores) if decision.normaliser is None else decision.normaliser(scores, keep)
    # In the other ways except `renormalise` hidden positions have influence; the arm must declare `unsafe`.
    elif decision.apply == "multiply_scores":
        weights = softmax(scores * keep)
    elif decision.apply == "small_fill":
        weights = softmax(scores.masked_fill(~keep, decision.fill))
    else:
        weights = softmax(scores) * keep
        if decision.apply == "renormalise":
            kept_mass = weights.sum(-1, keepdim=True)
            weights = weights / kept_mass.masked_fill(kept_mass == 0, 1.0)
    if decision.factors is not None:
        weights = weights * decision.factors.to(weights.dtype)
    return weights, nonempty_rows


Watcher: TypeAlias = Callable[[str, int, Tensor, Tensor], None]
"""`(site, layer, weights [batch heads q kv], keep [#batch #heads #q kv])`: receives the weights of one
attention layer before dropout and head gates; rows of queries without a kept key are zero."""


def legal_pairs(
    site: str,
    q_idx: Int[Tensor, "q"],
    kv_idx: Int[Tensor, "kv"],
    src_lengths: Int[Tensor, "batch"] | None,
    parts: Legality = "full",
) -> Bool[Tensor, "#batch 1 #q kv"]:
    """Return which pairs causality and padding allow, from positions and lengths, not from token ids.

    At `decoder_self` a query sees the keys up to its own position; padding comes after every real query, so
    no real query sees it. At `encoder_self` and `cross` every query sees the real source tokens.

    Args:
        parts: which parts of legality are enforced; all values but "full" leak.

    Raises:
        ValueError: the site has no attention, or required source lengths are missing.
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
    key: Float[Tensor, "sentences heads kv d"],
    value: Float[Tensor, "sentences heads kv d"],
    decision: AttentionDecision,
    dropout: Callable[[Tensor], Tensor],
    watch: Callable[[Tensor, Tensor], None] | None = None,
    groups: RowGroups | None = None,
) -> Float[Tensor, "batch heads q d"]:
    """Return each query's output: the weighted mean of the values of its kept keys, zeros where it has none.

    Args:
        decision: the mask (legality included), biases, normaliser, factors and head gates.
        dropout: applied to the weights.
        watch: called with the weights and the mask; must not change them.
        groups: which rows of the batch share keys and values; None: each row has its own.
    """
    multiply = torch.matmul if groups is None else groups.multiply
    # [batch heads q d] @ [batch heads d kv] -> [batch heads q kv]: dot products of all queries and keys.
    scores = multiply(query, key.transpose(-1, -2))
    # Biases and softmax need at least float32; under autocast the product has half precision.
    scores = scores.float() if scores.dtype.itemsize < 4 else scores
    scores = scores.mul_(query.shape[-1] ** -0.5)
    if decision.bias is not None:
        scores = scores + decision.bias
    weights, nonempty_rows = attention_weights(scores, decision)
    if watch is not None:
        watch(weights if nonempty_rows is None else weights * nonempty_rows, decision.keep)
    # [batch heads q kv] @ [batch heads kv d] -> [batch heads q d]: the weighted mean of the values.
    context = multiply(dropout(weights.to(value.dtype)), value)
    # On a CPU `all()` is cheap and usually saves the product; on a GPU it would wait for the device.
    if nonempty_rows is not None and (nonempty_rows.device.type != "cpu" or not nonempty_rows.all()):
        context = context * nonempty_rows
    return _gated(context, decision.head_gate)


def _gated(
    context: Float[Tensor, "batch heads q d"], head_gate: Float[Tensor, "#batch #heads"] | None
) -> Float[Tensor, "batch heads q d"]:
    """Return every head's output times its gate."""
    return context if head_gate is None else context * head_gate[:, :, None, None].to(context.dtype)


def fused_attention(
    query: Float[Tensor, "batch heads q d"],
    key: Float[Tensor, "batch heads kv d"],
    value: Float[Tensor, "batch heads kv d"],
    keep: Bool[Tensor, "#batch #heads #q kv"] | None,
    *,
    is_causal: bool = False,
) -> Float[Tensor, "batch heads q d"]:
    """Return the output of torch's fused kernel; a query without a kept key outputs zeros.

    Args:
        keep: True at kept pairs; None: all.
        is_causal: whether query i keeps the keys up to i; `keep` is then None.
    """
    if keep is not None and bool(keep.all()):
        # Without a mask the kernel is faster.
        keep = None
    # A row of hidden pairs gives zeros in every kernel since torch 2.5, and gradients of zeros; a test holds it.
    return F.scaled_dot_product_attention(query, key, value, attn_mask=keep, is_causal=is_causal)


@dataclass(frozen=True)
class AttentionInputs:
    """Inputs that all attention layers of one site share in one forward pass."""

    site: str
    plan: MaskPlan
    q_idx: Int[Tensor, "q"]
    kv_idx: Int[Tensor, "kv"]
    source: SourceBatch
    tgt_ids: Int[Tensor, "batch so_far"] | None
    clock: Clock
    watcher: Watcher | None = None
    paths: PathRules = AUTO
    groups: RowGroups | None = None
    """Which rows share the keys and values of their sentence; None: each row has its own."""

    @cached_property
    def legal(self) -> Bool[Tensor, "#batch 1 #q kv"]:
        """True at pairs that causality and padding allow."""
        return self.legal_at(self.q_idx, self.kv_idx)

    def legal_at(self, q_idx: Int[Tensor, "q"], kv_idx: Int[Tensor, "kv"]) -> Bool[Tensor, "#batch 1 #q kv"]:
        """Return which pairs of these positions causality and padding allow."""
        return legal_pairs(self.site, q_idx, kv_idx, self.source.lengths, self.plan.legality(self.site))

    def attend(
        self,
        layer: int,
        query: Float[Tensor, "batch heads q d"],
        key: Float[Tensor, "sentences heads kv d"],
        value: Float[Tensor, "sentences heads kv d"],
        x: Float[Tensor, "batch q d_model"],
        dropout: Dropout,
    ) -> Float[Tensor, "batch heads q d"]:
        """Return the attention output of one layer, on the path that `paths` chooses."""
        p = dropout.p if dropout.training else 0.0
        path, decided = self.choose_path(layer, query, key, x, drops=p > 0)
        if decided is None:
            decision = self.decide(layer, query, key, x)
            return attend(query, key, value, decision, dropout, self._watch(layer), self.groups)
        if path == "fused":
            is_causal = self.site == "decoder_self" and self.plan.is_empty(self.site)
            keep = None if is_causal else self.decide(layer, query, key, x).keep
            context = fused_attention(query, key, value, keep, is_causal=is_causal)
        else:
            request = self._request_in_blocks(query, key, x)
            tell_patterns(self.plan, self.site, layer, request, self.legal_at, rows=self._rows)
            context = blocked_attention(query, key, value, decided.blocks, p)
        return _gated(context, decided.head_gate)

    def choose_path(
        self, layer: int, query: Tensor, key: Tensor, x: Tensor, *, drops: bool
    ) -> tuple[Path, BlockDecision | None]:
        """Return the path of a layer, and the blocks of its mask; None on the dense path.

        Args:
            drops: whether dropout acts on the weights.
        """
        if not self._may_leave_dense(layer):
            return "dense", None
        request = self._request_in_blocks(query, key, x)
        decided = decide_blocks(self.plan, self.site, layer, request, self.legal_at, rows=self._rows)
        size = query.dtype.itemsize
        path = self.paths.choose(decided.share, drops=drops, has_bias=decided.has_bias, itemsize=size)
        return path, decided

    @property
    def _rows(self) -> int:
        """Largest number of queries in a block."""
        return self.paths.rows_of(len(self.q_idx))

    def _may_leave_dense(self, layer: int) -> bool:
        """Whether this layer is long enough, nothing reads its weights, and no mask needs all of them at once."""
        q_len, kv_len = len(self.q_idx), len(self.kv_idx)
        if (
            not self.paths.is_long_enough(q_len, kv_len)
            or self.watcher is not None
            or self.groups is not None
            or self.plan.reads_decisions
        ):
            return False
        # In cached decoding queries do not start at 0.
        return int(self.q_idx[0]) == 0 and reason_for_dense(self.plan, self.site, layer, self.clock) is None

    def decide(self, layer: int, query: Tensor, key: Tensor, x: Tensor) -> AttentionDecision:
        """Return the plan's decision for `layer`; legality alone where nothing is placed at the site."""
        if self.plan.is_empty(self.site):
            return AttentionDecision(self.legal)
        return self.plan.decide_attention(self.site, layer, self._request(query, key, x, self.legal))

    def _watch(self, layer: int) -> Callable[[Tensor, Tensor], None] | None:
        """Return the watcher's callback for `layer`; None without a watcher."""
        return None if self.watcher is None else partial(self.watcher, self.site, layer)

    def _request_in_blocks(self, query: Tensor, key: Tensor, x: Tensor) -> AttentionRequest:
        """Return a request in which all pairs are legal; the blocks ask for the legality of their own pairs."""
        # That of all pairs would be a matrix.
        anything = torch.ones(1, 1, 1, len(self.kv_idx), dtype=torch.bool, device=query.device)
        return self._request(query, key, x, anything)

    def _request(self, query: Tensor, key: Tensor, x: Tensor, legal: Tensor) -> AttentionRequest:
        own = self.site == "decoder_self"
        return AttentionRequest(
            query=query,
            keys=key,
            x=x,
            q_idx=self.q_idx,
            kv_idx=self.kv_idx,
            legal=legal,
            src_lengths=None if own else self.source.lengths,
            examples=self.source.examples,
            clock=self.clock,
            src_ids=None if own else self.source.ids,
            tgt_ids=self.tgt_ids,
            annotations=Annotations() if own else self.source.annotations,
            sentence=None if self.groups is None else self.groups.sentence,
        )


class Projection(nn.Linear):
    """Several linear maps of one input as one matrix product; each is initialised as a separate map.

    The projections of attention have no bias, as in Vaswani et al. 2017.
    """

    def __init__(self, d_in: int, d_out: int, parts: int = 1, bias: bool = False) -> None:
        super().__init__(d_in, parts * d_out, bias=bias)
        self.parts = parts

    def heads(self, x: Float[Tensor, "batch len d_in"], n_heads: int) -> tuple[Tensor, ...]:
        """Return every part of the product split into heads, each `[batch heads len d]` and contiguous."""
        # From [batch len parts*heads*d] to [batch heads len d] per part: with the heads before the
        # positions, one batched product computes all heads.
        batch, length, _ = x.shape
        parts: Tensor = self(x).view(batch, length, self.parts, n_heads, -1)
        # One copy here saves a copy in every later product of the attention.
        return parts.permute(2, 0, 3, 1, 4).contiguous().unbind(0)


def merge_heads(
    context: Float[Tensor, "batch heads q d"], output: Projection
) -> Float[Tensor, "batch q d_model"]:
    """Return the output projection of the concatenated heads."""
    # [batch heads q d] -> [batch q heads*d]: the inverse of `Projection.heads`.
    mixed: Tensor = output(context.transpose(1, 2).flatten(2))
    return mixed


class SelfAttention(nn.Module):
    """Attention of a sequence to itself: projections, attention, output projection."""

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
        """Return the attention output of every position; with a cache, `x` holds the new positions only."""
        query, key, value = self.qkv.heads(x, self.n_heads)
        if cache is not None:
            key, value = cache.extend(key, value)
        context = scene.attend(layer, query, key, value, x, self.dropout)
        return merge_heads(context, self.output)


class CrossAttention(nn.Module):
    """Attention of the decoder to the encoder's output: projections, attention, output projection."""

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
        memory: Float[Tensor, "sentences kv d_model"],
        scene: AttentionInputs,
        layer: int,
        cache: LayerCache | None = None,
    ) -> Float[Tensor, "batch q d_model"]:
        """Return every position's attention output; a cache computes keys and values of `memory` once."""
        (query,) = self.query.heads(x, self.n_heads)
        if cache is None:
            key, value = self.key_value.heads(memory, self.n_heads)
        else:
            key, value = cache.memory(lambda: self.key_value.heads(memory, self.n_heads))
        context = scene.attend(layer, query, key, value, x, self.dropout)
        return merge_heads(context, self.output)
