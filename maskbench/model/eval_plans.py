"""Evaluate a trained model under other masks than those of its own arm."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from maskbench.config.schema.experiment import RunConfig
from maskbench.data.corpus import Corpus
from maskbench.errors import ConfigError
from maskbench.masks.plan import MaskPlan
from maskbench.model.transformer import EncoderDecoder, collect_sizes


def build_eval_plans(config: RunConfig, corpus: Corpus, seed: int) -> dict[str, MaskPlan]:
    """Return the additional plans that a run is evaluated under, by their name in `evaluate.masks`.

    Random masks have the same keys as the run's own, so evaluating a run under a copy of its own masks gives
    the same results.

    Raises:
        ConfigError: a plan cannot be built, or has learned parameters, which this run did not train.
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
    """Use `plan` instead of the model's own plan, including its learned masks; restore its own at exit."""
    own = model.masks
    model.masks = plan.to(model.device)
    try:
        yield
    finally:
        model.masks = own
