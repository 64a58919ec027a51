"""Measure step time and memory of arms that never ran by taking a few steps; the weights are discarded."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from maskbench.config.schema.experiment import RunConfig
from maskbench.data.corpus import Corpus

if TYPE_CHECKING:
    from maskbench.data.batches import Ids

SECONDS = 0.25
"""Time limit in seconds for the steps of all arms together; a step that has begun by then is finished. The same limit holds
for the steps that measure memory."""


ArmName: TypeAlias = tuple[str | None, str]
"""The names of panel and arm."""


@dataclass(frozen=True, slots=True)
class TriedStepTime:
    """The step time measured on trial steps."""

    seconds: float
    """Seconds per step, the median over the steps."""
    steps: int
    memory: int | None = None
    """Predicted peak memory of a run in bytes; None if the time was over before the arm's turn."""


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
    memory: dict[ArmName, int] = {}
    with preserve_generators(), deterministic_torch(threads):
        arms_in_trial = {name: _Trial(config, corpus, seed) for name, (config, corpus) in arms.items()}
        began = clock()
        # The first step of a process takes several times as long as any other, so none of these is timed.
        for name, trial in arms_in_trial.items():
            memory[name] = trial.predict_memory()
            if clock() - began >= SECONDS:
                break
        taken = time_in_turns({name: trial.steps() for name, trial in arms_in_trial.items()}, clock)
    counted = {name: times[1:] or times for name, times in taken.items()}
    return {
        name: TriedStepTime(statistics.median(times), len(times), memory.get(name))
        for name, times in counted.items()
    }


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


class _Trial:
    """Steps of one arm, up to the gradient: the update is a few percent of a step.

    Building an optimiser imports torch's compiler, which takes longer than all the steps. The weights of
    `init_from`, which may not exist yet, do not change the time.
    """

    def __init__(self, config: RunConfig, corpus: Corpus, seed: int) -> None:
        from maskbench.data.batches import BatchSchedule
        from maskbench.model.transformer import build_model
        from maskbench.training.environment import compute_dtype, pick_device
        from maskbench.training.objective import Objective
        from maskbench.training.warm_start import freeze_all_but

        self._device, self._config, self._seed = pick_device(), config, seed
        model = build_model(config.model_copy(update={"init_from": None}), corpus, seed).to(self._device)
        if config.train_only is not None:
            freeze_all_but(model, config.train_only)
        dtype = compute_dtype(config.train.precision, config.model.d_model, self._device)
        self._objective = Objective(model, config.train, len(corpus.vocabulary), dtype, self._device)
        self._split = corpus.splits["train"]
        self._batches = BatchSchedule(self._split, config.train.batch_tokens, seed)
        self._model = model.train()

    def steps(self) -> Iterator[None]:
        """Take one step per iteration."""
        for step in itertools.count():
            epoch, ids = self._batches.batch_at(step)
            self._step(step, epoch, ids)
            yield

    def predict_memory(self) -> int:
        """Take a step with the largest batch; return the predicted peak memory of a run, in bytes."""
        from maskbench.data.batches import plan_batches
        from maskbench.forecast.step_memory import find_largest_batch, measure_kept, predict_peak

        batches = plan_batches(self._split, self._config.train.batch_tokens, self._seed)
        ids = find_largest_batch(batches, self._split, self._config.model)
        kept, largest = measure_kept(lambda: self._step(0, 0, ids))
        return predict_peak(sum(p.numel() for p in self._model.parameters()), kept, largest)

    def _step(self, step: int, epoch: int, ids: Ids) -> None:
        from maskbench.data.batches import collate
        from maskbench.masks.clock import Clock
        from maskbench.randomness import seed_torch

        seed_torch(step, self._device)
        self._model.zero_grad(set_to_none=True)
        clock = Clock("train", 0, 1, epoch, self._batches.n_batches, 0)
        self._objective.backward(collate(self._split, ids).to(self._device), clock)
