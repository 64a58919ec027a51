"""Reads plans.jsonl: the seeds that `maskbench run` planned over time, and the stopping rule.

Under the fixed rule the seeds are chosen before the first result. Under the sequential rule they are added,
one at a time, until every arm is decided. plans.jsonl records the rule, the comparison, and later changes
of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, takewhile
from typing import Any, Literal

from maskbench.config.schema.experiment import Experiment
from maskbench.runs.directory import ExperimentDirectory
from maskbench.statistics.sequential import Rule


@dataclass(frozen=True, slots=True)
class Question:
    """What is compared and how; changing it after seeing results biases verdicts, as choosing seeds does."""

    metric: str
    alpha: float
    min_effect: float | None
    baseline: Mapping[str, str]
    """Panel -> baseline arm; the panel's name is empty in an experiment without panels."""
    arms: Mapping[str, tuple[str, ...]]
    """Panel -> arms, including the baseline; their number enters the correction for multiple tests."""

    @classmethod
    def of(cls, experiment: Experiment) -> Question:
        """Return the question of an experiment."""
        declared, panels = experiment.compare, {panel.name or "": panel for panel in experiment.panels}
        return cls(
            declared.metric,
            declared.alpha,
            declared.min_effect,
            {name: panel.baseline for name, panel in panels.items()},
            {name: tuple(arm.name for arm in panel.arms) for name, panel in panels.items()},
        )

    def to_json(self) -> dict[str, Any]:
        """Return the question's entries of a line of plans.jsonl."""
        arms = {panel: list(names) for panel, names in self.arms.items()}
        return {
            "metric": self.metric,
            "alpha": self.alpha,
            "min_effect": self.min_effect,
            "baseline": dict(self.baseline),
            "arms": arms,
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """One line of plans.jsonl: the plan from that time on."""

    seeds: tuple[int, ...]
    rule: Rule = "fixed"
    limit: int | None = None
    """Maximum number of seeds under the sequential rule."""
    closed: Mapping[str, Mapping[str, tuple[int, ...]]] = field(default_factory=dict)
    """Panel (empty name without panels) -> arm -> its seeds, for arms that get no more seeds."""
    results: int = 0
    """Number of runs that had finished when the plan was made."""
    question: Question | None = None
    """None in a line of a version that did not record it."""

    def closed_in(self, panel: str | None) -> Mapping[str, tuple[int, ...]]:
        """Return the closed arms of a panel, each with its seeds."""
        return self.closed.get(panel or "", {})

    def to_json(self) -> dict[str, Any]:
        """Return a line of plans.jsonl without the time."""
        closed = {
            panel: {arm: list(seeds) for arm, seeds in arms.items()} for panel, arms in self.closed.items()
        }
        return {
            "seeds": list(self.seeds),
            "rule": self.rule,
            "limit": self.limit,
            "closed": closed,
            "results": self.results,
            **({} if self.question is None else self.question.to_json()),
        }


@dataclass(frozen=True, slots=True)
class SeedChange:
    """Seeds that were added or dropped after the first results."""

    kind: Literal["added", "dropped"]
    seeds: tuple[int, ...]
    results: int
    """Number of runs that had finished at the first such change."""


def read_plans(directory: ExperimentDirectory) -> tuple[Plan, ...]:
    """Return every plan of an experiment or a panel, the current one last; empty if no plans were recorded.

    Raises:
        RunDirectoryError: a line is not a JSON object.
        ValueError, TypeError, LookupError, AttributeError: a line has missing or wrong entries.
    """
    return tuple(_plan(line) for line in directory.plans.read())


def _plan(line: Mapping[str, Any]) -> Plan:
    rules: dict[str, Rule] = {"fixed": "fixed", "sequential": "sequential"}
    closed = {
        str(panel): {str(arm): _seeds(seeds) for arm, seeds in arms.items()}
        for panel, arms in line["closed"].items()
    }
    limit = line["limit"]
    return Plan(
        _seeds(line["seeds"]),
        rules[line["rule"]],
        None if limit is None else _count(limit),
        closed,
        _count(line["results"]),
        _question(line) if "metric" in line else None,
    )


def _question(line: Mapping[str, Any]) -> Question:
    alpha, min_effect = float(line["alpha"]), line["min_effect"]
    return Question(
        str(line["metric"]),
        alpha,
        None if min_effect is None else float(min_effect),
        {str(panel): str(arm) for panel, arm in line["baseline"].items()},
        {str(panel): tuple(map(str, arms)) for panel, arms in line["arms"].items()},
    )


def _seeds(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} stands where a list of seeds should")
    return tuple(map(_count, value))


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} stands where a whole number should")
    return value


def plans_since_results(plans: Sequence[Plan]) -> Sequence[Plan]:
    """Return the last plan made without results and all later ones.

    Earlier plans cannot have depended on results.
    """
    return plans[max((i for i, plan in enumerate(plans) if plan.results == 0), default=0) :]


def find_seed_changes(plans: Sequence[Plan]) -> list[SeedChange]:
    """Return the seeds that were added to or dropped from a fixed plan after the first results.

    Seeds added under the sequential rule do not count: its evidence is valid for any number of looks. It
    does not correct for a choice among seeds, so seeds dropped before it began do count.
    """
    since = plans_since_results(plans)
    fixed = list(takewhile(lambda plan: plan.rule == "fixed", since))
    if not fixed:
        return []
    first, last, now = fixed[0].seeds, fixed[-1].seeds, plans[-1].seeds
    ever = dict.fromkeys(seed for plan in fixed for seed in plan.seeds)
    added = tuple(seed for seed in now if seed not in first) if plans[-1].rule == "fixed" else ()
    dropped = tuple(seed for seed in ever if seed not in last and seed not in now)
    changes = []
    if added:
        at = next(plan for plan in fixed[1:] if set(added) & set(plan.seeds))
        changes.append(SeedChange("added", added, at.results))
    if dropped:
        at = next(
            after
            for before, after in pairwise(fixed)
            if (set(before.seeds) - set(after.seeds)) & set(dropped)
        )
        changes.append(SeedChange("dropped", dropped, at.results))
    return changes
