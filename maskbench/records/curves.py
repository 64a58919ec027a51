"""Reads the learning curves of a panel: mean and range over seeds of each logged number by step."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maskbench.config.schema.experiment import ArmConfig
from maskbench.errors import MaskbenchError
from maskbench.records.locate import FoundPanel


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """One logged number of one arm over training; all tuples have one entry per step."""

    arm: str
    title: str
    tag: str
    steps: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    """Lowest value over seeds."""
    high: tuple[float, ...]
    """Highest value over seeds."""
    n: tuple[int, ...]
    """Number of seeds that logged the value; steps that some seeds have not reached are left out."""


def read_curves(found: FoundPanel, unread: list[str] | None = None) -> Mapping[str, Sequence[LearningCurve]]:
    """Return tag -> one curve for each arm that logged the tag, in the order of the arms.

    A curve has the steps at which all of the arm's runs with that tag logged it: with different seeds at
    different steps, the mean would jump where a run ends.

    Args:
        unread: receives a sentence for each run that is left out because its lines are damaged.
    """
    logged: dict[str, list[LearningCurve]] = defaultdict(list)
    for arm in found.panel.arms:
        for curve in _of(found, arm, [] if unread is None else unread):
            logged[curve.tag].append(curve)
    return logged


def _of(found: FoundPanel, arm: ArmConfig, unread: list[str]) -> list[LearningCurve]:
    values: dict[str, list[dict[int, float]]] = defaultdict(list)
    for seed in found.experiment.seeds:
        for tag, points in _points(found, arm.name, seed, unread).items():
            values[tag].append(points)
    made = []
    for tag, runs in sorted(values.items()):
        steps = sorted(set.intersection(*(set(points) for points in runs)))
        columns = [[points[step] for points in runs] for step in steps]
        made.append(
            LearningCurve(
                arm=arm.name,
                title=arm.title,
                tag=tag,
                steps=tuple(steps),
                mean=tuple(statistics.fmean(column) for column in columns),
                low=tuple(map(min, columns)),
                high=tuple(map(max, columns)),
                n=tuple(map(len, columns)),
            )
        )
    return made


def _points(found: FoundPanel, arm: str, seed: int, unread: list[str]) -> dict[str, dict[int, float]]:
    points: dict[str, dict[int, float]] = defaultdict(dict)
    try:
        records = found.directory.run(arm, seed).metrics.read()
    except MaskbenchError as error:
        unread.append(f"learning curves leave out {arm}, seed {seed}: {error}")
        return {}
    for record in records:
        for tag, value in record.items():
            if tag != "step":
                points[tag][record["step"]] = float(value)
    return points
