"""What an arm's training step costs beside the baseline's: a ratio with an interval, from steps taken in turn."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from maskbench.statistics.paired import student_interval

BATCHES = 10
"""Groups of consecutive steps whose means count as independent."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """A geometric mean ratio with its 95 % interval; without limits where there are too few batches."""

    value: float
    low: float | None
    high: float | None


def batch_logs(seconds: Sequence[float]) -> list[float]:
    """Return the mean logarithm of step times in `BATCHES` runs of consecutive steps, fewer if there are fewer steps.

    Single steps are no independent sample: a machine that is disturbed stays so for a while, and who goes first in a
    turn comes round again. What lasts a few steps stays within a batch, and dividing batch by batch takes out what
    befalls all arms, so the ratios of batches are far nearer to independent (the method of batch means; Schmeiser 1982,
    "Batch size effects in the analysis of simulation output", who finds no gain in more than 10 to 30 of them).

    Args:
        seconds: each > 0, in the order of the steps.
    """
    n, count = len(seconds), min(BATCHES, len(seconds))
    edges = [n * i // count for i in range(count + 1)] if count else [0]
    logs = [math.log(value) for value in seconds]
    return [math.fsum(logs[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]


def ratio(own: Sequence[float], baseline: Sequence[float]) -> Ratio | None:
    """Return the geometric mean of own time / baseline's time, with Student's t on the logarithms.

    Args:
        own: an arm's `batch_logs`.
        baseline: the baseline's, of the same steps.

    Returns:
        None without a batch, or if the two are not of the same steps.
    """
    if not own or len(own) != len(baseline):
        return None
    gaps = [a - b for a, b in zip(own, baseline, strict=True)]
    limits = student_interval(gaps, 0.05)
    value = math.exp(math.fsum(gaps) / len(gaps))
    if limits is None:
        return Ratio(value, None, None)
    return Ratio(value, math.exp(limits.low), math.exp(limits.high))
