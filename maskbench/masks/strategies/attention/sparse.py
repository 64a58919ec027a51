"""Sparse patterns over positions with distant keys: `strided`, `fixed_factorised` and `global_tokens`."""

from __future__ import annotations

from pydantic import model_validator
from torch import Tensor

from maskbench.masks.base import MaskMod, StrategyOptions
from maskbench.masks.context import AttentionContext, Sizes
from maskbench.masks.schedules import Count, CountFromZero, Radius, Schedule, least_value
from maskbench.masks.strategies.attention.position_mask import (
    PositionMask,
    count_legal_pairs,
    count_pairs_per_side,
)
from maskbench.registry import MASKS


class StridedOptions(StrategyOptions):
    """How far apart the distant keys are."""

    stride: Count
    """Keys whose distance is divisible by this stay, however far away."""
    local: Radius | None = None
    """All keys up to this distance stay as well; without it, those up to the stride. 0: the distant ones alone."""


@MASKS.register("strided")
class Strided(PositionMask):
    """A query sees its neighbours and every `stride`-th key beyond them.

    keep(i, j) = |i - j| <= local or (i - j) mod stride = 0. The paper gives the two parts to different heads or merges
    them; this is the merged form, looking both ways where that is legal.
    """

    source = "Child et al. 2019 (sparse Transformers, arXiv:1904.10509)"
    Options = StridedOptions
    example = StridedOptions(stride=3, local=1)

    def period(self, options: StridedOptions) -> int:
        return int(options.stride)

    def mask_mod(self, options: StridedOptions, ctx: AttentionContext) -> MaskMod:
        stride = int(options.stride)
        local = stride if options.local is None else int(options.local)

        def keep(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
            distance = (q_idx - kv_idx).abs()
            return (distance <= local) | (distance % stride == 0)

        return keep

    def density(self, options: StridedOptions, q_len: int, kv_len: int) -> float | None:
        """The diagonal, the near distances and the divisible ones, less those that are both, on each legal side."""
        legal, n, stride = count_legal_pairs(self.site, q_len, kv_len), q_len, int(options.stride)
        if legal is None:
            return None
        local = stride if options.local is None else int(options.local)
        side = (
            count_pairs_per_side(n, local)
            + count_pairs_per_side(n, None, stride)
            - count_pairs_per_side(n, local, stride)
        )
        return (n + side * (2 if self.site == "encoder_self" else 1)) / legal


class FixedFactorisedOptions(StrategyOptions):
    """How positions are cut into blocks, and which of them sum a block up."""

    block: Count
    """Positions in a block."""
    summary: CountFromZero = 1
    """The last positions of every block, which every query sees; 0: only its own block."""

    @model_validator(mode="after")
    def _check_consistency(self) -> FixedFactorisedOptions:
        most, least = max(_values(self.summary)), min(_values(self.block))
        if most > least:
            raise ValueError(f"summary must be at most block ({least}), got {most}")
        return self


def _values(value: Count) -> list[float | int]:
    """Return the ends of an option's range; one number if it has no schedule."""
    return value.range() if isinstance(value, Schedule) else [value]


@MASKS.register("fixed_factorised")
class FixedFactorised(PositionMask):
    """Positions are cut into blocks; a query sees its own block and the last `summary` positions of every block.

    keep(i, j) = floor(i / block) = floor(j / block) or j mod block >= block - summary. Information from far away
    passes through the summary positions, in two layers.
    """

    source = "Child et al. 2019 (sparse Transformers, arXiv:1904.10509)"
    Options = FixedFactorisedOptions
    example = FixedFactorisedOptions(block=3, summary=1)

    def mask_mod(self, options: FixedFactorisedOptions, ctx: AttentionContext) -> MaskMod:
        block, summary = int(options.block), int(options.summary)

        def keep(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
            same = q_idx // block == kv_idx // block
            return same | (kv_idx % block >= block - summary)

        return keep

    def density(self, options: FixedFactorisedOptions, q_len: int, kv_len: int) -> float | None:
        """m whole blocks and one of r positions: pairs within blocks, and summary keys seen from other blocks."""
        legal, n, block = count_legal_pairs(self.site, q_len, kv_len), q_len, int(options.block)
        if legal is None:
            return None
        summary, (m, r) = min(int(options.summary), block), divmod(n, block)
        if self.site == "decoder_self":
            within = m * block * (block + 1) // 2 + r * (r + 1) // 2
            return (within + block * summary * m * (m - 1) // 2 + r * m * summary) / legal
        cut = max(0, r - (block - summary))
        beyond = m * summary * (n - block) + cut * (n - r)
        return (m * block**2 + r**2 + beyond) / legal


class GlobalTokensOptions(StrategyOptions):
    """Which positions are global."""

    first: CountFromZero = 1
    """Positions from the front that see every key and are seen by every query; 0: none, so it hides everything."""


@MASKS.register("global_tokens")
class GlobalTokens(PositionMask):
    """The first positions see everything and are seen by everyone; all other pairs are hidden.

    keep(i, j) = i < first or j < first. Meant as a part of `any`, beside a window; alone it makes the first positions
    the only channel between words.
    """

    may_empty_rows = False
    source = "Beltagy et al. 2020 (global attention of Longformer, arXiv:2004.05150)"
    Options = GlobalTokensOptions
    example = GlobalTokensOptions(first=1)

    def __init__(self, options: GlobalTokensOptions, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        self.may_empty_rows = least_value(options.first) == 0

    def mask_mod(self, options: GlobalTokensOptions, ctx: AttentionContext) -> MaskMod:
        first = int(options.first)

        def keep(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
            return (q_idx < first) | (kv_idx < first)

        return keep

    def density(self, options: GlobalTokensOptions, q_len: int, kv_len: int) -> float | None:
        """All legal pairs but those among the n - first others."""
        legal = count_legal_pairs(self.site, q_len, kv_len)
        others = q_len - min(int(options.first), q_len)
        hidden = count_legal_pairs(self.site, others, others)
        return None if legal is None or hidden is None else (legal - hidden) / legal
