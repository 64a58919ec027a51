"""Runs that start from another run's weights, and runs of which only a part is trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from killed import train_until_killed
from safetensors.torch import load_file
from tiny_runs import STEPS, TOKENS, config
from torch import Tensor

from maskbench.config.schema.experiment import RunConfig
from maskbench.data import load_corpus
from maskbench.errors import ConfigError, RunDirectoryError
from maskbench.masks.clock import Clock
from maskbench.runs.checkpoint import load_best, scan_checkpoints
from maskbench.runs.directory import RunDirectory
from maskbench.runs.starting_point import find_starting_point
from maskbench.statistics.split_overlap import SplitOverlaps
from maskbench.training.evaluate import evaluate, validation_metrics
from maskbench.training.job import RunJob
from maskbench.training.trainer import Trainer, make_trainer
from maskbench.training.warm_start import freeze_all_but, load_weights_by_name, vocabulary_sha256

WINDOW = {"site": "encoder_self", "mask": "window", "options": {"radius": 1}}
TRANSFORM = {"site": "encoder_self", "mask": "transform", "options": {"map": "convolution"}}
SEED = 3


def started(init_from: Path, **changes: Any) -> RunConfig:
    """Return the settings of a run that starts from another one's weights."""
    start = {key: changes.pop(key) for key in ("train_only",) if key in changes}
    return config(**changes).model_copy(update={"init_from": str(init_from), **start})


def train(
    path: Path, cache: Path, settings: RunConfig, *, seed: int = SEED, stop_after: int | None = None
) -> RunDirectory:
    """Train a run as a process would; `stop_after` makes it vanish."""
    place = path / f"seed-{seed}"
    job = RunJob("demo", None, path.name, seed, settings, place, cache)
    train_until_killed(job, stop_after)
    return RunDirectory(place)


def trainer(settings: RunConfig, cache: Path, seed: int = SEED) -> Trainer:
    return make_trainer(settings, load_corpus(settings.corpus, cache), seed)


def worth(of: Trainer, cache: Path, progress: int) -> dict[str, float]:
    """Measure a trainer's model on the validation split."""
    clock = Clock.evaluation(progress, STEPS)
    corpus = load_corpus(of.config.corpus, cache)
    return evaluate(of, corpus, validation_metrics(of.config), clock).metrics


def weights(run: RunDirectory) -> dict[str, Tensor]:
    return load_file(run.checkpoints / f"step-{STEPS:06d}" / "model.safetensors")


def lines(run: RunDirectory, key: str) -> list[dict[str, Any]]:
    return [line for line in run.metrics.read() if key in line]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> RunDirectory:
    """A finished run whose arm has a window and a learned mask."""
    place = tmp_path_factory.mktemp("runs") / "source"
    return train(place, cache, config(masks=[WINDOW, TRANSFORM]))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> RunDirectory:
    """A finished run without a mask."""
    return train(tmp_path_factory.mktemp("runs") / "plain", cache, config(masks=[]))


class TestTheStart:
    def test_with_the_same_masks_it_is_the_source_at_its_selected_step(
        self, source: RunDirectory, tmp_path: Path, cache: Path
    ) -> None:
        run = train(tmp_path / "again", cache, started(source.path.parent, masks=[WINDOW, TRANSFORM]))
        (start,) = lines(run, "start/valid/nll")
        chosen = json.loads((source.checkpoints / "best.json").read_text())["step"]
        then = next(line for line in lines(source, "valid/nll") if line["step"] == chosen)
        assert start.pop("step") == 0
        assert start == {f"start/{key}": value for key, value in then.items() if key != "step"}

    def test_a_learned_mask_that_is_new_changes_nothing_yet(
        self, plain: RunDirectory, tmp_path: Path, cache: Path
    ) -> None:
        arm = plain.path.parent
        bare = worth(trainer(started(arm, masks=[]), cache), cache, 0)
        assert worth(trainer(started(arm, masks=[TRANSFORM]), cache), cache, 0) == bare
        assert worth(trainer(started(arm, masks=[WINDOW]), cache), cache, 0) != bare
        assert worth(trainer(config(masks=[]), cache), cache, 0) != bare

    def test_a_learned_mask_that_the_source_has_is_taken_or_left(
        self, source: RunDirectory, cache: Path
    ) -> None:
        learned = {
            n: t for n, t in load_best(source.checkpoints).read_model().items() if n.startswith("masks.")
        }
        assert learned and any(bool(tensor.any()) for tensor in learned.values())
        kept = trainer(started(source.path.parent, masks=[TRANSFORM, WINDOW]), cache).model.state_dict()
        assert all(torch.equal(kept[name], tensor) for name, tensor in learned.items())
        dropped = trainer(started(source.path.parent, masks=[]), cache).model.state_dict()
        assert not any(name.startswith("masks.") for name in dropped)
        assert all(torch.equal(tensor, kept[name]) for name, tensor in dropped.items())

    def test_its_checkpoints_never_hold_the_start(
        self, source: RunDirectory, tmp_path: Path, cache: Path
    ) -> None:
        run = train(tmp_path / "tuned", cache, started(source.path.parent, masks=[]))
        assert all(found.step > 0 for found in scan_checkpoints(run.checkpoints).valid)
        assert [line["step"] for line in lines(run, "valid/nll")] == [4, 8, 12]


