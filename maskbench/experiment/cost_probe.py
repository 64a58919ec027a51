"""The cost probe: measures what one training step of every arm costs, side by side, once after training.

Runs that trained together on a shared machine cannot say which mask is cheaper. So after training, one process alone
takes the same steps of every arm in turn, arm by arm within a step, in an order that rotates; what disturbs the machine
for a while disturbs all arms alike, and dividing step by step removes it. It ends as soon as it knows every ratio well
enough (`PRECISION`), which the table shows: it prints the interval of each.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskbench.config.schema.experiment import Experiment, PanelConfig, RunConfig
from maskbench.errors import RunDirectoryError
from maskbench.executors import Executor, FunctionEnd, Resources, Task, TaskContext, TaskEnd
from maskbench.experiment.plan import CACHE, corpus_key
from maskbench.experiment.progress_events import ExperimentOutcome, Reporter
from maskbench.runs.directory import ExperimentDirectory

if TYPE_CHECKING:
    from maskbench.statistics.effect import RatioEstimate

STEPS = 50
"""Measured steps of every arm, at most."""
LOOKS = (15, 25, 35)
"""After so many measured steps the probe ends if every ratio is precise."""
PRECISION = 0.05
"""Half the width of the 95 % interval of a step time relative to the baseline's that ends the probe.

To end when an interval is narrow makes it hold a little less often: in 1,500 simulated probes at least 91 % of the
intervals held the true ratio with independent step times, and 86 % with correlated ones (AR(1), 0.5), where `STEPS`
steps without a look give 91 %.
"""
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
    """Files that add strategies (`maskbench.plugins`)."""

    @property
    def threads(self) -> int:
        """How many threads the arm with the most uses."""
        return max(config.train.threads for _, config in self.arms)


@dataclass(frozen=True, slots=True)
class StepTimes:
    """What the probe measured: seconds and target tokens of each measured step, by arm."""

    seconds: Mapping[str, Sequence[float]]
    tokens: Mapping[str, Sequence[int]]


def probe(job: ProbeJob, context: TaskContext[StepTimes]) -> FunctionEnd:
    """Measure in this process and report once."""
    from maskbench.data import load_corpus
    from maskbench.plugins import load_plugins, plugin_errors
    from maskbench.training.environment import deterministic_torch, use_threads
    from maskbench.training.trainer import make_trainer

    use_threads(job.threads)
    load_plugins(job.plugins)
    corpora = {corpus_key(config.corpus): config.corpus for _, config in job.arms}
    built = {key: load_corpus(corpus, job.cache_dir) for key, corpus in corpora.items()}
    with deterministic_torch(job.threads), plugin_errors():
        steps = {
            name: make_trainer(config, built[corpus_key(config.corpus)], job.seed).step
            for name, config in job.arms
        }
        times = take_turns(steps, context.should_stop)
    if times is None:
        return "interrupted"
    context.report(times)
    return "finished"


def take_turns(
    steps: Mapping[str, Callable[[int], int]],
    should_stop: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.perf_counter,
) -> StepTimes | None:
    """Take the same steps with every arm in turn; return their times, or None if told to stop.

    Args:
        steps: by arm, the baseline first, a function that takes step i (counted from 0) and returns its number of
            target tokens.
        should_stop: asked before every step of every arm.
        clock: seconds, monotonic.
    """
    names = list(steps)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    tokens: dict[str, list[int]] = {name: [] for name in names}
    began = clock()
    for i in range(DROPPED_STEPS + STEPS):
        measured = i - DROPPED_STEPS
        if measured >= FEWEST_STEPS and clock() - began > SECONDS:
            break
        if measured in LOOKS and _is_precise(seconds):
            break
        turn = i % len(names)
        for name in (*names[turn:], *names[:turn]):
            if should_stop():
                return None
            start = clock()
            n_tokens = steps[name](i)
            if measured >= 0:
                seconds[name].append(clock() - start)
                tokens[name].append(n_tokens)
    return StepTimes(seconds, tokens)


def _is_precise(seconds: Mapping[str, Sequence[float]]) -> bool:
    """Return whether every arm's step time relative to the first one's is known within `PRECISION`."""
    ratios = _relative_step_times(_logs(seconds)).values()
    return all(found.half_width is not None and found.half_width <= PRECISION for found in ratios)


def _logs(seconds: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Return what an interval of a ratio of step times is made of, by arm."""
    from maskbench.statistics.effect import batch_mean_logs

    return {name: batch_mean_logs(own) for name, own in seconds.items()}


