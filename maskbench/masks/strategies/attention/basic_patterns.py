"""Basic attention patterns over positions: `none` (full), `causal`, `prefix_lm` and `block_local`."""

from __future__ import annotations

import torch
from torch import Tensor

from maskbench.masks.base import MaskMod, StrategyOptions
from maskbench.masks.context import AttentionContext
from maskbench.masks.schedules import Count, CountFromZero, Radius
from maskbench.masks.strategies.attention.position_mask import PositionMask, count_legal_pairs
from maskbench.registry import MASKS


class NoOptions(StrategyOptions):
    """There is nothing to set."""


@MASKS.register("none")
class NoMask(PositionMask):
    """Every pair stays: nothing is hidden but what is illegal.

    keep(i, j) = True. It carries a site's `apply` and `legality` where no other mask is wanted, and stands for a free
    head or part in `mixed_heads`, `any` and `all`.
    """

    may_empty_rows = False
    source = "Vaswani et al. 2017 (full attention, arXiv:1706.03762)"
    Options = NoOptions
    example = NoOptions()

    def mask_mod(self, options: NoOptions, ctx: AttentionContext) -> MaskMod:
        def keep(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
            return torch.ones_like(q_idx + kv_idx, dtype=torch.bool)

        return keep

    def density(self, options: NoOptions, q_len: int, kv_len: int) -> float:
        return 1.0


@MASKS.register("causal")
class Causal(PositionMask):
    """A query sees the keys at its own position and before it.

    keep(i, j) = j <= i, by true positions, so a single query of cached decoding gets its own row. At `decoder_self`
    this is legal anyway and hides nothing more; at `encoder_self` it makes the encoder read from left to right.
    """

    may_empty_rows = False
    source = "Vaswani et al. 2017 (section 3.2.3, arXiv:1706.03762)"
    Options = NoOptions
    example = NoOptions()

    @classmethod
    def is_causal(cls, options: NoOptions) -> bool:
        return True

    def mask_mod(self, options: NoOptions, ctx: AttentionContext) -> MaskMod:
        def keep(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
            return kv_idx <= q_idx

        return keep

    def density(self, options: NoOptions, q_len: int, kv_len: int) -> float | None:
        """n (n + 1) / 2 pairs."""
        legal = count_legal_pairs(self.site, q_len, kv_len)
        return None if legal is None else q_len * (q_len + 1) / 2 / legal


class PrefixLMOptions(StrategyOptions):
    """How much every query sees."""

    prefix: CountFromZero
    """Keys from the front that every query sees; 0 and 1: none that it would not see anyway."""


@MASKS.register("prefix_lm")
class PrefixLM(PositionMask):
    """Every query sees the first `prefix` keys, and those after them up to its own position.

    keep(i, j) = j < prefix or j <= i. Not at `decoder_self`: there the prefix would be target words that are still to
    be predicted.
    """

    sites = frozenset({"encoder_self", "cross"})
    may_empty_rows = False
    source = "Raffel et al. 2020 (prefix language model of T5, arXiv:1910.10683)"
    Options = PrefixLMOptions
    example = PrefixLMOptions(prefix=3)

    @classmethod
    def is_causal(cls, options: PrefixLMOptions) -> bool:
        return options.prefix in (0, 1)

    def mask_mod(self, options: PrefixLMOptions, ctx: AttentionContext) -> MaskMod:
        def keep(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
            return (kv_idx < int(options.prefix)) | (kv_idx <= q_idx)

        return keep

    def density(self, options: PrefixLMOptions, q_len: int, kv_len: int) -> float | None:
        """n (n + 1) / 2 causal pairs and p (p - 1) / 2 inside the prefix of p <= n."""
        legal, p = count_legal_pairs(self.site, q_len, kv_len), min(int(options.prefix), kv_len)
        return None if legal is None else (q_len * (q_len + 1) + p * (p - 1)) / 2 / legal


class BlockLocalOptions(StrategyOptions):
    """How positions are cut into segments."""

    size: Count
    """Positions in a segment."""
    overlap: Radius = 0
    """How many positions beyond each end of its own segment a query may see as well."""


@MASKS.register("block_local")
class BlockLocal(PositionMask):
    """Positions are cut into segments of equal size; a query sees its own segment (and `overlap` beyond each end).

    keep(i, j) = s(i) - overlap <= j < s(i) + size + overlap, with s(i) = size * floor(i / size). Queries and keys of a
    segment are counted from the front on both sides, so at `cross` equal positions share a segment.
    """

    source = "Qiu et al. 2020 (blockwise self-attention, arXiv:1911.02972)"
    Options = BlockLocalOptions
    example = BlockLocalOptions(size=4)

    @classmethod
    def is_causal(cls, options: BlockLocalOptions) -> bool:
        return bool(options.size == 1 and options.overlap == 0)

    def mask_mod(self, options: BlockLocalOptions, ctx: AttentionContext) -> MaskMod:
        size, overlap = int(options.size), int(options.overlap)

        def keep(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
            first = q_idx // size * size
            return (kv_idx >= first - overlap) & (kv_idx < first + size + overlap)

        return keep

    def density(self, options: BlockLocalOptions, q_len: int, kv_len: int) -> float | None:
        """Segment by segment: c of its own positions (all pairs, or the causal half) and what it sees beyond."""
        legal, n, size, overlap = (
            count_legal_pairs(self.site, q_len, kv_len),
            q_len,
            int(options.size),
            int(options.overlap),
        )
        if legal is None:
            return None
        kept = 0
        for first in range(0, n, size):
            own, before = min(size, n - first), min(overlap, first)
            after = min(overlap, max(0, n - first - size))
            kept += own * before
            kept += own * (own + after) if self.site == "encoder_self" else own * (own + 1) // 2
        return kept / legal
