"""Evaluating a trained model under other masks than its own, and with a beam; whole runs of a tiny model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from killed import train_until_killed
from tiny_runs import STEPS, TOKENS, config

from maskbench.config.load import load_experiment
from maskbench.data import load_corpus
from maskbench.errors import ConfigError, LeakError
from maskbench.experiment.preparation import make_dry_run
from maskbench.model.eval_plans import build_eval_plans, use_mask_plan
from maskbench.runs.directory import RunDirectory
from maskbench.training.evaluate import outputs_sha256
from maskbench.training.job import RunJob
from maskbench.training.trainer import make_trainer

BOTH = TOKENS | {"phases": ["train", "eval"]}
GATE = {"site": "memory", "mask": "learned_gate"}
NARROW = {"site": "cross", "mask": "diagonal", "options": {"width": 0}}
METRICS = ["nll", "token_accuracy", "exact_match", "chrf"]


def evaluate(names: list[str], **more: Any) -> dict[str, Any]:
    return {"splits": ["test", "valid"], "metrics": METRICS, "masks": names, **more}


def train(folder: Path, cache: Path, *, stop_after: int | None = None, **changes: Any) -> RunDirectory:
    job = RunJob("demo", None, "arm", 3, config(**changes), folder / "seed-3", cache)
    train_until_killed(job, stop_after)
    return RunDirectory(job.directory)


def result(run: RunDirectory) -> dict[str, Any]:
    found = run.result()
    assert found is not None
    return found


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


CROSSED: dict[str, Any] = {
    "masks": [BOTH],
    "under": {"none": [], "itself": [BOTH], "narrow": [NARROW]},
    "evaluate": evaluate(["own", "none", "itself", "narrow"], by=["length"]),
    "decode": {"beam_size": 3, "n_best": 2},
}


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> RunDirectory:
    return train(tmp_path_factory.mktemp("run"), cache, **CROSSED)


def under_masks(metrics: dict[str, float], name: str) -> dict[str, float]:
    """What was measured under these masks, named as if they were the run's own."""
    return {k.replace(f"@{name}/", "/"): v for k, v in metrics.items() if f"@{name}/" in k}


def test_under_its_own_masks_by_name_a_run_measures_what_it_measures_anyway(crossed: RunDirectory) -> None:
    metrics = result(crossed)["metrics"]
    own = {name: value for name, value in metrics.items() if "@" not in name}
    assert {f"{split}/{metric}" for split in ("test", "valid") for metric in METRICS} <= own.keys()
    assert "test/nll[length:1-5]" in own
    assert under_masks(metrics, "itself") == own
    for other in ("none", "narrow"):
        elsewhere = under_masks(metrics, other)
        assert elsewhere.keys() == own.keys()
        assert elsewhere["test/nll"] != own["test/nll"]
    assert under_masks(metrics, "none")["test/nll"] != under_masks(metrics, "narrow")["test/nll"]
    logged = crossed.metrics.read()[-1]
    assert logged["step"] == STEPS and logged["test@none/nll"] == metrics["test@none/nll"]


def test_what_is_said_under_other_masks_is_written_down_and_part_of_the_evidence(
    crossed: RunDirectory,
) -> None:
    folder = crossed.path / "translations"
    splits = [f"{split}{name}" for split in ("test", "valid") for name in ("", "@itself", "@narrow", "@none")]
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{split}.jsonl" for split in splits)
    assert (folder / "test.jsonl").read_bytes() == (folder / "test@itself.jsonl").read_bytes()
    said = {split: list(crossed.translations(split).items()) for split in splits}
    assert said["valid"] != said["valid@narrow"]
    assert result(crossed)["outputs_sha256"] == outputs_sha256(said)
    said["valid@none"][0] = (0, said["valid@none"][0][1] + "!")
    assert result(crossed)["outputs_sha256"] != outputs_sha256(said)


def test_the_best_translations_stand_beside_the_one_that_is_measured(crossed: RunDirectory) -> None:
    for split in ("test", "test@none"):
        lines = (crossed.path / "translations" / f"{split}.jsonl").read_text().splitlines()
        assert len(lines) == 7
        for line in map(json.loads, lines):
            assert line.keys() == {"id", "hypothesis", "n_best"}
            first, second = line["n_best"]
            assert first["hypothesis"] == line["hypothesis"] != second["hypothesis"]
            assert first["score"] >= second["score"] and first["score"] < 0
        assert crossed.translations(split)[3] == json.loads(lines[3])["hypothesis"]