def _relative_step_times(logs: Mapping[str, Sequence[float]]) -> dict[str, RatioEstimate]:
    """Return the ratio of every arm's step time to the first one's."""
    from maskbench.statistics.effect import geometric_mean_ratio

    baseline = logs[next(iter(logs))]
    ratios = {name: geometric_mean_ratio(own, baseline) for name, own in logs.items()}
    return {name: found for name, found in ratios.items() if found}


def summarise(times: StepTimes, identities: Mapping[str, str]) -> dict[str, Any]:
    """Return the contents of cost.json: medians over steps, and relative step times as geometric means paired by step.

    `log_step_seconds` is what an interval of any two arms' ratio is made of (`maskbench.statistics.effect`).

    Args:
        times: the baseline's first; at least one step.
        identities: by arm, the hash of what was measured; kept so that it is measured once.
    """
    baseline, logs = next(iter(times.seconds)), _logs(times.seconds)
    ratios = _relative_step_times(logs)
    return {
        "relative_step_time": {name: found.value for name, found in ratios.items()},
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


def measure_costs(
    outcome: ExperimentOutcome,
    experiment: Experiment,
    runs_dir: Path,
    executor: Executor,
    reporter: Reporter,
    plugins: tuple[Path, ...] = (),
) -> None:
    """Write cost.json of every panel whose finished arms have not been measured side by side yet.

    A probe that fails is a warning: no result depends on it.
    """
    for panel in experiment.panels:
        directory = ExperimentDirectory.of(runs_dir, experiment.name, panel.name)
        identities = _finished_identities(directory, panel, experiment.seeds)
        if panel.baseline not in identities or _is_measured(directory, panel.baseline, identities):
            continue
        reporter.preparing("measuring what a step of each arm costs")
        ordered = sorted(
            (arm for arm in panel.arms if arm.name in identities), key=lambda arm: arm.name != panel.baseline
        )
        # What a step costs does not depend on the weights, and those a run started from may be gone by now.
        arms = tuple((arm.name, arm.config.model_copy(update={"init_from": None})) for arm in ordered)
        job = ProbeJob(arms, experiment.seeds[0], runs_dir / CACHE, plugins)
        listener = _CostProbeListener()
        task = Task(job, directory.path / "cost.log", Resources(job.threads))
        outcome.signal = executor.execute(probe, [task], listener)
        if listener.times is not None:
            directory.write_cost(summarise(listener.times, identities))
        elif outcome.signal is None:
            outcome.warnings.append(f"the cost of a step was not measured: {listener.message}")
        if outcome.signal is not None:
            return


def _finished_identities(
    directory: ExperimentDirectory, panel: PanelConfig, seeds: Sequence[int]
) -> dict[str, str]:
    """Return the identity hash of every arm of the panel that has a finished run."""
    found = {}
    for arm in panel.arms:
        runs = (directory.run(arm.name, seed) for seed in seeds)
        record = next((run.record() for run in runs if run.status().state == "done"), None)
        if record is not None:
            found[arm.name] = str(record["hash"])
    return found


def _is_measured(directory: ExperimentDirectory, baseline: str, identities: Mapping[str, str]) -> bool:
    """Whether cost.json holds these arms, relative to this baseline; it may hold more."""
    try:
        cost = directory.cost() or {}
    except RunDirectoryError:  # damaged: measured anew
        return False
    return cost.get("baseline") == baseline and identities.items() <= cost.get("identities", {}).items()


class _CostProbeListener:
    """Keeps what the cost probe reports, or why it failed."""

    def __init__(self) -> None:
        self.times: StepTimes | None = None
        self.message = ""

    def started(self, task: Task[ProbeJob]) -> None:
        """Forget an attempt that died."""
        self.times = None

    def reported(self, task: Task[ProbeJob], message: StepTimes) -> None:
        """Keep the times."""
        self.times = message

    def ended(self, task: Task[ProbeJob], end: TaskEnd) -> None:
        """Keep why there are no times, if it failed."""
        self.message = end.message
