"""Pairs of runs with the same seed: one of an arm, one of the baseline."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

from maskbench.comparison.results import ComparisonSettings
from maskbench.records.collect import CollectedRun
from maskbench.statistics.pairs import PairedRuns


def match_pairs(
    couples: Sequence[tuple[CollectedRun, CollectedRun]], settings: ComparisonSettings
) -> PairedRuns:
    """Return the differences and the outcomes of all pairs; positive differences are better.

    Args:
        couples: run of the arm and run of the baseline, in the order of the seeds; each that is done has the metric.
        settings: which metric counts, and in which direction.
    """
    sign = 1 if settings.info.higher_is_better else -1
    states = [(a.state, b.state) for a, b in couples]
    finished = [(a, b) for a, b in couples if a.result and b.result]
    alike = sum(_same_bytes(a, b) for a, b in finished)
    return PairedRuns(
        differences=tuple(
            sign * (metric_value(a, settings) - metric_value(b, settings)) for a, b in finished
        ),
        baseline_diverged=states.count(("done", "diverged")),
        arm_diverged=states.count(("diverged", "done")),
        both_diverged=states.count(("diverged", "diverged")),
        lost=sum("failed" in state for state in states),
        waiting=sum("waiting" in state and "failed" not in state for state in states),
        identical=0 < len(finished) == alike,
        alike=alike,
        sides=tuple(_side(a, b, settings) for a, b in _until_waiting(couples)),
    )


def metric_value(cell: CollectedRun, settings: ComparisonSettings) -> float:
    """Return a finished run's metric.

    Raises:
        ValueError: the run is not done.
    """
    if cell.result is None:
        raise ValueError(f"{cell.arm}, seed {cell.seed}, is not done")
    return cell.result.metrics[settings.metric]


def _side(arm: CollectedRun, baseline: CollectedRun, settings: ComparisonSettings) -> float:
    """Return a pair's difference, an infinite one where only one run diverged, and 0 where neither counts."""
    if arm.result and baseline.result:
        gap = metric_value(arm, settings) - metric_value(baseline, settings)
        return gap if settings.info.higher_is_better else 0.0 - gap
    sides = {("diverged", "done"): -math.inf, ("done", "diverged"): math.inf}
    return sides.get((arm.state, baseline.state), 0.0)


def _until_waiting(
    couples: Sequence[tuple[CollectedRun, CollectedRun]],
) -> Iterator[tuple[CollectedRun, CollectedRun]]:
    """Yield pairs in the order of their seeds, up to the first that is not finished.

    The sequential rule must not depend on which pair is done first. A failed run is not waited for, because it may fail
    for ever; its pair counts again once it has been trained.
    """
    return itertools.takewhile(lambda couple: "waiting" not in [cell.state for cell in couple], couples)


def _same_bytes(a: CollectedRun, b: CollectedRun) -> bool:
    """Whether two runs wrote the same translations and logged the same training losses; unknown counts as no."""
    if a.result is None or b.result is None:
        return False
    hashes = [(o.outputs_sha256, o.train_nll_sha256) for o in (a.result, b.result)]
    return hashes[0] == hashes[1] and None not in hashes[0]
