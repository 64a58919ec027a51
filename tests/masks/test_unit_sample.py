"""What is kept of more elements than fit follows from the elements alone, and tells how many there were."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskbench.masks.unit_sample import UnitSample

BOUND = 12


def filled(stream: list[tuple[int, int]], pieces: int) -> UnitSample[int]:
    """A sample that is shrunk after every `pieces` visits."""
    sample: UnitSample[int] = UnitSample.of(2)
    for n, (unit, element) in enumerate(stream):
        if sample.visit(unit):
            sample.add(0, unit, element)
            sample.add(1, unit, element % 2)
        if n % pieces == pieces - 1:
            sample.shrink()
    sample.shrink()
    return sample


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), max_size=160),
    st.randoms(use_true_random=False),
    st.integers(1, 30),
)
def test_order_and_repeats_do_not_matter(stream, generator, pieces):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("maskbench.masks.unit_sample.LARGEST", BOUND)
        first = filled(stream, 1)
        again = [*stream, *generator.choices(stream, k=20)] if stream else []
        generator.shuffle(again)
        second = filled(again, pieces)
    assert (first.sets, first.sizes, first.level) == (second.sets, second.sizes, second.level)
    assert max(first.sizes) <= BOUND
    # One level less keeps more than fits.
    lower: UnitSample[int] = UnitSample.of(1)
    lower.level = max(0, first.level - 1)
    more = {(unit, element) for unit, element in stream if lower.visit(unit)}
    assert (len(more) > BOUND) == (first.level > 0)
    # All of a kept unit is kept.
    whole = {unit: {e for u, e in stream if u == unit} for unit in first.visits}
    assert first.sets[0] == whole
    assert first.visits == {unit: sum(u == unit for u, _ in stream) for unit in whole}
    assert first.all_visits == len(stream)


# With two elements a unit the last level is odd, so a level that rises by two misses it.
@pytest.mark.parametrize("each", [1, 2, 3])
def test_numbers_are_estimated_within_their_error(monkeypatch, each):
    monkeypatch.setattr("maskbench.masks.unit_sample.LARGEST", 400)
    stream = [(unit, element) for element in range(each) for unit in range(5_000)]
    sample = filled(stream, 97)
    kept = len(sample.visits)
    assert sample.level > 0 and 200 / each <= kept <= 400 / each
    assert abs(sample.estimate(0) / len(stream) - 1) < 4 / math.sqrt(kept)
    # Every visit is another element, so the share of visits gives the number exactly.
    assert sample.estimate_by_visits(0) == len(stream)


def test_few_elements_are_counted(monkeypatch):
    sample = filled([(3, 1), (3, 1), (7, 4), (3, 2)], 1)
    assert sample.level == 0 and sample.share == 1.0
    assert sample.estimate(0) == sample.estimate_by_visits(0) == 3
    assert UnitSample.of(1).estimate_by_visits(0) == 0
