"""Claims whose experiment was run with other settings than its file has say so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fake_runs import experiment, scored, write

from maskbench.comparison.claims import judge_claims
from maskbench.config.load import dump_resolved
from maskbench.config.schema.claims import Claim
from maskbench.config.schema.experiment import Experiment, TrainConfig
from maskbench.records.experiment_files import ExperimentFiles


def with_steps(wanted: Experiment, steps: int) -> Experiment:
    (panel,) = wanted.panels
    arms = tuple(
        arm.model_copy(update={"config": arm.config.model_copy(update={"train": TrainConfig(steps=steps)})})
        for arm in panel.arms
    )
    return wanted.model_copy(update={"panels": (panel.model_copy(update={"arms": arms}),)})


def file_of(folder: Path, wanted: Experiment, name: str = "some_file.yaml") -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(dump_resolved(wanted), encoding="utf-8")


def test_settings_that_differ_are_named_once_for_all_arms(tmp_path: Path) -> None:
    file_of(tmp_path, with_steps(experiment(["none", "up"], 8), 700))
    run = with_steps(experiment(["none", "up"], 8), 200)
    assert ExperimentFiles(tmp_path).differences(run) == ("train.steps 200 instead of 700",)


def test_missing_seeds_and_arms_are_named_and_more_of_them_are_not(tmp_path: Path) -> None:
    file_of(tmp_path, experiment(["none", "up", "far"], 8))
    written = ExperimentFiles(tmp_path)
    assert written.differences(experiment(["none", "up"], 6)) == ("2 of 8 seeds are missing", "no arm far")
    assert written.differences(experiment(["none", "up", "far", "more"], 9)) == ()


def test_without_a_file_or_with_a_broken_one_nothing_is_said(tmp_path: Path) -> None:
    file_of(tmp_path, experiment(["none"], 8, name="else"))
    (tmp_path / "broken.yaml").write_text("name: fake\n- [", encoding="utf-8")
    assert ExperimentFiles(tmp_path).differences(experiment(["none"], 2)) == ()


def test_a_claim_says_how_its_runs_differ_from_the_file(tmp_path: Path) -> None:
    runs = {"none": [scored(0.8)] * 6, "up": [scored(0.9)] * 6}
    write(tmp_path / "runs", experiment(["none", "up"], 6), runs)
    file_of(tmp_path / "files", experiment(["none", "up"], 8))
    claim = Claim.model_validate(
        {
            "says": "Up is better.", "source": "nobody", "experiment": "fake", "arm": "up",
            "metric": "test/exact_match", "expects": "higher", "min_effect": 0.01,
        }
    )  # fmt: skip
    other = claim.model_copy(update={"experiment": "absent"})
    first, second = judge_claims({"a": claim, "b": other}, tmp_path / "runs", tmp_path / "files")
    assert first.settings == ("2 of 8 seeds are missing",) and second.settings == ()
    assert first.document()["settings"] == ["2 of 8 seeds are missing"]
    assert replace(first, settings=()) == judge_claims({"a": claim}, tmp_path / "runs")[0]
