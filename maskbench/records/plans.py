"""What `maskbench run` was asked for over time: which seeds, under which stopping rule, and what was known by then.

Under the fixed rule the seeds are chosen before the first result. Under the sequential one they are added, one at a
time, until every arm is decided. plans.jsonl tells which it was, and whether a fixed choice was changed afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from maskbench.runs.directory import ExperimentDirectory
from maskbench.statistics.sequential import Rule


@dataclass(frozen=True, slots=True)
class Plan:
    """What was planned from some moment on."""

    seeds: tuple[int, ...]
    rule: Rule = "fixed"
    limit: int | None = None
    """Under the sequential rule: the most seeds there may be."""
    closed: Mapping[str, Mapping[str, tuple[int, ...]]] = field(default_factory=dict)
    """By panel (an empty name where there are none) and arm: the seeds of an arm that gets no more of them."""
    results: int = 0
    """Runs that had finished by then: what whoever planned could have seen."""

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
        }


@dataclass(frozen=True, slots=True)
class Change:
    """Seeds that were planned otherwise after results could be seen."""

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
    )


def _seeds(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} stands where a list of seeds should")
    return tuple(map(_count, value))


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} stands where a whole number should")
    return value


def changed_after_results(plans: Sequence[Plan]) -> list[Change]:
    """Return what was changed of a fixed plan once there was something to see.

    Seeds added under the sequential rule are what that rule is for: its evidence holds however many looks there were.
    """
    if not plans or plans[-1].rule == "sequential":
        return []
    # The plan under which the first results came; what was planned before it was nobody's choice among results.
    first = max((i for i, plan in enumerate(plans) if plan.results == 0), default=0)
    later, now = plans[first + 1 :], plans[-1].seeds
    ever = dict.fromkeys(seed for plan in plans[first:] for seed in plan.seeds)
    added = tuple(seed for seed in now if seed not in plans[first].seeds)
    dropped = tuple(seed for seed in ever if seed not in now)
    changes = []
    if added:
        at = next(plan for plan in later if set(added) & set(plan.seeds))
        changes.append(Change("added", added, at.results))
    if dropped:
        at = next(
            after
            for before, after in zip(plans[first:], later, strict=False)
            if (set(before.seeds) - set(after.seeds)) & set(dropped)
        )
        changes.append(Change("dropped", dropped, at.results))
    return changes
