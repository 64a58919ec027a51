"""How many seeds it takes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from maskbench.comparison.power import Family, SeedRange, seeds_needed


def looped_seeds(ratio: float, level: float) -> int:
    """Try every number of seeds from two on."""
    n = np.arange(2, 2000)
    needed = (stats.t.ppf(1 - level / 2, n - 1) + stats.t.ppf(0.8, n - 1)) ** 2 * ratio**2
    return int(n[n >= needed][0])


def test_the_worked_example_takes_seven_to_thirteen_seeds() -> None:
    assert seeds_needed(0.365, 5, 0.5, Family(1, 0.05)) == SeedRange(7, 13)


@given(st.floats(0.1, 8.0), st.integers(1, 6))
def test_it_agrees_with_a_search_from_below(ratio: float, n_arms: int) -> None:
    found = seeds_needed(ratio, 8, 1.0, Family(n_arms, 0.05)).low
    floor = {1: 6, 2: 7, 3: 7}.get(n_arms, 8)
    assert found == max(floor, looped_seeds(ratio, 0.05 / n_arms))


@pytest.mark.parametrize(("n_pairs", "factor"), [(3, 2.12), (5, 1.56), (8, 1.35), (12, 1.25)])
def test_the_upper_end_takes_the_upper_limit_of_the_spread(n_pairs: int, factor: float) -> None:
    family = Family(1, 0.05)
    pessimist = seeds_needed(4.0, n_pairs, 1.0, family).high
    assert pessimist == pytest.approx(seeds_needed(4.0 * factor, n_pairs, 1.0, family).low, rel=0.02)


def test_no_spread_still_takes_as_many_seeds_as_the_test() -> None:
    assert seeds_needed(0.0, 8, 0.01, Family(4, 0.05)) == SeedRange(8, 8)