def test_a_killed_run_ends_in_the_same_bytes(crossed: RunDirectory, tmp_path: Path, cache: Path) -> None:
    train(tmp_path, cache, stop_after=7, **CROSSED)
    again = train(tmp_path, cache, **CROSSED)
    files = sorted((crossed.path / "translations").iterdir())
    assert len(files) == 8
    for file in [crossed.metrics.path, *files]:
        assert (again.path / file.relative_to(crossed.path)).read_bytes() == file.read_bytes()
    one, other = result(crossed), result(again)
    assert one.pop("cost") and other.pop("cost") and one == other


def test_other_masks_change_nothing_else_of_a_run(crossed: RunDirectory, tmp_path: Path, cache: Path) -> None:
    changes = CROSSED | {"under": {}, "evaluate": evaluate(["own"], by=["length"])}
    alone = result(train(tmp_path, cache, **changes))
    metrics = result(crossed)["metrics"]
    assert alone["metrics"] == {name: value for name, value in metrics.items() if "@" not in name}


def test_own_learned_masks_are_left_out_under_others_and_are_back_afterwards(cache: Path) -> None:
    settings = config(masks=[GATE], under={"none": [], "narrow": [NARROW]})
    corpus = load_corpus(settings.corpus, cache)
    model = make_trainer(settings, corpus, 0).model
    own, weights = model.masks, {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert any(name.startswith("masks.") for name in weights)
    plans = build_eval_plans(settings, corpus, 0)
    with use_mask_plan(model, plans["narrow"]):
        assert not any(name.startswith("masks.") for name, _ in model.named_parameters())
        assert [placed.name for placed in model.masks.placed] == ["diagonal"]
    with pytest.raises(RuntimeError, match="stop"), use_mask_plan(model, plans["none"]):
        raise RuntimeError("stop")
    assert model.masks is own
    assert model.state_dict().keys() == weights.keys()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())


def write(folder: Path, masks: str) -> Path:
    file = folder / "lend.yaml"
    file.write_text(
        "name: lend\nseeds: [0]\n"
        "corpus: {name: copy, pairs: 64, valid: 8, test: 8, symbols: 7, max_length: 5}\n"
        "model: {d_model: 12, n_heads: 3, encoder_layers: 1, decoder_layers: 1, d_ff: 20}\n"
        f"train: {{steps: 5}}\nevaluate: {{masks: [own, {masks}]}}\n"
        "arms:\n  none: []\n  gated: [{site: memory, mask: learned_gate}]\n"
        "  window: [{site: encoder_self, mask: window, radius: 1}]\n",
        encoding="utf-8",
    )
    return file


def test_learned_masks_are_lent_to_nobody_and_that_is_said_before_anything_trains(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        make_dry_run(load_experiment(write(tmp_path, "gated")), tmp_path / "runs")
    assert str(refused.value) == (
        "evaluate.masks: the masks of gated cannot be lent to other arms: learned_gate at memory has learned parameters, "
        "which only its own runs train; leave gated out of evaluate.masks"
    )
    assert refused.value.key == "evaluate.masks"
    make_dry_run(load_experiment(write(tmp_path, "none, window")), tmp_path / "runs")


def test_masks_that_only_evaluation_has_are_audited_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from maskbench.audit import gate

    asked = []

    def admit(arm: Any, *rest: Any) -> None:
        asked.append((arm.name, len(arm.config.masks)))
        if arm.name == "odd":
            raise LeakError("odd leaks")

    monkeypatch.setattr(gate, "check_before_training", admit)
    make_dry_run(load_experiment(write(tmp_path, "none, window")), tmp_path / "runs")
    assert asked == [("none", 0), ("gated", 1), ("window", 1)]
    asked.clear()
    odd = "{odd: [{site: cross, mask: diagonal, width: 1}, {site: encoder_self, mask: window, radius: 2}]}"
    with pytest.raises(LeakError, match="odd leaks"):
        make_dry_run(load_experiment(write(tmp_path, f"window, {odd}")), tmp_path / "runs")
    assert asked == [("none", 0), ("odd", 2)]
