"""Evaluate a trained model under other masks than those of its own arm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from maskbench.config.resolve.kept_masks import (
    describe_placements,
    is_learned,
    is_soft,
    mix_placements,
    placements_without,
)
from maskbench.config.schema.experiment import PlacementConfig, RunConfig
from maskbench.data.corpus import Corpus
from maskbench.errors import ConfigError
from maskbench.masks.plan import MaskPlan
from maskbench.model.transformer import EncoderDecoder, collect_sizes
from maskbench.registry import MASKS


def build_eval_plans(config: RunConfig, corpus: Corpus, seed: int) -> dict[str, MaskPlan]:
    """Return the additional plans that a run is evaluated under, by their name in `evaluate.masks`.

    Random masks have the same keys as the run's own, so evaluating a run under a copy of its own masks gives
    the same results. The strategies in `evaluate.keep` stay the run's own: `use_mask_plan` puts the model's trained
    ones in place of those built here.

    Raises:
        ConfigError: a plan cannot be built, needs parameters that this run did not train, or lends nothing.
    """
    sizes, keep = collect_sizes(config, corpus), config.evaluate.keep
    plans = {}
    for name, lent in config.under.items():
        _refuse_unlendable(name, lent, config)
        try:
            placements = mix_placements(config.masks, lent, keep)
            plan = MaskPlan(placements, seed=seed, streams=config.streams, sizes=sizes)
        except (ConfigError, ValueError) as error:
            raise ConfigError(f"evaluate.masks: {name}: {error}", key="evaluate.masks") from error
        plan.kept = frozenset(placed.label for placed in plan.placed if placed.name in keep)
        plans[name] = plan.eval()
    return plans


def _refuse_unlendable(name: str, lent: Sequence[PlacementConfig], config: RunConfig) -> None:
    """Refuse learned masks that would have to be lent, and an arm all of whose masks are kept by those that have them.

    Where the run has a mask of the same strategy at the same site, its own stands for the other arm's.
    """
    own = {(placement.mask, placement.site) for placement in config.masks}
    kept = [p for p in lent if p.mask in config.evaluate.keep]
    foreign = [p for p in kept if (p.mask, p.site) not in own]
    learned = [p for p in lent if p.mask not in config.evaluate.keep and is_learned(MASKS.lookup(p.mask))]
    if not learned and len(kept) == len(lent):
        learned = [p for p in foreign if is_learned(MASKS.lookup(p.mask))]
    if learned:
        raise ConfigError(
            f"evaluate.masks: the masks of {name} cannot be lent to other arms: {_listed(learned)} has learned parameters, "
            f"which only its own runs train; leave {name} out of evaluate.masks",
            key="evaluate.masks",
        )
    if foreign and len(kept) == len(lent):
        raise ConfigError(
            f"evaluate.masks: {name} lends nothing: {_listed(foreign)} is among the masks that evaluate.keep does not "
            f"exchange; leave {name} out of evaluate.masks, or change evaluate.keep",
            key="evaluate.masks",
        )


def list_soft_masks_off(config: RunConfig) -> dict[str, list[str]]:
    """Return the run's own soft masks that do not act under other masks, by the name of these; `alibi at encoder_self`.

    Names without any are left out, as are masks that act in training only.
    """

    def is_missed(placement: PlacementConfig) -> bool:
        strategy = MASKS.lookup(placement.mask)
        return is_soft(strategy) and "eval" in (placement.phases or strategy.default_phases)

    without = placements_without(config.masks, config.under, config.evaluate.keep)
    missed = {name: describe_placements(filter(is_missed, own)) for name, own in without.items()}
    return {name: masks for name, masks in missed.items() if masks}


def _listed(placements: Sequence[PlacementConfig]) -> str:
    return ", ".join(describe_placements(placements))


@contextmanager
def use_mask_plan(model: EncoderDecoder, plan: MaskPlan) -> Iterator[None]:
    """Use `plan` instead of the model's own plan, with the model's own masks where the plan keeps them; restore at exit."""
    own = model.masks
    plan.take_kept(own)
    model.masks = plan.to(model.device)
    try:
        yield
    finally:
        model.masks = own
