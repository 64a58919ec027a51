"""A trained model under other masks than its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from maskbench.config.schema.experiment import RunConfig
from maskbench.data.corpus import Corpus
from maskbench.errors import ConfigError
from maskbench.masks.plan import MaskPlan
from maskbench.model.transformer import EncoderDecoder, collect_sizes


def build_eval_plans(config: RunConfig, corpus: Corpus, seed: int) -> dict[str, MaskPlan]:
    """Return the plans that a run is evaluated under besides its own, by the name that `evaluate.masks` has for them.

    Random masks are keyed as the run's own are, so that a run under its own masks lent back to it says the same.

    Raises:
        ConfigError: a plan cannot be built, or has parameters of its own: nobody trained those with these weights.
    """
    sizes = collect_sizes(config, corpus)
    plans = {}
    for name, placements in config.under.items():
        try:
            plan = MaskPlan(placements, seed=seed, streams=config.streams, sizes=sizes)
        except (ConfigError, ValueError) as error:
            raise ConfigError(f"evaluate.masks: {name}: {error}", key="evaluate.masks") from error
        learned = [p for p in plan.placed if any(True for _ in p.strategy.parameters())]
        if learned:
            which = ", ".join(dict.fromkeys(f"{p.name} at {p.site}" for p in learned))
            raise ConfigError(
                f"evaluate.masks: the masks of {name} cannot be lent to other arms: {which} has learned parameters, "
                f"which only its own runs train; leave {name} out of evaluate.masks",
                key="evaluate.masks",
            )
        plans[name] = plan.eval()
    return plans


@contextmanager
def use_mask_plan(model: EncoderDecoder, plan: MaskPlan) -> Iterator[None]:
    """Inside, the model acts under `plan`, its own learned masks among what is left out; then under its own again."""
    own = model.masks
    model.masks = plan.to(model.device)
    try:
        yield
    finally:
        model.masks = own
