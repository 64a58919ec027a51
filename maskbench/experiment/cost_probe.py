"""The cost probe: what one training step of every arm costs, measured side by side.

Runs that trained together on a shared machine cannot say which mask is cheaper. So after training, one process alone
takes the same steps of every arm in turn, arm by arm within a step, in an order that rotates; what disturbs the machine
for a while disturbs all arms alike, and dividing step by step takes it out.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskbench.config.schema.experiment import RunConfig
from maskbench.data import load_corpus
from maskbench.executors.worker import Interrupted, stop_requested, use_threads
from maskbench.plugins import load_plugins
from maskbench.statistics.effect import batch_logs, ratio
from maskbench.training.environment import repeatable
from maskbench.training.trainer import make_trainer

STEPS = 50
"""Measured steps of every arm."""
DROPPED_STEPS = 5
"""Taken first and not counted: caches and allocators settle in them."""
FEWEST_STEPS = 10
"""Measured at least, however long they take."""
SECONDS = 120.0
"""After so long the probe ends with the steps it has."""


@dataclass(frozen=True, slots=True)
class ProbeJob:
    """The arms of one panel that are measured together."""

    arms: tuple[tuple[str, RunConfig], ...]
    """Name and settings; the first one is the baseline."""
    seed: int
    cache_dir: Path
    plugins: tuple[Path, ...] = ()
    """Files that enter strategies of their own (`maskbench.plugins`)."""


@dataclass(frozen=True, slots=True)
class StepTimes:
    """What the probe measured: seconds and target tokens of each measured step, by arm."""

    seconds: Mapping[str, Sequence[float]]
    tokens: Mapping[str, Sequence[int]]


def probe(job: ProbeJob, report: Callable[[StepTimes], None]) -> None:
    """Measure in this process and report once."""
    threads = max(config.train.threads for _, config in job.arms)
    use_threads(threads)
    load_plugins(job.plugins)
    corpora = {config.corpus.model_dump_json(): config.corpus for _, config in job.arms}
    built = {key: load_corpus(corpus, job.cache_dir) for key, corpus in corpora.items()}
    with repeatable(threads):
        steps = {
            name: make_trainer(config, built[config.corpus.model_dump_json()], job.seed).step
            for name, config in job.arms
        }
        report(take_turns(steps))


def take_turns(
    steps: Mapping[str, Callable[[int], int]], clock: Callable[[], float] = time.perf_counter
) -> StepTimes:
    """Take the same steps with every arm in turn.

    Args:
        steps: by arm, a function that takes step i (counted from 0) and returns its number of target tokens.
        clock: seconds, monotonic.

    Raises:
        Interrupted: the parent has asked this process to stop.
    """
    names = list(steps)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    tokens: dict[str, list[int]] = {name: [] for name in names}
    began = clock()
    for i in range(DROPPED_STEPS + STEPS):
        if i >= DROPPED_STEPS + FEWEST_STEPS and clock() - began > SECONDS:
            break
        turn = i % len(names)
        for name in (*names[turn:], *names[:turn]):
            if stop_requested():
                raise Interrupted
            start = clock()
            n_tokens = steps[name](i)
            if i >= DROPPED_STEPS:
                seconds[name].append(clock() - start)
                tokens[name].append(n_tokens)
    return StepTimes(seconds, tokens)


def summarise(times: StepTimes, identities: Mapping[str, str]) -> dict[str, Any]:
    """Return the contents of cost.json: medians over steps, and relative step times as geometric means paired by step.

    `log_step_seconds` is what an interval of any two arms' ratio is made of (`maskbench.statistics.effect`).

    Args:
        times: the baseline's first; at least one step.
        identities: by arm, the hash of what was measured; kept so that it is measured once.
    """
    logs = {name: batch_logs(seconds) for name, seconds in times.seconds.items()}
    baseline = next(iter(times.seconds))
    ratios = {name: ratio(own, logs[baseline]) for name, own in logs.items()}
    return {
        "relative_step_time": {name: found.value for name, found in ratios.items() if found},
        "tokens_per_second": {
            name: statistics.median(n / s for n, s in zip(times.tokens[name], seconds, strict=True))
            for name, seconds in times.seconds.items()
        },
        "step_seconds": {name: statistics.median(seconds) for name, seconds in times.seconds.items()},
        "log_step_seconds": logs,
        "steps": len(times.seconds[baseline]),
        "baseline": baseline,
        "identities": dict(identities),
    }
