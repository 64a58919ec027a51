"""A run whose sentences are long enough for attention in blocks: trained, killed, resumed, audited on that path."""

from __future__ import annotations

from pathlib import Path

import pytest
from killed import train_until_killed
from tiny_runs import config

from maskbench.audit.arms import make_arm_subject
from maskbench.audit.gate import check_before_training
from maskbench.config.schema.experiment import ArmConfig, RunConfig
from maskbench.data import load_corpus
from maskbench.data.vocabulary import BOS, EOS, PAD
from maskbench.errors import LeakError, RunDirectoryError
from maskbench.masks.strategies.attention.windows import Window
from maskbench.model import attention
from maskbench.model.attention_path import PATHS_VERSION, paths_version
from maskbench.runs.directory import RunDirectory
from maskbench.runs.identity import requested_identity
from maskbench.training.job import RunJob

WINDOW = {"site": "encoder_self", "mask": "window", "options": {"radius": 4}}
OWN_WINDOW = {**WINDOW, "site": "decoder_self"}


def long_config(attention_setting: str = "auto") -> RunConfig:
    short = config(masks=[WINDOW, OWN_WINDOW], steps=4, batch_tokens=600, valid_every=2, save_every=2)
    plain = short.model_dump(mode="json", exclude={"masks"}) | {"masks": [WINDOW, OWN_WINDOW]}
    plain["corpus"]["options"] |= {"pairs": 6, "valid": 2, "test": 2, "min_length": 256, "max_length": 270}
    plain["model"]["attention"] = attention_setting
    plain["evaluate"] |= {"metrics": ["nll"]}
    return RunConfig.model_validate(plain)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def train(path: Path, cache: Path, setting: str = "auto", stop_after: int | None = None) -> RunDirectory:
    job = RunJob("long", None, "window", 3, long_config(setting), path / "seed-3", cache)
    train_until_killed(job, stop_after, lambda progress: None)
    return RunDirectory(job.directory)


def weights(run: RunDirectory) -> bytes:
    return (run.checkpoints / "step-000004" / "model.safetensors").read_bytes()


def test_long_runs_train_in_blocks_resume_to_the_same_bytes_and_are_other_runs_than_dense_ones(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    own = attention.blocked_attention
    monkeypatch.setattr(attention, "blocked_attention", lambda *a: (calls.append(a[4]), own(*a))[1])
    whole = train(tmp_path / "whole", cache)
    # Four steps with one layer at each of three sites; validation and evaluation have no dropout.
    assert sum(p > 0 for p in calls) == 12 and 0.0 in calls
    train(tmp_path / "killed", cache, stop_after=3)
    assert weights(train(tmp_path / "killed", cache)) == weights(whole)
    record = whole.record()
    assert record is not None and record["identity"]["attention_paths"] == PATHS_VERSION
    with pytest.raises(RunDirectoryError, match=r"attention of long sentences .* absent"):
        train(tmp_path / "whole", cache, "dense")
    recorded = record["identity"]
    for setting, version in (("auto", PATHS_VERSION), ("dense", None)):
        model = long_config(setting).model
        wanted = requested_identity(long_config(setting), recorded, attention_paths=paths_version(model, 271))
        assert wanted.attention_paths == version
        assert bool(wanted.differences(recorded)) == (setting == "dense")
    dense = train(tmp_path / "dense", cache, "dense")
    assert weights(dense) != weights(whole)
    of_dense = (dense.record() or {})["identity"]
    assert "attention_paths" not in of_dense
    assert requested_identity(long_config(), of_dense, attention_paths=PATHS_VERSION).differences(of_dense)
    assert not requested_identity(long_config(), of_dense).differences(of_dense)


def test_long_pairs_are_audited_as_beginnings_of_different_lengths(cache: Path) -> None:
    corpus = load_corpus(long_config().corpus, cache)
    batch = make_arm_subject(ArmConfig(name="window", title="window", config=long_config()), corpus, 3).batch
    assert batch.src_lengths.tolist() == [12, 11, 10] and batch.tgt_lengths.tolist() == [12, 10, 8]
    for row, (s, t) in enumerate(zip(batch.src_lengths.tolist(), batch.tgt_lengths.tolist(), strict=True)):
        whole = corpus.splits["train"].src[int(batch.ids[row])]
        assert batch.src[row].tolist() == [*whole[: s - 1], EOS, *[PAD] * (12 - s)]
        assert batch.tgt_out[row].tolist() == [*whole[: t - 1], EOS, *[PAD] * (12 - t)]
        assert batch.tgt_in[row].tolist() == [BOS, *whole[: t - 1], *[PAD] * (12 - t)]


def test_the_audit_before_training_runs_on_the_path_that_trains(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm = ArmConfig(name="window", title="window", config=long_config())
    corpus = load_corpus(arm.config.corpus, cache)
    assert make_arm_subject(arm, corpus, 3).attention_paths.is_long_enough(2, 2)
    dense = arm.model_copy(update={"config": long_config("dense")})
    assert not make_arm_subject(dense, corpus, 3).attention_paths.is_long_enough(2000, 2000)
    assert check_before_training(arm, corpus, 3) is None
    own = attention.decide_blocks

    def without_padding(plan, site, layer, request, legal, *, rows):
        def everything(q_idx, kv_idx):
            return legal(q_idx, kv_idx) | True

        return own(plan, site, layer, request, everything, rows=rows)

    monkeypatch.setattr(attention, "decide_blocks", without_padding)
    with pytest.raises(LeakError, match="leaks"):
        check_before_training(arm, corpus, 3)


def test_a_mask_that_ignores_which_positions_it_is_asked_about_is_refused(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arm = ArmConfig(name="window", title="window", config=long_config())
    corpus = load_corpus(arm.config.corpus, cache)
    own = Window.mask_mod

    def counts_from_zero(self, options, ctx):
        asked = own(self, options, ctx)
        return lambda b, h, q_idx, kv_idx: asked(b, h, q_idx - q_idx.min(), kv_idx)

    monkeypatch.setattr(Window, "mask_mod", counts_from_zero)
    with pytest.raises(LeakError, match="must answer for the positions"):
        check_before_training(arm, corpus, 3)
