"""`wait_k`: simultaneous translation, which starts before the whole source is read."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from maskbench.config.schema.experiment import PlacementConfig
from maskbench.masks.base import AttentionMask, MaskMod, StrategyOptions
from maskbench.masks.context import AttentionContext
from maskbench.masks.schedules import CountEach
from maskbench.registry import MASKS

CAUSAL_ENCODER = PlacementConfig(site="encoder_self", mask="window", options={"right": 0})
"""The simplest placement that keeps the encoder from attending to later positions."""


class WaitKOptions(StrategyOptions):
    """How far the reader is ahead of the speaker."""

    k: CountEach
    """Source tokens read before the first target token is said. `sample` and `sample_per_example` train one model for many k."""


@MASKS.register("wait_k")
class WaitK(AttentionMask):
    """The decoder waits for k source tokens and then reads one more for each token it says.

    keep(i, j) = j < k + i, i the target position that is predicted, counted from 0. An encoder state that had seen the
    whole source would carry it past this mask, so the arm needs a placement at `encoder_self` that looks at nothing
    ahead, in every layer and head: target token i then depends on the first k + i source tokens only.

    What else knows the sentence tells of it: masks that depend on the source's length (`diagonal`, `soft_diagonal`,
    `local_p`, `localness`, `positional_heads`) or on gold annotations, `source_vocabulary`, which opens the words of the
    whole source, and a token mask at `encoder_input` that chooses by the length (never in evaluation, unless its phases
    say so). With `layers` or `heads` of its own the rest of the decoder reads everything; with a leaking `apply` or
    `legality` at `encoder_self` the encoder does.
    """

    sites = frozenset({"cross"})
    source = (
        "Ma et al. 2019 (STACL, arXiv:1810.08398); Elbayad et al. 2020 for k drawn anew (arXiv:2005.08595)"
    )
    Options = WaitKOptions
    example = WaitKOptions(k=2)
    example_arm = (CAUSAL_ENCODER,)

    @classmethod
    def check_arm(cls, placement: PlacementConfig, arm: Sequence[PlacementConfig]) -> None:
        super().check_arm(placement, arm)
        mixing = [p.mask for p in arm if p.site == "encoder_self" and MASKS.lookup(p.mask).mixes_queries]
        if mixing:
            raise ValueError(
                f"{mixing[0]} lets what an encoder position reads depend on later ones, so its states already know the"
                f" source words that wait_k hides; leave {mixing[0]} out"
            )
        wanted = set(placement.phases or cls.default_phases)
        if not wanted <= set().union(*map(encoder_causal_phases, arm)):
            raise ValueError(
                "the encoder looks ahead, so its states already know the source words that wait_k hides; add"
                " {site: encoder_self, mask: window, right: 0} (all layers and heads, phases"
                f" {' and '.join(sorted(wanted, reverse=True))}), or another mask there that looks at nothing ahead"
            )

    def mask_mod(self, options: WaitKOptions, ctx: AttentionContext) -> MaskMod:
        k = options.k

        def keep(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
            # Drawn for every example, k is a row of numbers.
            return kv_idx < q_idx + (k[b] if isinstance(k, Tensor) else k)

        return keep

    def density(self, options: WaitKOptions, q_len: int, kv_len: int) -> float | None:
        """The sum over i of min(k + i, S), of T * S; with a k for each example there is no one number."""
        if isinstance(options.k, Tensor):
            return None
        return sum(min(int(options.k) + i, kv_len) for i in range(q_len)) / (q_len * kv_len)


def encoder_causal_phases(placement: PlacementConfig) -> set[str]:
    """Return the phases in which a placement keeps the whole encoder from looking ahead."""
    if placement.site != "encoder_self" or (placement.layers, placement.heads) != ("all", "all"):
        return set()
    cls = MASKS.lookup(placement.mask)
    if not issubclass(cls, AttentionMask) or not cls.is_causal(cls.parse_options(placement)):
        return set()
    return set(placement.phases or cls.default_phases)
