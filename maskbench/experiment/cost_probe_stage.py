"""Has the cost of a step measured for every panel, once, after its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from maskbench.config.schema.experiment import Experiment, PanelConfig
from maskbench.errors import RunDirectoryError
from maskbench.executors import End, Executor, Task
from maskbench.experiment.plan import CACHE
from maskbench.experiment.progress_events import Outcome, Reporter
from maskbench.runs.directory import ExperimentDirectory

if TYPE_CHECKING:
    from maskbench.experiment.cost_probe import ProbeJob, StepTimes


def measure_costs(
    outcome: Outcome,
    experiment: Experiment,
    runs_dir: Path,
    executor: Executor,
    told: Reporter,
    plugins: tuple[Path, ...] = (),
) -> None:
    """Write cost.json of every panel whose finished arms have not been measured side by side yet.

    A probe that fails is a warning: no result depends on it.
    """
    alone = executor.alone()
    for panel in experiment.panels:
        directory = ExperimentDirectory.of(runs_dir, experiment.name, panel.name)
        identities = _finished_identities(directory, panel, experiment.seeds)
        if panel.baseline not in identities or _is_measured(directory, panel.baseline, identities):
            continue
        from maskbench.experiment.cost_probe import ProbeJob, probe, summarise

        told.preparing("measuring what a step of each arm costs")
        ordered = sorted(
            (arm for arm in panel.arms if arm.name in identities), key=lambda arm: arm.name != panel.baseline
        )
        # What a step costs does not depend on the weights, and those a run started from may be gone by now.
        arms = tuple((arm.name, arm.config.model_copy(update={"init_from": None})) for arm in ordered)
        heard = _Hearer()
        job = ProbeJob(arms, experiment.seeds[0], runs_dir / CACHE, plugins)
        outcome.signal = alone.execute(probe, [Task(job, directory.path / "cost.log")], heard)
        if heard.times is not None:
            directory.write_cost(summarise(heard.times, identities))
        elif outcome.signal is None:
            outcome.warnings.append(f"the cost of a step was not measured: {heard.message}")
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


class _Hearer:
    """Hears what the cost probe reports, or why it does not."""

    def __init__(self) -> None:
        self.times: StepTimes | None = None
        self.message = ""

    def started(self, task: Task[ProbeJob]) -> None:
        """Forget an attempt that died."""
        self.times = None

    def reported(self, task: Task[ProbeJob], message: StepTimes) -> None:
        """Keep what was measured."""
        self.times = message

    def ended(self, task: Task[ProbeJob], end: End) -> None:
        """Keep the reason if there is one."""
        self.message = end.message
