"""Arms that trained without what they are named after: measured facts from the records of their runs.

A mask that picked no token or hid no pair in training, a learned mask that was never trained, a loss without tokens, and
positions that were evaluated and never trained.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from maskbench.comparison.text.sentences import join_names
from maskbench.config.resolve.ineffective_options import find_ineffective_options
from maskbench.config.schema.experiment import CONTROLS, ArmConfig
from maskbench.records.collect import CollectedRun, RunResult
from maskbench.text import count_of


def idle_alarms(arms: Sequence[ArmConfig], cells: Iterable[CollectedRun]) -> list[str]:
    """Return a sentence for everything of an arm that did nothing in its runs, in the order of the arms."""
    cells = list(cells)
    return [
        sentence
        for arm in arms
        for sentence in _of_arm(arm, [c.result for c in cells if c.arm == arm.name and c.result is not None])
    ]


def _of_arm(arm: ArmConfig, results: Sequence[RunResult]) -> Iterator[str]:
    empty = sum(result.loss_without_tokens for result in results)
    if empty:
        yield (
            f"nothing was learned: no target token counted in the loss of {arm.title} in {_runs(empty, results)}, so its"
            " results are those of weights that were hardly moved"
        )
    for index, placement in enumerate(arm.config.masks):
        entries = [result.masks[index] for result in results if index < len(result.masks)]
        said = [what for entry in entries if (what := describe_idle(entry, arm.config.init_from is not None))]
        for what in dict.fromkeys(said):
            if placement.mask not in CONTROLS and not (empty and placement.site == "loss"):
                yield (
                    f"a mask that did nothing: {placement.mask} at {placement.site} of {arm.title} {what} in"
                    f" {_runs(said.count(what), results)}: nothing the arm learned comes from it"
                )
    for key, why in find_ineffective_options(arm.config) if results else ():
        if key in arm.also_different:
            yield f"a setting without effect: {key} of {arm.title} {why}"


def describe_idle(entry: Mapping[str, Any], starts_trained: bool = False) -> str:
    """Return how a placement did nothing, from its entry in the mask proof; empty if it did something.

    Args:
        starts_trained: whether the run starts from another run's weights, in which the mask may be trained.
    """
    if entry.get("trained") is False and not starts_trained:
        return "has learned numbers that were never trained"
    if entry.get("phases") == ["eval"]:
        return ""
    if entry.get("realised_ratio") == 0:
        return (
            "left every target token in the loss"
            if entry["site"] == "loss"
            else "picked no token in training"
        )
    if entry.get("realised_ratio") == 1 and entry["site"] == "loss":
        return "left no target token in the loss"
    return "hid no pair of positions in training" if entry.get("density") == 1 else ""


def untrained_position_warnings(arms: Sequence[ArmConfig], cells: Iterable[CollectedRun]) -> list[str]:
    """Return sentences on splits on which arms with learned positions were evaluated beyond their training."""
    title = {arm.name: arm.title for arm in arms}
    found = [
        (title.get(cell.arm, cell.arm), cell.result.untrained_positions)
        for cell in cells
        if cell.result is not None
    ]
    return describe_untrained_positions(found)


def describe_untrained_positions(found: Iterable[tuple[str, Mapping[str, tuple[int, int]]]]) -> list[str]:
    """Return sentences on evaluated pairs whose last positions were never trained, one for arms with the same splits.

    Args:
        found: arms, which may repeat, and for each split the number of longer pairs and of all pairs.
    """
    by_split: dict[tuple[str, int, int], dict[str, None]] = {}
    for arm, splits in found:
        for split, (longer, total) in splits.items():
            by_split.setdefault((split, longer, total), {})[arm] = None
    by_arms: dict[tuple[str, ...], list[str]] = {}
    for (split, longer, total), arms in by_split.items():
        by_arms.setdefault(tuple(arms), []).append(f"{longer} of {count_of(total, 'pair')} of {split}")
    return [
        f"untrained positions: {join_names(counts)} exceed the longest training pair, and with positions: learned the"
        f" places beyond were never trained ({', '.join(arms)})"
        for arms, counts in by_arms.items()
    ]


def _runs(n: int, results: Sequence[RunResult]) -> str:
    return f"{n} of {count_of(len(results), 'run')}"