PARTS: dict[str, dict[str, Any]] = {
    "train_only": {"masks": [TOKENS, TRANSFORM], "train_only": ("decoder.*", "masks.*")},
    "freeze_at": {
        "masks": [{**TRANSFORM, "freeze_at": 0.5}, {**TOKENS, "freeze_at": 0.25}],
        "weight_decay": 0.1,
    },
}


@pytest.fixture(scope="module", params=PARTS.values(), ids=PARTS.keys())
def whole(
    request: pytest.FixtureRequest,
    source: RunDirectory,
    tmp_path_factory: pytest.TempPathFactory,
    cache: Path,
) -> tuple[RunDirectory, dict[str, Any]]:
    """A run that nobody killed, and its settings."""
    settings = started(source.path.parent, **request.param)
    return train(tmp_path_factory.mktemp("whole"), cache, settings), settings


@pytest.mark.parametrize("kills", [[1], [5], [7, 9]])
def test_a_killed_and_resumed_run_ends_in_the_same_bytes(
    whole: tuple[RunDirectory, Any], tmp_path: Path, cache: Path, kills: list[int]
) -> None:
    undisturbed, settings = whole
    for step in kills:
        train(tmp_path / "killed", cache, settings, stop_after=step)
    resumed = train(tmp_path / "killed", cache, settings)
    for name in ("metrics.jsonl", "checkpoints/best.json", f"checkpoints/step-{STEPS:06d}/manifest.json"):
        assert (resumed.path / name).read_bytes() == (undisturbed.path / name).read_bytes(), name


@pytest.fixture(scope="module")
def tuned(plain: RunDirectory, tmp_path_factory: pytest.TempPathFactory, cache: Path) -> RunDirectory:
    """A run from `plain`'s weights with a new learned mask, of which decoder and mask are trained."""
    part = ("decoder.*", "masks.*")
    settings = started(plain.path.parent, masks=[TRANSFORM], weight_decay=0.5, train_only=part)
    return train(tmp_path_factory.mktemp("runs") / "tuned", cache, settings)


class TestTrainingAPart:
    def test_the_rest_stays_as_it_was_bit_for_bit(self, plain: RunDirectory, tuned: RunDirectory) -> None:
        before, after = load_best(plain.checkpoints).read_model(), weights(tuned)
        held = [name for name in before if not name.startswith("decoder.")]
        moved = [name for name in before if name.startswith("decoder.")]
        assert held and all(torch.equal(before[name], after[name]) for name in held)
        assert moved and not any(torch.equal(before[name], after[name]) for name in moved)

    def test_what_is_held_has_no_moments(self, tuned: RunDirectory) -> None:
        tensors = load_file(tuned.checkpoints / f"step-{STEPS:06d}" / "optimizer.safetensors")
        assert {key.split("/")[1].split(".")[0] for key in tensors} == {"decoder", "masks"}

    def test_without_patterns_everything_moves(
        self, plain: RunDirectory, tmp_path: Path, cache: Path
    ) -> None:
        run = train(tmp_path / "all", cache, started(plain.path.parent, masks=[]))
        before, after = load_best(plain.checkpoints).read_model(), weights(run)
        assert not any(torch.equal(before[name], after[name]) for name in before)

    def test_a_run_from_random_weights_may_train_a_part_too(self, tmp_path: Path, cache: Path) -> None:
        settings = config(masks=[]).model_copy(update={"train_only": ("*.norm.?eight",)})
        new = trainer(settings, cache).model
        before = {name: tensor.clone() for name, tensor in new.state_dict().items()}
        after = weights(train(tmp_path / "norms", cache, settings))
        changed = {name for name in before if not torch.equal(before[name], after[name])}
        assert changed == {"encoder.norm.weight", "decoder.norm.weight"}

    @pytest.mark.parametrize(
        ("pattern", "message"),
        [
            ("decodr.*", "'decodr.*' fits no parameter; did you mean 'decoder.*'?"),
            ("Decoder.*", "'Decoder.*' fits no parameter; did you mean 'decoder.*'?"),
            ("masks.*", "'masks.*' fits no parameter (they begin with decoder, encoder, words)"),
        ],
    )
    def test_a_pattern_that_fits_nothing_is_refused(self, pattern: str, message: str, cache: Path) -> None:
        model = trainer(config(masks=[]), cache).model
        with pytest.raises(ConfigError) as refused:
            freeze_all_but(model, ["encoder.*", pattern])
        assert message in str(refused.value)


