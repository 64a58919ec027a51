"""How many runs fit side by side."""

from __future__ import annotations

import pytest

from maskbench.executors import Resources, machine


@pytest.mark.parametrize(
    ("cores", "free", "threads", "need", "fit"),
    [
        (8, 100_000, 1, 1_000, 8),
        (8, 100_000, 2, 1_000, 4),
        (8, 100_000, 3, 1_000, 2),
        (8, 5_000, 1, 1_000, 4),  # a tenth of the memory is left alone
        (2, 100_000, 4, 1_000, 1),
        (8, 500, 1, 1_000, 1),
    ],
)
def test_as_many_runs_as_cores_and_memory_allow_but_at_least_one(
    monkeypatch: pytest.MonkeyPatch, cores: int, free: int, threads: int, need: int, fit: int
) -> None:
    monkeypatch.setattr(machine, "count_cores", lambda: cores)
    monkeypatch.setattr(machine, "free_memory", lambda: free)
    assert machine.count_fitting(Resources(threads, need)) == fit


def test_this_machine_has_a_core_and_some_memory() -> None:
    assert machine.count_cores() >= 1
    assert machine.free_memory() > 0
