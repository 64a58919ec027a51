"""Measure the step time of arms that never ran by taking a few steps; the weights are discarded."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from maskbench.config.schema.experiment import RunConfig
from maskbench.data.corpus import Corpus

SECONDS = 0.25
"""Time limit in seconds for all arms together; a step that has begun by then is finished."""


ArmName: TypeAlias = tuple[str | None, str]
"""The names of panel and arm."""


@dataclass(frozen=True, slots=True)
class TriedStepTime:
    """The step time measured on trial steps."""

    seconds: float
    """Seconds per step, the median over the steps."""
    steps: int


def try_steps(
    arms: Mapping[ArmName, tuple[RunConfig, Corpus]],
    seed: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[ArmName, TriedStepTime]:
    """Take steps of all arms in turn for `SECONDS`; leave out arms that had no turn by then.

    The first step of each arm, in which caches are filled, does not count unless it is the only one.

    Args:
        arms: settings and corpus, by the names of panel and arm.
        seed: the seed of the model and the batches.
        clock: returns monotonic time in seconds.
    """
    if not arms:
        return {}
    from maskbench.audit.generators import preserve_generators
    from maskbench.training.environment import deterministic_torch, keep_freed_memory

    # Same memory settings as in a run.
    keep_freed_memory()
    threads = max(config.train.threads for config, _ in arms.values())
    steppers = {name: _steps(config, corpus, seed) for name, (config, corpus) in arms.items()}
    with preserve_generators(), deterministic_torch(threads):
        # The first step of a process takes several times as long as any other.
        next(next(iter(steppers.values())))
        taken = time_in_turns(steppers, clock)
    counted = {name: times[1:] or times for name, times in taken.items()}
    return {name: TriedStepTime(statistics.median(times), len(times)) for name, times in counted.items()}


def time_in_turns(
    steppers: Mapping[ArmName, Iterator[None]], clock: Callable[[], float]
) -> dict[ArmName, list[float]]:
    """Take steps in rounds over all arms until `SECONDS` are over; return the seconds of each step.

    At least one step is taken. In rounds, a temporary slowdown of the machine affects all arms equally.
    """
    taken: dict[ArmName, list[float]] = {}
    began = now = clock()
    while True:
        for name, steps in steppers.items():
            next(steps)
            then, now = now, clock()
            taken.setdefault(name, []).append(now - then)
            if now - began >= SECONDS:
                return taken


def _steps(config: RunConfig, corpus: Corpus, seed: int) -> Iterator[None]:
    """Take one step per iteration, up to the gradient: the update is a few percent of a step.

    Building an optimiser imports torch's compiler, which takes longer than all the steps. The weights of
    `init_from`, which may not exist yet, do not change the time.
    """
    from maskbench.data.batches import BatchSchedule, collate
    from maskbench.masks.clock import Clock
    from maskbench.model.transformer import build_model
    from maskbench.randomness import seed_torch
    from maskbench.training.environment import compute_dtype, pick_device
    from maskbench.training.objective import Objective
    from maskbench.training.warm_start import freeze_all_but

    device, train = pick_device(), config.train
    model = build_model(config.model_copy(update={"init_from": None}), corpus, seed).to(device)
    if config.train_only is not None:
        freeze_all_but(model, config.train_only)
    dtype = compute_dtype(train.precision, config.model.d_model, device)
    objective = Objective(model, train, len(corpus.vocabulary), dtype, device)
    split = corpus.splits["train"]
    batches = BatchSchedule(split, train.batch_tokens, seed)
    model.train()
    for step in itertools.count():
        epoch, ids = batches.batch_at(step)
        seed_torch(step, device)
        model.zero_grad(set_to_none=True)
        objective.backward(collate(split, ids).to(device), Clock("train", 0, 1, epoch, batches.n_batches, 0))
        yield
