"""What the numbers of a panel cannot tell: only what applies to it, so that it is read."""

from __future__ import annotations

from collections.abc import Iterator

from maskbench.comparison.text.sentences import listed
from maskbench.report.gather import Panel
from maskbench.statistics.paired import least_seeds

_MADE_UP = ("copy", "cue", "recall", "reverse", "sort", "toydeen")


def limits(panel: Panel) -> Iterator[str]:
    """Yield the sentences that apply."""
    comparison, experiment = panel.comparison, panel.collected.found.experiment
    corpora = sorted({arm.config.corpus.name for arm in panel.collected.found.panel.arms})
    if any(row.difference for row in comparison.rows):
        yield (
            "All arms learned from one training set and were judged on one test set. The verdicts speak of new seeds with "
            "these, not of other data."
        )
    made = [name for name in corpora if name in _MADE_UP]
    if made:
        yield f"The data of {listed(made)} is made up by a program; what holds there need not hold for a natural language."
    arms = sum(row.difference is not None for row in comparison.rows)
    if arms and len(experiment.seeds) < least_seeds(arms, comparison.settings.alpha):
        yield "So few seeds describe what happened; they cannot decide whether it would happen again."
    if any(row.other_metrics for row in comparison.rows):
        yield (
            f"Only {comparison.settings.metric} was tested. Everything else on this page is exploratory: with so many numbers "
            "some differ by chance."
        )
    different = [row.title for row in comparison.rows if row.also_different]
    if different:
        yield (
            f"{listed(different)} {'differ' if len(different) > 1 else 'differs'} from the baseline in more than the mask, so "
            "the mask alone need not be the reason."
        )
    unsafe = [row.title for row in comparison.rows if row.unsafe]
    if unsafe:
        yield f"{listed(unsafe)}: the masks let through what they should hide, on purpose; scores say nothing of use."
    oracles = [row.title for row in comparison.rows if row.oracle]
    if oracles:
        yield f"{listed(oracles)}: told what no model knows, so what is gained is a bound, not a method."
    if comparison.rule == "sequential":
        yield (
            "Seeds were added until something came out. The verdicts allow for that; the sizes of the differences do not, and "
            "lean away from zero."
        )
