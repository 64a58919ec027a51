"""How often the verdict cries wolf, over thousands of simulated experiments in which nothing differs."""

from __future__ import annotations

import numpy as np
import pytest

from maskbench.comparison.statistics import least_seeds, sign_flip_p
from maskbench.comparison.verdict import Pairs, decide

EXPERIMENTS, ALPHA = 2000, 0.05
pytestmark = pytest.mark.slow


def null_differences(seeds: int, arms: int = 1) -> np.ndarray:
    """Paired differences of arms that do what the baseline does: normal, and every other experiment heavy-tailed."""
    generator = np.random.Generator(np.random.Philox(key=seeds * 100 + arms))
    normal = generator.standard_normal((EXPERIMENTS, arms, seeds))
    heavy = generator.standard_t(3, (EXPERIMENTS, arms, seeds))
    return np.where((np.arange(EXPERIMENTS) % 2 == 0)[:, None, None], normal, heavy)


def at_most(rate: float) -> float:
    return rate + 3 * (rate * (1 - rate) / EXPERIMENTS) ** 0.5


@pytest.mark.parametrize("seeds", [6, 8, 10])
def test_false_alarms_stay_below_alpha(seeds):
    alarms = [sign_flip_p(tuple(d[0])) <= ALPHA for d in null_differences(seeds)]
    assert np.mean(alarms) <= at_most(ALPHA)


def test_a_family_of_arms_has_a_false_verdict_no_more_often_than_one():
    arms = 3
    seeds = least_seeds(arms, ALPHA)
    false = 0
    for experiment in null_differences(seeds, arms):
        decisions = decide([Pairs(tuple(d)) for d in experiment], ALPHA, None)
        false += any(decision.verdict in ("better", "worse") for decision in decisions)
    assert false / EXPERIMENTS <= at_most(ALPHA)
