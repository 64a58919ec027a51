"""Which runs an experiment consists of, in which order, and what would happen to each."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fake_runs import scored, write_run

from maskbench.config.schema.experiment import (
    ArmConfig,
    CorpusConfig,
    Experiment,
    PanelConfig,
    RunConfig,
    TrainConfig,
)
from maskbench.data.corpus import Corpus
from maskbench.errors import RunDirectoryError
from maskbench.experiment.plan import PlannedRun, corpus_key, plan_runs, refuse_unusable_runs
from maskbench.runs.identity import Identity, SoftwareEnvironment, build_run_record

CORPUS = CorpusConfig(name="copy", options={"pairs": 64})


def arm(name: str, **train: Any) -> ArmConfig:
    return ArmConfig(name=name, title=name, config=RunConfig(corpus=CORPUS, train=TrainConfig(**train)))


def experiment(
    *arms: ArmConfig, seeds: tuple[int, ...] = (0,), panels: tuple[str | None, ...] = (None,)
) -> Experiment:
    built = tuple(PanelConfig(name=name, arms=arms, baseline=arms[0].name) for name in panels)
    return Experiment(name="trial", seeds=seeds, panels=built)


def begin(run: PlannedRun, data: str = "d1") -> None:
    """Leave behind what a run leaves when it starts."""
    identity = Identity(run.arm.config.identity(), data)
    origin = SoftwareEnvironment(versions={}, environment={})
    run.directory.claim(
        build_run_record(identity, arm=run.arm.name, seed=run.seed, provenance=origin), identity
    )


def names(runs: tuple[PlannedRun, ...]) -> list[tuple[str, int]]:
    return [(run.arm.name, run.seed) for run in runs]


def states(runs: tuple[PlannedRun, ...]) -> dict[str, str]:
    return {run.arm.name: run.state for run in runs}


def test_seeds_come_one_after_another_and_the_arms_rotate_within_them(tmp_path: Path) -> None:
    trial = experiment(arm("a"), arm("b"), arm("c"), seeds=(7, 3, 5, 1))
    assert names(plan_runs(trial, tmp_path)) == [
        *[("a", 7), ("b", 7), ("c", 7)],
        *[("b", 3), ("c", 3), ("a", 3)],
        *[("c", 5), ("a", 5), ("b", 5)],
        *[("a", 1), ("b", 1), ("c", 1)],
    ]


def test_all_panels_of_a_seed_come_before_the_next_seed(tmp_path: Path) -> None:
    runs = plan_runs(experiment(arm("a"), arm("b"), seeds=(0, 1), panels=("small", "large")), tmp_path)
    assert [str(run.name) for run in runs[:4]] == [
        "small/a seed 0",
        "small/b seed 0",
        "large/a seed 0",
        "large/b seed 0",
    ]
    assert runs[2].directory.path == tmp_path / "trial" / "large" / "a" / "seed-0"


def test_each_run_is_new_resumed_finished_or_diverged_as_its_directory_says(tmp_path: Path) -> None:
    trial = experiment(arm("fresh"), arm("begun"), arm("done"), arm("burst"), arm("failed"))
    runs = {run.arm.name: run for run in plan_runs(trial, tmp_path)}
    for name in ("begun", "done", "burst", "failed"):
        begin(runs[name])
    runs["done"].directory.write_result({"metrics": {}})
    runs["burst"].directory.write_status("diverged", {"message": "the loss is not finite"})
    runs["failed"].directory.write_status("failed", {"message": "by design"})
    planned = plan_runs(trial, tmp_path)
    assert states(planned) == {
        "fresh": "new",
        "begun": "resumed",
        "done": "finished",
        "burst": "diverged",
        "failed": "resumed",
    }
    assert {run.arm.name for run in planned if run.is_due} == {"fresh", "begun", "failed"}


def test_planning_writes_nothing(tmp_path: Path) -> None:
    plan_runs(experiment(arm("a"), arm("b")), tmp_path)
    assert not list(tmp_path.iterdir())


def test_adding_arms_and_seeds_keeps_what_is_there(tmp_path: Path) -> None:
    for run in plan_runs(experiment(arm("a")), tmp_path):
        begin(run)
        run.directory.write_result({"metrics": {}})
    grown = plan_runs(experiment(arm("b"), arm("a"), seeds=(0, 1)), tmp_path)
    assert {run.name[1:] for run in grown if run.state == "finished"} == {("a", 0)}
    assert {run.name[1:] for run in grown if run.state == "new"} == {("b", 0), ("a", 1), ("b", 1)}


def test_a_changed_setting_is_refused_with_both_values_and_a_way_out(tmp_path: Path) -> None:
    for run in plan_runs(experiment(arm("a", lr=1e-3), seeds=(0, 1)), tmp_path):
        begin(run)
    changed = plan_runs(experiment(arm("a", lr=2e-3), seeds=(0, 1)), tmp_path)
    assert [run.state for run in changed] == ["changed", "changed"]
    with pytest.raises(RunDirectoryError) as refused:
        refuse_unusable_runs(changed)
    message = str(refused.value)
    assert message.count("train.lr 0.001 -> 0.002") == 1
    assert "a seed 0, a seed 1" in message
    assert "--runs-dir" in message and "move these runs away" in message


def test_a_setting_that_changes_no_number_changes_no_run(tmp_path: Path) -> None:
    for run in plan_runs(experiment(arm("a", save_every=500)), tmp_path):
        begin(run)
    assert states(plan_runs(experiment(arm("a", save_every=7)), tmp_path)) == {"a": "resumed"}


def built(sha256: str, max_length: int = 26) -> Corpus:
    """A corpus as far as a plan reads it."""
    return cast(Corpus, SimpleNamespace(sha256=sha256, max_length=max_length))


def test_other_attention_of_long_sentences_is_noticed_once_the_corpus_is_built(tmp_path: Path) -> None:
    trial = experiment(arm("a"))
    begin(plan_runs(trial, tmp_path)[0], data="d1")
    key = corpus_key(CORPUS)
    assert states(plan_runs(trial, tmp_path, {key: built("d1", 255)})) == {"a": "resumed"}
    (changed,) = plan_runs(trial, tmp_path, {key: built("d1", 256)})
    assert changed.state == "changed" and "attention of long sentences" in changed.differences[0]


def test_changed_data_is_noticed_once_the_corpus_is_built(tmp_path: Path) -> None:
    trial = experiment(arm("a"))
    begin(plan_runs(trial, tmp_path)[0], data="d1")
    key = corpus_key(CORPUS)
    assert states(plan_runs(trial, tmp_path)) == {"a": "resumed"}
    assert states(plan_runs(trial, tmp_path, {key: built("d1")})) == {"a": "resumed"}
    assert plan_runs(trial, tmp_path, {key: built("d2")})[0].differences == (
        'the content of the corpus (sha256) "d1" -> "d2"',
    )


def test_a_plan_without_changes_is_not_refused(tmp_path: Path) -> None:
    refuse_unusable_runs(plan_runs(experiment(arm("a"), arm("b")), tmp_path))


DAMAGES = {
    "result.json": "{",
    "run.json": "{}",
    "status.json": "[",
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_finished_run_that_cannot_be_read_is_refused_with_its_file_and_a_way_out(
    tmp_path: Path, name: str
) -> None:
    trial = experiment(arm("a"), arm("b"))
    for run in plan_runs(trial, tmp_path):
        write_run(run.directory.path, run.arm, run.seed, scored(0.5))
    assert set(states(plan_runs(trial, tmp_path)).values()) == {"finished"}
    lost = plan_runs(trial, tmp_path)[1].directory.path
    (lost / name).write_text(DAMAGES[name])
    found = plan_runs(trial, tmp_path)
    assert [run.state for run in found] == ["finished", "damaged"] and not any(run.is_due for run in found)
    with pytest.raises(RunDirectoryError) as refused:
        refuse_unusable_runs(found)
    message = str(refused.value)
    assert f"{lost / name} is damaged" in message and f"away, for example {lost}" in message
    assert "1 of 2 runs is damaged; nothing was trained" in message


@pytest.mark.parametrize("name", ["run.json", "result.json"])
def test_half_of_a_finished_run_is_refused_too(tmp_path: Path, name: str) -> None:
    trial = experiment(arm("a"))
    for run in plan_runs(trial, tmp_path):
        write_run(run.directory.path, run.arm, run.seed, scored(0.5))
        (run.directory.path / name).unlink()
    with pytest.raises(RunDirectoryError, match=rf"a seed 0: .*seed-0: {name} is missing"):
        refuse_unusable_runs(plan_runs(trial, tmp_path))
