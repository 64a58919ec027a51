"""Different patterns for different heads: `positional_heads` and `mixed_heads`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import torch
from jaxtyping import Bool
from pydantic import Field
from torch import Tensor

from maskbench.config.schema.experiment import ModelConfig, PlacementConfig
from maskbench.errors import ConfigError
from maskbench.masks.base import ATTENTION_SITES, AttentionMask, MaskMod, StrategyOptions
from maskbench.masks.context import AttentionContext, Sizes

# The example of mixed_heads is made of these two.
from maskbench.masks.strategies.attention import basic_patterns, windows  # noqa: F401
from maskbench.masks.strategies.attention.composite import Composite, CompositeOptions
from maskbench.masks.strategies.attention.diagonal import source_lengths
from maskbench.registry import MASKS

Pattern = Literal["self", "previous", "next", "first", "last", "left", "right", "full"]

_PATTERNS: dict[Pattern, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "self": lambda i, j, end: j == torch.minimum(i, end),
    "previous": lambda i, j, end: j == torch.minimum((i - 1).clamp(min=0), end),
    "next": lambda i, j, end: j == torch.minimum(i + 1, end),
    "first": lambda i, j, end: j == 0,
    "last": lambda i, j, end: j == end,
    "left": lambda i, j, end: j <= i,
    "right": lambda i, j, end: j >= torch.minimum(i, end),
    "full": lambda i, j, end: j >= 0,
}
"""Functions of (query, key, last visible key) that return keep."""
_READS_LENGTH = {
    "encoder_self": {"next", "last"},
    "decoder_self": set[str](),
    "cross": {"self", "previous", "next", "last", "right"},
}
_AHEAD = {"next", "last", "right"}


def assign_heads(given: int, n_heads: int, repeat: bool) -> list[int]:
    """Return which of the given entries each head takes.

    Raises:
        ValueError: their number is not that of the heads.
    """
    if given > n_heads:
        raise ValueError(f"there are {given} entries for {n_heads} heads; leave some out")
    if given < n_heads and not repeat:
        raise ValueError(
            f"there are {given} entries for {n_heads} heads; give one for each head, "
            "or say `repeat: true` to begin again from the first"
        )
    return [head % given for head in range(n_heads)]


def _check_heads(given: int, repeat: bool, placement: PlacementConfig, model: ModelConfig) -> None:
    assign_heads(given, model.n_heads, repeat)
    if placement.heads != "all":
        raise ValueError("heads: every head has an entry of its own here; let it be free there instead")


def _assign_heads(given: int, sizes: Sizes, repeat: bool) -> list[int]:
    """Return which entry each head takes.

    Raises:
        ConfigError: their number is not that of the heads.
    """
    try:
        return assign_heads(given, sizes.n_heads, repeat)
    except ValueError as error:
        raise ConfigError(str(error)) from error


class PositionalHeadsOptions(StrategyOptions):
    """What each head looks at."""

    patterns: Annotated[tuple[Pattern, ...], Field(strict=False, min_length=1)]
    """One for each head: self, previous, next, first, last, left, right or full."""
    repeat: bool = False
    """Begin again from the first pattern when there are more heads than patterns."""


@MASKS.register("positional_heads")
class PositionalHeads(AttentionMask):
    """Each head looks at one fixed place: its own position, a neighbour, an end of the sentence, or one side.

    A head's keep(i, j) is j = i (`self`), j = i - 1 (`previous`), j = i + 1 (`next`), j = 0 (`first`), j = n - 1
    (`last`), j <= i (`left`), j >= i (`right`) or True (`full`). A place outside the sentence is moved to its nearest
    end, so that no row is empty: the first position's `previous` is itself, as is the last one's `next`. The paper
    fixes the weights too; here they stay learned where more than one key is left.
    """

    sites = ATTENTION_SITES
    depends_on = frozenset({"length"})
    source = "Raganato et al. 2020 (fixed encoder self-attention patterns, arXiv:2002.10260)"
    Options = PositionalHeadsOptions
    example = PositionalHeadsOptions(patterns=("previous", "first", "full"), repeat=True)

    def __init__(self, options: PositionalHeadsOptions, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        self.assigned = _assign_heads(len(options.patterns), sizes, options.repeat)
        reads_length = bool(_READS_LENGTH[site] & set(options.patterns))
        self.depends_on = frozenset({"length"}) if reads_length else frozenset()
        self.sliceable = not reads_length

    @classmethod
    def check(
        cls, site: str, options: PositionalHeadsOptions, placement: PlacementConfig, model: ModelConfig
    ) -> None:
        super().check(site, options, placement, model)
        _check_heads(len(options.patterns), options.repeat, placement, model)
        ahead = [pattern for pattern in options.patterns if pattern in _AHEAD]
        if site == "decoder_self" and ahead:
            raise ValueError(f"patterns: {ahead[0]} lies ahead, where the decoder sees nothing; use self")

    @classmethod
    def is_causal(cls, options: PositionalHeadsOptions) -> bool:
        return set(options.patterns) <= {"self", "previous", "first", "left"}

    def mask_mod(self, options: PositionalHeadsOptions, ctx: AttentionContext) -> MaskMod:
        lengths = source_lengths(ctx) if self.depends_on else None

        def keep(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
            # Without a length the query itself is the last that may be seen, so nothing reads what is still to come.
            end = q_idx if lengths is None else (lengths - 1)[b]
            entry = torch.tensor(self.assigned, device=h.device)[h]
            kept = torch.zeros_like(h + q_idx + kv_idx, dtype=torch.bool)
            for number, pattern in enumerate(options.patterns):
                kept = kept | ((entry == number) & _PATTERNS[pattern](q_idx, kv_idx, end))
            return kept

        return keep

    def density(self, options: PositionalHeadsOptions, q_len: int, kv_len: int) -> float | None:
        """The mean over heads: a triangle for one side, everything for `full`, one key in each row for the others."""
        if q_len != kv_len or self.site not in ("encoder_self", "decoder_self"):
            return None
        n, half = q_len, q_len * (q_len + 1) // 2
        whole = n * n if self.site == "encoder_self" else half
        rows = {"left": half, "right": half if self.site == "encoder_self" else n, "full": whole}
        return sum(rows.get(options.patterns[k], n) for k in self.assigned) / (len(self.assigned) * whole)


class MixedHeadsOptions(CompositeOptions):
    """A mask for each head."""

    repeat: bool = False
    """Begin again from the first mask when there are more heads than masks."""


@MASKS.register("mixed_heads")
class MixedHeads(Composite):
    """Each head has a mask of its own: local and global, forward and backward heads in one layer.

    keep(h, i, j) = keep_h(i, j), the h-th mask in `of`; {mask: none} leaves a head free.
    """

    source = "Cui et al. 2019 (mixed multi-head self-attention, doi:10.18653/v1/D19-5622)"
    Options = MixedHeadsOptions
    example = MixedHeadsOptions.model_validate(
        {"of": [{"mask": "window", "radius": 1}, {"mask": "none"}], "repeat": True}
    )

    def __init__(self, options: MixedHeadsOptions, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        self.assigned = _assign_heads(len(options.of), sizes, options.repeat)

    @classmethod
    def check(cls, site: str, options: Any, placement: PlacementConfig, model: ModelConfig) -> None:
        super().check(site, options, placement, model)
        _check_heads(len(options.of), options.repeat, placement, model)

    @classmethod
    def is_causal(cls, options: MixedHeadsOptions) -> bool:
        return all(part.strategy.is_causal(part.options) for part in options.of)

    def mask_mod(self, options: MixedHeadsOptions, ctx: AttentionContext) -> MaskMod:
        parts = self.part_mask_mods(options, ctx)

        def keep(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
            entry = torch.tensor(self.assigned, device=h.device)[h]
            kept = torch.zeros_like(h + q_idx + kv_idx, dtype=torch.bool)
            for number, part in enumerate(parts):
                kept = kept | ((entry == number) & part(b, h, q_idx, kv_idx))
            return kept

        return keep

    def keep(self, options: MixedHeadsOptions, ctx: AttentionContext) -> Bool[Tensor, "#batch heads q kv"]:
        patterns = self.part_patterns(options, ctx)
        own = [patterns[k][:, h if patterns[k].shape[1] > 1 else 0] for h, k in enumerate(self.assigned)]
        batch = max(pattern.shape[0] for pattern in own)
        return torch.stack([pattern.expand(batch, -1, -1) for pattern in own], 1)

    def density(self, options: MixedHeadsOptions, q_len: int, kv_len: int) -> float | None:
        """The mean over heads."""
        each = self.part_densities(options, q_len, kv_len)
        return None if each is None else sum(each[k] for k in self.assigned) / len(self.assigned)
