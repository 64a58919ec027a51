"""What a run writes down: finite numbers, times kept apart, costs that count repeated work once."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from maskbench.runs.directory import RunDirectory
from maskbench.runs.identity import SoftwareEnvironment
from maskbench.training.environment import environment_changes
from maskbench.training.logbook import Logbook
from maskbench.training.trainer import Diverged


def test_a_value_that_is_not_finite_is_a_divergence_and_nothing_of_it_is_logged(tmp_path: Path) -> None:
    log = Logbook(RunDirectory(tmp_path), 0)
    with pytest.raises(Diverged, match="valid/nll is inf at step 4"):
        log.write(4, {"valid/token_accuracy": 0.5, "valid/nll": math.inf})
    assert log.lines() == []


def test_what_was_logged_after_the_checkpoint_is_dropped(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    log = Logbook(run, 0)
    log.write(1, {"train/nll": 2.0})
    saved = log.sync()
    log.write(2, {"train/nll": 1.0})
    assert [line["step"] for line in Logbook(run, saved).lines()] == [1]


def test_a_step_that_was_done_twice_costs_once(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    log = Logbook(run, 0)
    for step, seconds in [(1, 2.0), (2, 3.0), (2, 5.0)]:
        log.stopwatch.add(seconds, 70)
        log.write_time(step)
    assert log.cost()["seconds"] == 7.0
    assert log.cost()["tokens_per_second"] == 20.0


def test_the_hash_of_the_losses_sees_every_bit_and_nothing_else(tmp_path: Path) -> None:
    logs = [Logbook(RunDirectory(tmp_path / name), 0) for name in "abc"]
    for log, value, rate in zip(logs, [0.3, 0.3, math.nextafter(0.3, 1)], [1.0, 2.0, 1.0], strict=True):
        log.write(1, {"train/nll": value, "train/lr": rate})
    same, also, other = (log.nll_sha256() for log in logs)
    assert same == also != other


def test_a_run_that_moved_to_another_machine_says_what_changed() -> None:
    record = {"versions": {"torch": "2.12"}, "environment": {"threads": 1, "device": "cpu"}}
    now = SoftwareEnvironment({"torch": "2.13"}, {"threads": 1, "device": "cpu"})
    assert environment_changes(record, now) == ["torch 2.12 -> 2.13"]
