"""Writes one TensorBoard run per arm: mean, lowest and highest value over seeds of every logged number.

The run is in `_aggregate/<arm>` beside the arms; no arm's name begins with an underscore. Its tags are the
seeds' tags with the prefixes `seeds_mean/`, `seeds_lowest/` and `seeds_highest/`. The prefixes are needed:
TensorBoard draws a band for every selected run that has one of its tags, and reports an error if a run
lacks one of the three.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from maskbench.records.curves import LearningCurve
from maskbench.records.locate import FoundPanel
from maskbench.tensorboard.events import Event, SummaryValue, make_scalar

MEANS_FOLDER = "_aggregate"
MEAN, LOWEST, HIGHEST = "seeds_mean", "seeds_lowest", "seeds_highest"


def means_folder_of(found: FoundPanel, arm: str) -> Path:
    """Return the folder of an arm's means."""
    return found.directory.path / MEANS_FOLDER / arm


def make_mean_events(
    found: FoundPanel, curves: Mapping[str, Sequence[LearningCurve]]
) -> dict[str, list[Event]]:
    """Return the events of each arm's means, in the order of steps; arms without logs are left out.

    Args:
        curves: tag -> curves, as `maskbench.records.curves.read_curves` returns them.
    """
    entries: dict[str, dict[int, list[SummaryValue]]] = defaultdict(lambda: defaultdict(list))
    for tag in sorted(curves):
        for curve in curves[tag]:
            for i, step in enumerate(curve.steps):
                entries[curve.arm][step] += [
                    make_scalar(f"{MEAN}/{tag}", curve.mean[i]),
                    make_scalar(f"{LOWEST}/{tag}", curve.low[i]),
                    make_scalar(f"{HIGHEST}/{tag}", curve.high[i]),
                ]
    return {arm: _in_order(found, arm, steps) for arm, steps in entries.items()}


def _in_order(found: FoundPanel, arm: str, entries: Mapping[int, Sequence[SummaryValue]]) -> list[Event]:
    # All steps get the same time: seeds train at different times, so a step has no single time.
    time = find_last_logged_time(found, arm)
    return [Event(time, step, entries[step]) for step in sorted(entries)]


def find_last_logged_time(found: FoundPanel, arm: str) -> float:
    """Return the time of the last log of an arm's seeds, in seconds since 1970; 0 if there is none."""
    files = (found.directory.run(arm, seed).metrics.path for seed in found.experiment.seeds)
    return max((path.stat().st_mtime for path in files if path.exists()), default=0.0)
