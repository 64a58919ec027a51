"""Retired arms that are asked for or of which there is nothing to see, and whether the correction counts them."""

from __future__ import annotations

from collections.abc import Sequence

from maskbench.comparison.results import RetiredResult
from maskbench.config.schema.experiment import RetiredArm
from maskbench.records.collect import CollectedPanel
from maskbench.records.plans import plans_since_results
from maskbench.registry import did_you_mean


def describe_missing_arm(
    wanted: str, names: Sequence[str], retired: Sequence[RetiredArm | RetiredResult], what: str = "arms"
) -> str:
    """Return why no arm of that name can be chosen: it is retired, or there is none.

    Args:
        names: the arms that can be chosen.
        what: what these are called.
    """
    listed = ", ".join(names) or "none"
    for arm in retired:
        if wanted in (arm.title, arm.arm if isinstance(arm, RetiredResult) else arm.name):
            return f"arm {wanted!r} is retired ({arm.reason}): it gets no verdict any more ({what}: {listed})"
    return f"no arm named {wanted!r}{did_you_mean(wanted, names)} ({what}: {listed})"


def was_planned(collected: CollectedPanel, arm: str) -> bool:
    """Whether an arm was part of a plan when, or after, there were results to see."""
    return arm in _ever_planned(collected)


def _ever_planned(collected: CollectedPanel) -> list[str]:
    """Return the arms of the panel's plans since there were results, so far as plans record them."""
    place = collected.found.panel.name or ""
    questions = [plan.question for plan in plans_since_results(collected.plans) if plan.question is not None]
    return list(dict.fromkeys(arm for question in questions for arm in question.arms.get(place, ())))


def retired_warnings(collected: CollectedPanel, retired: Sequence[RetiredResult]) -> list[str]:
    """Return a sentence for every retired arm without a result, which may be one whose name is misspelt."""
    live = {arm.name for arm in collected.found.panel.arms}
    folders = {run.arm for run in collected.found.directory.runs()}
    known = {*_ever_planned(collected), *folders} - live - {one.arm for one in retired}
    sentences = []
    for one in retired:
        if one.row is not None:
            continue
        if one.is_counted:
            sentences.append(
                f"retired arm {one.title}: it was planned when there were results, and has none here now; the correction "
                "counts it as an arm that shows nothing"
            )
            continue
        sentences.append(
            f"retired arm {one.title}: no run of it has a result here, and no plan names it, so the correction does not "
            f"count it{did_you_mean(one.arm, sorted(known))}"
        )
    return sentences
