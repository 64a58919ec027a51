"""An arm over its seeds, as a TensorBoard run of its own: for every logged number the mean, the lowest and the highest.

The run lies in `_aggregate/<arm>` beside the arms; no arm's name can begin so. Its tags are those of the seeds behind
`seeds_mean/`, `seeds_lowest/` and `seeds_highest/`, and never a seed's own: a band is drawn for every chosen run that
has one of its tags, and a run that has one but not all three is reported as an error.
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
    """Return where the means of an arm are kept."""
    return found.directory.path / MEANS_FOLDER / arm


def make_mean_events(
    found: FoundPanel, curves: Mapping[str, Sequence[LearningCurve]]
) -> dict[str, list[Event]]:
    """Return what the run of every arm that logged anything holds, in the order of steps.

    Args:
        curves: by tag, as `maskbench.records.curves` gives them.
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
    # One time for all steps: seeds train one after another, so no step has a time of its own.
    time = find_last_logged_time(found, arm)
    return [Event(time, step, entries[step]) for step in sorted(entries)]


def find_last_logged_time(found: FoundPanel, arm: str) -> float:
    """Return when a seed of an arm last logged something, in seconds since 1970; 0 where none has."""
    files = (found.directory.run(arm, seed).metrics.path for seed in found.experiment.seeds)
    return max((path.stat().st_mtime for path in files if path.exists()), default=0.0)
