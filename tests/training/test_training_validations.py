"""Validations that found no better model, live and rebuilt from what was logged."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from maskbench.training.validations import ValidationHistory


def test_the_first_of_equals_is_the_best_and_the_second_a_stall():
    stalls = ValidationHistory("valid/nll")
    assert [stalls.add(step, value) for step, value in [(2, 3.0), (4, 3.0), (6, 2.5), (8, 2.6)]] == [
        True,
        False,
        True,
        False,
    ]
    assert [stalls.count_stalls(step) for step in range(0, 10, 2)] == [0, 0, 1, 1, 2]


def test_a_metric_that_should_rise_stalls_when_it_falls():
    stalls = ValidationHistory("valid/bleu")
    assert stalls.add(1, 10.0)
    assert not stalls.add(2, 9.0)


@given(st.lists(st.sampled_from([1.0, 2.0, 3.0]), max_size=12))
def test_what_is_rebuilt_from_the_log_is_what_was_live(values):
    live = ValidationHistory("valid/nll")
    for step, value in enumerate(values):
        live.add(step, value)
    log = [{"step": step, "valid/nll": value} for step, value in enumerate(values)]
    rebuilt = ValidationHistory("valid/nll", [{"step": 0, "train/nll": 9.0}, *log])
    for step in range(len(values) + 1):
        bests = [v for i, v in enumerate(values) if all(v < earlier for earlier in values[:i]) and i <= step]
        assert (
            live.count_stalls(step) == rebuilt.count_stalls(step) == min(step + 1, len(values)) - len(bests)
        )
