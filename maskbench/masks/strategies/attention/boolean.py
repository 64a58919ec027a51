"""Boolean composition of attention masks: `any`, `all` and `not`.

Placements at one site are ANDed anyway; `all` is for use inside `any` and `not`. Legality is applied after the
composition, so `not` never opens the future or padding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import and_, or_

from jaxtyping import Bool
from pydantic import Field
from torch import Tensor

from maskbench.masks.base import AttentionMask, MaskMod
from maskbench.masks.context import AttentionContext

# The examples are made of these.
from maskbench.masks.strategies.attention import sampled_patterns, windows  # noqa: F401
from maskbench.masks.strategies.attention.composite import Composite, CompositeOptions, MaskPart, MaskParts
from maskbench.registry import MASKS


def _combine(parts: list[MaskMod], join: Callable[[Tensor, Tensor], Tensor]) -> MaskMod:
    def keep(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
        return reduce(join, (part(b, h, q_idx, kv_idx) for part in parts))

    return keep


@MASKS.register("any")
class AnyOf(Composite):
    """A pair stays if at least one of the masks keeps it.

    keep(i, j) = keep_1(i, j) or keep_2(i, j) or ... With a fixed and a drawn part, what the fixed one keeps is visible
    in every draw.
    """

    source = "Dong et al. 2024 (or_masks of FlexAttention, arXiv:2412.05496)"
    Options = CompositeOptions
    example = CompositeOptions.model_validate(
        {"of": [{"mask": "window", "radius": 1}, {"mask": "random_sparse", "density": 0.2}]}
    )

    @staticmethod
    def _may_empty_rows(parts: Sequence[AttentionMask]) -> bool:
        return all(part.may_empty_rows for part in parts)

    @classmethod
    def is_causal(cls, options: CompositeOptions) -> bool:
        return all(part.strategy.is_causal(part.options) for part in options.of)

    def mask_mod(self, options: CompositeOptions, ctx: AttentionContext) -> MaskMod:
        return _combine(self.part_mask_mods(options, ctx), or_)

    def keep(self, options: CompositeOptions, ctx: AttentionContext) -> Bool[Tensor, "#batch #heads q kv"]:
        return reduce(or_, self.part_patterns(options, ctx))


@MASKS.register("all")
class AllOf(Composite):
    """A pair stays if every one of the masks keeps it.

    keep(i, j) = keep_1(i, j) and keep_2(i, j) and ... The same as placing the masks side by side; in `any` and `not`
    there is no other way to say it.
    """

    source = "Dong et al. 2024 (and_masks of FlexAttention, arXiv:2412.05496)"
    Options = CompositeOptions
    example = CompositeOptions.model_validate(
        {"of": [{"mask": "window", "radius": 3}, {"mask": "random_sparse", "density": 0.5}]}
    )

    @staticmethod
    def _may_empty_rows(parts: Sequence[AttentionMask]) -> bool:
        # Two masks that leave no row empty may still have no pair of a row in common.
        return len(parts) > 1 or parts[0].may_empty_rows

    @classmethod
    def is_causal(cls, options: CompositeOptions) -> bool:
        return any(part.strategy.is_causal(part.options) for part in options.of)

    def mask_mod(self, options: CompositeOptions, ctx: AttentionContext) -> MaskMod:
        return _combine(self.part_mask_mods(options, ctx), and_)

    def keep(self, options: CompositeOptions, ctx: AttentionContext) -> Bool[Tensor, "#batch #heads q kv"]:
        return reduce(and_, self.part_patterns(options, ctx))


class NotOptions(CompositeOptions):
    """What is turned round."""

    of: MaskParts = Field(max_length=1)
    """The one mask whose pairs are hidden."""


@MASKS.register("not")
class Not(Composite):
    """A legal pair stays if the mask hides it: a mask and its `not` share the legal pairs out between them.

    keep(i, j) = not keep_1(i, j). The control for what a pattern keeps.
    """

    may_empty_rows = True
    source = "Dong et al. 2024 (the negation of a mask_mod of FlexAttention, arXiv:2412.05496)"
    Options = NotOptions
    example = NotOptions.model_validate({"of": [{"mask": "window", "left": 1, "right": 1}]})

    def mask_mod(self, options: NotOptions, ctx: AttentionContext) -> MaskMod:
        (part,) = self.part_mask_mods(options, ctx)
        return lambda b, h, q_idx, kv_idx: ~part(b, h, q_idx, kv_idx)

    def keep(self, options: NotOptions, ctx: AttentionContext) -> Bool[Tensor, "#batch #heads q kv"]:
        (pattern,) = self.part_patterns(options, ctx)
        return ~pattern

    def density(self, options: NotOptions, q_len: int, kv_len: int) -> float | None:
        """What the mask leaves."""
        kept = self.part_densities(options, q_len, kv_len)
        return None if kept is None else 1.0 - kept[0]


__all__ = ["AllOf", "AnyOf", "MaskPart", "Not"]
