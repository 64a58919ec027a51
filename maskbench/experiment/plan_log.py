"""Records every change of what is planned and asked, so that a table can tell a plan from a later addition.

A plan is written before its first run starts, into plans.jsonl of the experiment and of its panels, each with the
number of runs that had finished there by then.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from maskbench.config.load import load_resolved
from maskbench.config.schema.experiment import Experiment
from maskbench.errors import MaskbenchError, RunDirectoryError
from maskbench.records.plans import Plan, Question, read_plans
from maskbench.runs.directory import ExperimentDirectory


def current_plan(runs_dir: Path, experiment: str) -> Plan | None:
    """Return the newest plan in an experiment's directory; None if there never was one.

    Raises:
        RunDirectoryError: plans.jsonl is damaged.
    """
    plans = read_plan_history(runs_dir, experiment)
    return plans[-1] if plans else None


def read_plan_history(runs_dir: Path, experiment: str) -> Sequence[Plan]:
    """Return every plan of an experiment, the newest last; see `current_plan`."""
    return _plans(ExperimentDirectory.of(runs_dir, experiment))


def extend_plan(whole: Experiment, part: Experiment, present: Plan | None) -> Plan:
    """Return the plan after the decision to train `part` of the experiment `whole`.

    It has the seeds of the present plan and those of `part`: if a selection could leave seeds out of the comparison,
    nobody would notice that somebody chose among them. Where seeds were once added after looking at results, the rule
    stays the one that allows for that; a closed arm opens again if it is to be trained with more seeds.
    """
    if present is None or present.rule == "fixed":
        return Plan(_joined(whole.seeds, part.seeds))
    closed = {}
    for panel in part.panels:
        asked = {arm.name for arm in panel.arms}
        kept = {
            arm: seeds
            for arm, seeds in present.closed_in(panel.name).items()
            if arm not in asked or set(part.seeds) <= set(seeds)
        }
        closed[panel.name or ""] = kept
    return replace(present, seeds=_joined(present.seeds, part.seeds), closed={**present.closed, **closed})


def record_plan(experiment: Experiment, runs_dir: Path, wanted: Plan) -> None:
    """Append the plan and the experiment's question to plans.jsonl of the experiment and of each of its panels.

    Nothing is appended where the last entry says the same. Call it before experiment.yaml is written: an earlier
    version kept no plans.jsonl, and its plan, which comes first, is read from that file.

    Raises:
        RunDirectoryError: a plans.jsonl is damaged.
    """
    wanted = replace(wanted, question=Question.of(experiment))
    own = [ExperimentDirectory.of(runs_dir, experiment.name, panel.name) for panel in experiment.panels]
    for directory in dict.fromkeys((ExperimentDirectory.of(runs_dir, experiment.name), *own)):
        plans = _plans(directory)
        within = [directory] if directory in own else own
        results = sum(run.status().state == "done" for one in within for run in one.runs())
        noted = read_plans(directory)
        for plan in plans:
            if plan not in noted:
                _append(directory, plan)
        if not plans or replace(plans[-1], results=0) != replace(wanted, results=0):
            _append(directory, replace(wanted, results=results))
        directory.plans.sync()


def _append(directory: ExperimentDirectory, plan: Plan) -> None:
    directory.plans.append({**plan.to_json(), "time": time.time()})


def _plans(directory: ExperimentDirectory) -> Sequence[Plan]:
    """Return every plan; where none is recorded, the one in experiment.yaml, as if it had been planned at the start.

    A last plan that is recorded without its question gets that of experiment.yaml.
    """
    try:
        plans = read_plans(directory)
    except MaskbenchError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise RunDirectoryError(
            f"{directory.plans.path} is damaged ({error}); it tells whether seeds were added after seeing results. "
            "Restore it, or move it away to begin a new record"
        ) from error
    if (plans and plans[-1].question) or not directory.experiment_file.exists():
        return plans
    try:
        written = load_resolved(directory.experiment_file)
    except MaskbenchError:  # damaged; it is about to be written anew
        return plans
    last = plans[-1] if plans else Plan(written.seeds)
    return (*plans[:-1], replace(last, question=Question.of(written)))


def _joined(seeds: Sequence[int], others: Sequence[int]) -> tuple[int, ...]:
    return (*seeds, *(seed for seed in others if seed not in seeds))
