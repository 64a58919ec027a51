"""What the executor's processes do for an experiment."""

from __future__ import annotations

from typing import Any

from maskbench.config.schema.experiment import CorpusConfig, ModelConfig, RunConfig
from maskbench.experiment import train_job
from maskbench.experiment.preparation import estimate_memory
from maskbench.training.job import Progress


def progress(state: Any, step: int, speed: float | None = None, message: str = "") -> Progress:
    return Progress(("a", 0, None), state, step, 9, tokens_per_second=speed, message=message)


def relayed(*messages: Progress, at: list[float]) -> list[Progress]:
    """What is passed on of messages that come at these times."""
    heard: list[Progress] = []
    times = iter(at)
    relay = train_job.ThrottledReport(heard.append, clock=lambda: next(times))
    for message in messages:
        relay(message)
    return heard


def test_steps_are_passed_on_a_few_times_a_second_and_every_new_state_at_once() -> None:
    steps = [progress("training", i) for i in (1, 2, 3, 4)]
    heard = relayed(
        progress("starting", 0), *steps, progress("done", 9), at=[0.00, 0.01, 0.02, 0.25, 0.26, 0.27]
    )
    assert [(p.state, p.step) for p in heard] == [
        ("starting", 0),
        ("training", 1),
        ("training", 3),
        ("done", 9),
    ]


def test_a_speed_that_was_measured_between_two_reports_is_not_lost() -> None:
    steps = [progress("training", 1), progress("training", 2, speed=70.0), progress("training", 3)]
    assert [p.tokens_per_second for p in relayed(*steps, at=[0.0, 0.1, 0.3])] == [None, 70.0]


def test_a_message_is_always_passed_on() -> None:
    notes = [
        progress("starting", 0, message="step-40 is damaged"),
        progress("starting", 0, message="step-35 too"),
    ]
    assert relayed(*notes, at=[0.0, 0.0]) == notes


def test_more_of_anything_needs_more_memory() -> None:
    small = RunConfig(corpus=CorpusConfig(name="copy"))
    wide = RunConfig(corpus=CorpusConfig(name="copy"), model=ModelConfig(d_model=512))
    need = estimate_memory(small, parameters=1000, vocabulary=50)
    assert estimate_memory(wide, parameters=1000, vocabulary=50) > need
    assert estimate_memory(small, parameters=1_000_000, vocabulary=50) > need
    assert estimate_memory(small, parameters=1000, vocabulary=8000) > need