class TestRefusals:
    def refusal(self, init_from: Path, cache: Path, seed: int = SEED, **changes: Any) -> str:
        with pytest.raises(ConfigError) as refused:
            trainer(started(init_from, **{"masks": [], **changes}), cache, seed)
        return str(refused.value)

    def test_a_seed_that_is_not_there(self, plain: RunDirectory, cache: Path) -> None:
        arm = plain.path.parent
        assert self.refusal(arm, cache, seed=5) == f"{arm} has no run of seed 5 (it has seed-3)"

    def test_the_folder_of_a_run_serves_every_seed(self, plain: RunDirectory, cache: Path) -> None:
        one, other = (trainer(started(plain.path, masks=[]), cache, seed).model for seed in (5, 6))
        states = one.state_dict(), other.state_dict()
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])

    def test_a_folder_that_is_no_arm_or_not_there(
        self, plain: RunDirectory, tmp_path: Path, cache: Path
    ) -> None:
        experiment = plain.path.parent.parent
        message = self.refusal(experiment, cache)
        assert message == f"{experiment} is not the folder of an arm or of a run (it has plain)"
        assert self.refusal(tmp_path, cache).endswith("(it is empty)")
        assert self.refusal(tmp_path / "nowhere", cache).startswith(
            f"there is no folder {tmp_path / 'nowhere'}"
        )

    def test_a_relative_path_counts_from_the_current_directory(
        self, plain: RunDirectory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(plain.path.parent.parent)
        assert find_starting_point("plain", SEED).sha256 == find_starting_point(str(plain.path), 77).sha256

    def test_a_run_that_has_not_finished(self, tmp_path: Path, cache: Path) -> None:
        begun = train(tmp_path / "begun", cache, config(masks=[]), stop_after=9)
        assert "has not finished (" in self.refusal(begun.path, cache)

    def test_a_run_without_its_checkpoint(self, plain: RunDirectory, tmp_path: Path, cache: Path) -> None:
        copy = tmp_path / "arm" / "seed-3"
        shutil.copytree(plain.path, copy)
        damaged = copy / "checkpoints" / f"step-{find_starting_point(str(copy), 3).checkpoint.name[5:]}"
        with (damaged / "model.safetensors").open("r+b") as file:
            file.seek(-1, 2)
            file.write(b"\xff")
        with pytest.raises(RunDirectoryError, match="differs from its checksum"):
            trainer(started(copy, masks=[]), cache)
        shutil.rmtree(copy / "checkpoints")
        assert "has lost its selected checkpoint" in self.refusal(copy, cache)

    def test_another_vocabulary_or_one_that_was_not_recorded(
        self, plain: RunDirectory, tmp_path: Path, cache: Path
    ) -> None:
        copy = tmp_path / "arm" / "seed-3"
        shutil.copytree(plain.path, copy)
        record = json.loads((copy / "run.json").read_text())
        corpus = load_corpus(config().corpus, cache)
        assert record["vocabulary_sha256"] == vocabulary_sha256(corpus.vocabulary)
        # What its splits have in common goes with it.
        assert SplitOverlaps.from_json(record["data"]) == corpus.overlaps and record["data"]["splits"]["test"]
        for changed, message in [({"vocabulary_sha256": "0" * 64}, "other words"), ({}, "did not record")]:
            del record["vocabulary_sha256"]
            record |= changed
            (copy / "run.json").write_text(json.dumps(record))
            assert message in self.refusal(copy, cache)

    def test_another_model_names_five_parameters_and_counts_the_rest(self, cache: Path) -> None:
        model = trainer(config(masks=[TRANSFORM]), cache).model
        own = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        backbone = [name for name in own if not name.startswith("masks.")]
        missing = dict(list(own.items())[len(backbone) :])
        with pytest.raises(ConfigError) as refused:
            load_weights_by_name(model, missing, "there")
        named = [name for name in backbone if f"{name} (absent there, " in str(refused.value)]
        assert len(named) == 5 and str(refused.value).endswith(f" and {len(backbone) - 5} more")
        own["encoder.norm.weight"] = torch.zeros(13)
        own["encoder.extra"] = torch.zeros(2, 3)
        with pytest.raises(ConfigError) as refused:
            load_weights_by_name(model, own, "there")
        assert str(refused.value) == (
            "there holds another model than this arm's; it differs in encoder.norm.weight (13 there, 12 here), "
            "encoder.extra (2 x 3 there, absent here)"
        )

    def test_masks_that_differ_in_shape_keep_their_start(self, cache: Path) -> None:
        model = trainer(config(masks=[TRANSFORM]), cache).model
        own = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        other = {
            name: torch.ones(7, 7) if name.startswith("masks.") else tensor + 1
            for name, tensor in own.items()
        }
        load_weights_by_name(model, other | {"masks.elsewhere.x": torch.ones(2)}, "there")
        for name, tensor in model.state_dict().items():
            assert torch.equal(tensor, own[name] if name.startswith("masks.") else own[name] + 1), name
