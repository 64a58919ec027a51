"""Reads plans.jsonl: which seeds `maskbench run` was asked for over time, and under which stopping rule.

Under the fixed rule the seeds are chosen before the first result. Under the sequential one they are added, one at a
time, until every arm is decided. plans.jsonl tells which it was, what was to be compared, and whether that was changed
afterwards.
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
    """What is compared and how; changing it after seeing results biases a verdict as choosing seeds does."""

    metric: str
    alpha: float
    min_effect: float | None
    baseline: Mapping[str, str]
    """By panel (an empty name where there are none)."""
    arms: Mapping[str, tuple[str, ...]]
    """By panel, the baseline among them: the correction counts them."""

    @classmethod
    def of(cls, experiment: Experiment) -> Question:
        """Return what an experiment asks."""
        declared, panels = experiment.compare, {panel.name or "": panel for panel in experiment.panels}
        return cls(
            declared.metric,
            declared.alpha,
            declared.min_effect,
            {name: panel.baseline for name, panel in panels.items()},
            {name: tuple(arm.name for arm in panel.arms) for name, panel in panels.items()},
        )

    def to_json(self) -> dict[str, Any]:
        """Return its part of a line of plans.jsonl."""
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
    """One line of plans.jsonl: what was planned from that moment on."""

    seeds: tuple[int, ...]
    rule: Rule = "fixed"
    limit: int | None = None
    """Under the sequential rule: the most seeds there may be."""
    closed: Mapping[str, Mapping[str, tuple[int, ...]]] = field(default_factory=dict)
    """By panel (an empty name where there are none) and arm: the seeds of an arm that gets no more of them."""
    results: int = 0
    """Runs that had finished by then: results that could be seen when the plan was made."""
    question: Question | None = None
    """None in a line of a version that did not write it down."""

    def closed_in(self, panel: str | None) -> Mapping[str, tuple[int, ...]]:
        """Return the closed arms of a panel, each with the seeds it has."""
        return self.closed.get(panel or "", {})

    def to_json(self) -> dict[str, Any]:
        """Return a line of plans.jsonl, but for the time."""
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
    """Runs that had finished when the first of them was."""


def read_plans(directory: ExperimentDirectory) -> tuple[Plan, ...]:
    """Return every plan of an experiment or a panel, the present one last; none of versions that kept no plans.

    Raises:
        RunDirectoryError: a line is no JSON object.
        ValueError, TypeError, LookupError, AttributeError: a line has not the entries it should have.
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
    """Return the plan under which the first results came and all after it.

    What was planned before it was nobody's choice among results.
    """
    return plans[max((i for i, plan in enumerate(plans) if plan.results == 0), default=0) :]


def find_seed_changes(plans: Sequence[Plan]) -> list[SeedChange]:
    """Return what was changed of a fixed plan once there was something to see.

    Seeds added under the sequential rule are what that rule is for: its evidence holds however many looks there were.
    It does not allow for choosing among seeds, so what had been dropped before it began still counts.
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
