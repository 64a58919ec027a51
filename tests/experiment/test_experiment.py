"""Running an experiment, with an executor that only pretends to train."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import maskbench.data
import maskbench.masks
from maskbench.config.load import load_experiment, load_resolved
from maskbench.config.schema.experiment import Experiment
from maskbench.data.text import download
from maskbench.errors import ConfigError, RunDirectoryError
from maskbench.executors import Listener, Resources, Task, TaskEnd
from maskbench.experiment.cost_probe import ProbeJob, StepTimes
from maskbench.experiment.plan import PlannedRun
from maskbench.experiment.preparation import make_dry_run
from maskbench.experiment.progress_events import ExperimentOutcome, NullReporter, RunEnd
from maskbench.experiment.run import run_experiment
from maskbench.registry import CORPORA
from maskbench.runs.directory import RunDirectory
from maskbench.runs.identity import Identity, SoftwareEnvironment, build_run_record
from maskbench.runs.locks import lock_experiment
from maskbench.training.job import RunJob

FILE = """
name: trial
seeds: {seeds}
baseline: a
corpus: {{name: copy, pairs: 64, valid: 8, test: 8, symbols: 7, max_length: 5}}
model: {{d_model: 12, n_heads: 3, encoder_layers: 1, decoder_layers: 1, d_ff: 20}}
train: {{steps: 5, lr: {lr}}}
arms: {{{arms}}}
{panels}
"""


def load(
    tmp_path: Path, arms: Sequence[str] = ("a", "b"), seeds: str = "[0]", lr: str = "0.01", panels: str = ""
) -> Experiment:
    masks = (f"[{{site: encoder_self, mask: window, radius: {i}}}]" for i in range(1, len(arms)))
    listed = ", ".join(f"{arm}: {mask}" for arm, mask in zip(arms, ["[]", *masks], strict=True))
    file = tmp_path / "trial.yaml"
    file.write_text(FILE.format(arms=listed, seeds=seeds, lr=lr, panels=panels), encoding="utf-8")
    return load_experiment(file)


def finish(job: RunJob) -> TaskEnd:
    """Leave behind what a finished run leaves."""
    directory = RunDirectory(job.directory)
    begin(job)
    directory.write_result({"metrics": {"test/exact_match": 0.5}})
    return TaskEnd("finished", "", 1.0)


def begin(job: RunJob) -> None:
    corpus = maskbench.data.load_corpus(job.config.corpus, job.cache_dir)
    identity = Identity(job.config.identity(), corpus.sha256)
    record = build_run_record(
        identity, arm=job.arm, seed=job.seed, provenance=SoftwareEnvironment(versions={}, environment={})
    )
    RunDirectory(job.directory).claim(record, identity)


@dataclass
class Pretender:
    """An executor that runs a function of the test for each job, in this process."""

    act: Callable[[RunJob], TaskEnd] = finish
    signal: int | None = None
    workers: int = 3
    jobs: list[RunJob] = field(default_factory=list)
    probed: list[ProbeJob] = field(default_factory=list)

    def warm_up(self) -> None:
        pass

    def count_workers(self, resources: Resources) -> int:
        return self.workers

    def execute(self, target: Any, tasks: Sequence[Task[Any]], listener: Listener[Any, Any]) -> int | None:
        for task in tasks:
            listener.started(task)
            if isinstance(task.payload, ProbeJob):
                self.probed.append(task.payload)
                names = [name for name, _ in task.payload.arms]
                times = StepTimes({name: [1.0, 2.0] for name in names}, {name: [10, 20] for name in names})
                listener.reported(task, times)
                listener.ended(task, TaskEnd("finished"))
            else:
                self.jobs.append(task.payload)
                listener.ended(task, self.act(task.payload))
        return self.signal


def run(
    experiment: Experiment, tmp_path: Path, executor: Pretender | None = None, **options: Any
) -> ExperimentOutcome:
    return run_experiment(experiment, tmp_path / "runs", executor=executor or Pretender(), **options)


def ran(executor: Pretender) -> list[tuple[str, int]]:
    return [(job.arm, job.seed) for job in executor.jobs]


def test_every_run_is_handed_over_in_the_order_of_the_plan(tmp_path: Path) -> None:
    executor = Pretender()
    outcome = run(load(tmp_path, seeds="[4, 2]"), tmp_path, executor)
    assert ran(executor) == [("a", 4), ("b", 4), ("b", 2), ("a", 2)]
    assert outcome.counts == {"done": 4, "skipped": 0, "failed": 0, "diverged": 0, "interrupted": 0}
    assert outcome.is_sound


def test_running_again_trains_and_measures_nothing(tmp_path: Path) -> None:
    experiment = load(tmp_path, seeds="[0, 1]")
    run(experiment, tmp_path)
    again = Pretender()
    outcome = run(experiment, tmp_path, again)
    assert not again.jobs and not again.probed
    assert outcome.counts["skipped"] == 4


def test_an_arm_and_a_seed_added_later_cost_only_themselves(tmp_path: Path) -> None:
    run(load(tmp_path), tmp_path)
    grown = Pretender()
    run(load(tmp_path, arms=("a", "b", "c"), seeds="[0, 1]"), tmp_path, grown)
    assert sorted(ran(grown)) == [("a", 1), ("b", 1), ("c", 0), ("c", 1)]
    assert [name for name, _ in grown.probed[0].arms] == ["a", "b", "c"]


def test_an_arm_that_was_dropped_keeps_its_runs_and_nothing_is_measured_again(tmp_path: Path) -> None:
    run(load(tmp_path), tmp_path)
    shrunk = Pretender()
    run(load(tmp_path, arms=("a",)), tmp_path, shrunk)
    assert (tmp_path / "runs/trial/b/seed-0/result.json").exists()
    assert not shrunk.jobs and not shrunk.probed
    (panel,) = load_resolved(tmp_path / "runs/trial/experiment.yaml").panels
    assert [arm.name for arm in panel.arms] == ["a"]


def test_training_a_part_leaves_the_whole_written_down_and_adds_its_seeds(tmp_path: Path) -> None:
    whole = load(tmp_path)
    part = load(tmp_path, arms=("a",)).model_copy(update={"seeds": (1, 7)})
    executor = Pretender()
    run(part, tmp_path, executor, whole=whole)
    written = load_resolved(tmp_path / "runs/trial/experiment.yaml")
    assert [arm.name for arm in written.panels[0].arms] == [arm.name for arm in whole.panels[0].arms]
    assert written.seeds == (*whole.seeds, 1, 7)
    assert sorted(ran(executor)) == [("a", 1), ("a", 7)]


def test_the_resolved_file_lies_beside_the_runs_of_every_panel(tmp_path: Path) -> None:
    experiment = load(tmp_path, panels="panels: {small: {corpus.pairs: 32}, large: {corpus.pairs: 64}}")
    executor = Pretender()
    run(experiment, tmp_path, executor)
    for place in ("trial", "trial/small", "trial/large"):
        assert load_resolved(tmp_path / "runs" / place / "experiment.yaml") == experiment
    assert {job.panel for job in executor.jobs} == {"small", "large"}
    assert len(executor.probed) == 2


def test_a_changed_setting_is_refused_before_anything_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(load(tmp_path), tmp_path)
    changed, executor = load(tmp_path, arms=("a", "b", "c"), lr="0.02"), Pretender()
    monkeypatch.setattr(maskbench.data, "load_corpus", lambda *_: pytest.fail("a corpus was built"))
    with pytest.raises(RunDirectoryError, match=r"train\.lr 0\.01 -> 0\.02") as refused:
        run(changed, tmp_path, executor)
    assert refused.value.exit_code == 5
    assert not executor.jobs
    (panel,) = load_resolved(tmp_path / "runs/trial/experiment.yaml").panels
    assert [arm.name for arm in panel.arms] == ["a", "b"]


def test_an_arm_that_cannot_be_built_fails_before_the_first_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from maskbench.model import transformer

    build = transformer.build_model

    def refuse_windows(config: Any, *rest: Any) -> Any:
        if config.masks:
            raise ValueError("no window fits")
        return build(config, *rest)

    monkeypatch.setattr(transformer, "build_model", refuse_windows)
    executor = Pretender()
    with pytest.raises(ConfigError, match="arm b cannot be built: no window fits"):
        run(load(tmp_path), tmp_path, executor)
    assert not executor.jobs


def ends(**by_arm: Callable[[RunJob], TaskEnd]) -> Callable[[RunJob], TaskEnd]:
    return lambda job: by_arm.get(job.arm, finish)(job)


def died(job: RunJob) -> TaskEnd:
    begin(job)
    RunDirectory(job.directory).write_status("running")
    return TaskEnd("died", "its process was killed by SIGKILL", 2.0, retries=1)


def diverged(job: RunJob) -> TaskEnd:
    begin(job)
    RunDirectory(job.directory).write_status("diverged", {"message": "the loss is not finite", "step": 3})
    return TaskEnd("finished", "", 1.0)


def test_a_run_that_dies_is_recorded_as_failed_and_tried_again_next_time(tmp_path: Path) -> None:
    experiment = load(tmp_path)
    outcome = run(experiment, tmp_path, Pretender(ends(b=died)))
    assert outcome.counts["failed"] == 1 and outcome.counts["done"] == 1
    assert not outcome.is_sound
    status = RunDirectory(tmp_path / "runs/trial/b/seed-0").status()
    assert (status.state, status.error) == ("failed", {"message": "its process was killed by SIGKILL"})
    again = Pretender()
    assert run(experiment, tmp_path, again).is_sound
    assert ran(again) == [("b", 0)]


def test_a_diverged_run_stays_diverged_and_is_not_trained_again(tmp_path: Path) -> None:
    experiment = load(tmp_path)
    outcome = run(experiment, tmp_path, Pretender(ends(b=diverged)))
    assert [(ended.run.arm.name, ended.state, ended.message) for ended in outcome.ended] == [
        ("a", "done", ""),
        ("b", "diverged", "the loss is not finite"),
    ]
    again = Pretender()
    outcome = run(experiment, tmp_path, again)
    assert not again.jobs
    assert outcome.counts["diverged"] == 1 and not outcome.is_sound


def test_a_run_that_returns_without_a_result_has_failed(tmp_path: Path) -> None:
    outcome = run(load(tmp_path), tmp_path, Pretender(ends(b=lambda job: TaskEnd("finished"))))
    assert [ended.message for ended in outcome.ended if ended.state == "failed"] == [
        "it ended without a result"
    ]


def test_a_signal_is_handed_on_and_the_cost_is_not_measured(tmp_path: Path) -> None:
    executor = Pretender(ends(b=lambda job: TaskEnd("interrupted")), signal=15)
    outcome = run(load(tmp_path), tmp_path, executor)
    assert outcome.signal == 15
    assert outcome.counts["interrupted"] == 1
    assert RunDirectory(tmp_path / "runs/trial/b/seed-0").status().state == "interrupted"
    assert not executor.probed


def test_the_cost_is_measured_for_arms_that_finished_and_kept_with_what_it_was_measured_of(
    tmp_path: Path,
) -> None:
    executor = Pretender(ends(b=died))
    run(load(tmp_path, arms=("c", "a", "b")).model_copy(), tmp_path, executor)
    assert [name for name, _ in executor.probed[0].arms] == ["a", "c"]


def test_a_second_writer_is_refused_and_told_who_the_first_one_is(tmp_path: Path) -> None:
    import os

    with lock_experiment(tmp_path / "trial"):
        with (
            pytest.raises(RunDirectoryError, match=f"busy.*pid {os.getpid()}"),
            lock_experiment(tmp_path / "trial"),
        ):
            pass
        with lock_experiment(tmp_path / "other"):
            pass
    with lock_experiment(tmp_path / "trial"):
        pass


class Notes(NullReporter):
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def planned(self, runs: Sequence[PlannedRun], workers: int) -> None:
        self.said.append(f"{len(runs)} planned, {workers} at once")

    def preparing(self, what: str) -> None:
        self.said.append(what)

    def downloading(self, name: str, received: int, size: int) -> None:
        self.said.append(f"{received} of {size} bytes of {name}")

    def started(self, run: PlannedRun) -> None:
        self.said.append(f"{run.name} starts")

    def ended(self, ended: RunEnd) -> None:
        self.said.append(f"{ended.run.name} {ended.state}")


@pytest.fixture
def notes() -> Iterator[Notes]:
    yield Notes()


def test_the_reporter_hears_of_every_stage_in_order(tmp_path: Path, notes: Notes) -> None:
    run(load(tmp_path), tmp_path, reporter=notes)
    assert notes.said == [
        "preparing the corpus copy",
        "building a",
        "building b",
        "2 planned, 3 at once",
        "a seed 0 starts",
        "a seed 0 done",
        "b seed 0 starts",
        "b seed 0 done",
        "measuring what a step of each arm costs",
    ]


def test_the_reporter_hears_of_the_downloads_of_a_corpus(
    tmp_path: Path, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(maskbench.data.CopyCorpus):
        """A copy corpus that claims to download; of a version of its own, so nobody has built it before."""

        version = 1_000_000

        @classmethod
        def build(cls, options: Any) -> maskbench.data.Corpus:
            listener = download._listener.get()
            assert listener is not None
            listener("words.gz", 3, 7)
            return super().build(options)

    monkeypatch.setattr(CORPORA, "lookup", lambda name: Slow)
    make_dry_run(load(tmp_path), tmp_path, notes)
    assert notes.said[:3] == ["preparing the corpus copy", "3 of 7 bytes of words.gz", "building a"]
    assert download._listener.get() is None
