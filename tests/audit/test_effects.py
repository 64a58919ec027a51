"""Placements that change nothing are told before training, and those that act are not."""

from __future__ import annotations

from pathlib import Path

import pytest

import maskbench.data
import maskbench.masks
from maskbench.audit.effects import find_idle
from maskbench.config.load import load_experiment
from maskbench.data.corpus import Corpus

FILE = """
name: trial
corpus: {name: copy, pairs: 60, valid: 4, test: 4, symbols: 9, min_length: 3, max_length: 6}
model: {d_model: 12, n_heads: 3, encoder_layers: 1, decoder_layers: 1, d_ff: 20}
train: {steps: 9, batch_tokens: 200}
"""

IDLE = {
    "wider than every sentence": "{site: encoder_self, mask: window, radius: 7}",
    "nobody among all": "{site: encoder_self, all: [{mask: window, radius: 7}, {mask: none}]}",
    "more keys than there are": "{site: cross, mask: topk, k: 40}",
    "ratio 0": "{site: encoder_input, mask: tokens, ratio: 0}",
    "rounded down to 0": "{site: encoder_input, mask: tokens, ratio: 0.1, count: floor}",
    "hardly ever": "{site: encoder_input, mask: tokens, ratio: 1.0e-7}",
    "only the last word's": "{site: encoder_input, mask: tokens, ratio: 0.9, always_visible: {first: 40}}",
    "kept as it is": "{site: encoder_input, mask: tokens, ratio: 0.5, replace: keep}",
    "0 up to the last step": "{site: encoder_input, mask: tokens, ratio: {step: [[0, 0], [1, 0.5]]}}",
    "frozen at 0": "{site: encoder_input, mask: tokens, ratio: {linear: [0, 0.5]}, freeze_at: 0}",
    "a bias of 0": "{site: decoder_self, mask: alibi, scale: 0}",
    "no head dropped": "{site: encoder_self, mask: drop_head, rate: 0}",
    "no feature dropped": "{site: decoder_input, mask: feature_dropout, ratio: 0}",
    "a causal mask where one is": "{site: decoder_self, mask: causal}",
    "nothing banned": "{site: logits, mask: drop_vocabulary, ratio: 0}",
    "no token left out": "{site: loss, mask: loss_tokens, ratio: 0}",
}
ACTING = {
    "a narrow window": "{site: encoder_self, mask: window, radius: 1}",
    "the longest sentences alone": "{site: encoder_self, mask: window, radius: 5}",
    "one word in a hundred": "{site: encoder_input, mask: tokens, ratio: 0.01}",
    "at the end": "{site: encoder_input, mask: tokens, ratio: {step: [[0, 0], [0.8, 0.5]]}}",
    "once it stalls": "{site: encoder_input, mask: tokens, ratio: {plateau: [0, 0.5, 3]}}",
    "in evaluation by intention": "{site: encoder_self, mask: window, radius: 1, phases: [eval]}",
    "learned from the identity": "{site: memory, mask: learned_gate}",
    "a learned bias": "{site: encoder_self, mask: t5_bias}",
    "some of the loss": "{site: loss, mask: loss_tokens, ratio: 0.3}",
    "a control": "{site: encoder_self, mask: none}",
    "an unsafe control": "{site: decoder_self, mask: none, legality: no_causal, unsafe: true}",
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpus")
    return maskbench.data.load_corpus(arm_of(folder, "[]").config.corpus, folder)


def arm_of(folder: Path, arm: str):
    file = folder / "trial.yaml"
    file.write_text(f"{FILE}arms: {{none: [], other: {arm}}}\n", encoding="utf-8")
    return load_experiment(file).panels[0].arms[1]


@pytest.mark.parametrize("placement", IDLE.values(), ids=IDLE)
def test_a_placement_that_cannot_act_is_told(placement: str, corpus: Corpus, tmp_path: Path) -> None:
    (said,) = find_idle(arm_of(tmp_path, f"[{placement}]"), corpus, 0)
    assert "changes nothing: with and without it the model gives the same scores" in said
    # What neither moves nor draws is looked at once.
    still = any(word in placement for word in ("window", "topk", "alibi", "causal"))
    assert f"at {'1 moment' if still else '9 moments'} of training" in said


@pytest.mark.parametrize("placement", ACTING.values(), ids=ACTING)
def test_a_placement_that_acts_or_is_a_control_is_not(placement: str, corpus: Corpus, tmp_path: Path) -> None:
    assert find_idle(arm_of(tmp_path, f"[{placement}]"), corpus, 0) == []


@pytest.mark.parametrize(
    "placement", [IDLE["rounded down to 0"], IDLE["no token left out"], ACTING["at the end"]]
)
def test_the_same_is_told_sentence_by_sentence(
    placement: str, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = find_idle(arm_of(tmp_path, f"[{placement}]"), corpus, 0)
    # So little memory that one sentence passes at a time and no answer is kept.
    monkeypatch.setattr("maskbench.audit.effects.PASS_BYTES", 1)
    monkeypatch.setattr("maskbench.audit.effects.PASS_BYTES", 1)
    assert find_idle(arm_of(tmp_path, f"[{placement}]"), corpus, 0) == told


def test_only_the_idle_one_of_several_is_told(corpus: Corpus, tmp_path: Path) -> None:
    arm = f"[{ACTING['a narrow window']}, {IDLE['ratio 0']}, {ACTING['some of the loss']}]"
    (said,) = find_idle(arm_of(tmp_path, arm), corpus, 0)
    assert said.startswith("tokens at encoder_input changes nothing")


def test_a_mask_that_acts_in_evaluation_alone_though_it_is_placed_in_training(
    corpus: Corpus, tmp_path: Path
) -> None:
    late = "[{site: encoder_self, mask: window, radius: {step: [[0, 9], [1, 1]]}}]"
    (said,) = find_idle(arm_of(tmp_path, late), corpus, 0)
    assert said.startswith("window at encoder_self changes nothing in training, only in evaluation")


def test_a_mask_that_acts_on_an_evaluated_split_alone(tmp_path: Path) -> None:
    """No training sentence has noise words for `oracle` to hide; those of the split distract-4 have."""
    file = tmp_path / "trial.yaml"
    corpus = "{name: toydeen, pairs: 100, valid: 4, test: 4, max_length: 8}"
    text = FILE.replace(FILE[FILE.index("{name: copy") : FILE.index("\nmodel")], corpus)
    arm = "{none: [], other: [{site: encoder_self, mask: oracle}]}"
    for splits, expected in (
        ("test, distract-4", "changes nothing in training, only"),
        ("test", "changes nothing: "),
    ):
        evaluate = f"evaluate: {{splits: [{splits}], metrics: [nll]}}\ncompare: {{metric: test/nll}}\n"
        file.write_text(f"{text}{evaluate}arms: {arm}\n", encoding="utf-8")
        found = load_experiment(file).panels[0].arms[1]
        (said,) = find_idle(found, maskbench.data.load_corpus(found.config.corpus, tmp_path), 0)
        assert expected in said and ("nor in evaluation on any split" in said) == (splits == "test")


@pytest.mark.parametrize(
    "arm",
    [
        "[{site: loss, mask: loss_tokens, ratio: 1}]",
        "[{site: loss, mask: loss_tokens, choose: prefix, first: 7}]",
        "[{site: loss, mask: loss_tokens, choose: prefix, first: 30}, {site: loss, mask: loss_tokens, ratio: 0.5}]",
    ],
)
def test_a_loss_without_any_token_is_told(arm: str, corpus: Corpus, tmp_path: Path) -> None:
    said = find_idle(arm_of(tmp_path, arm), corpus, 0)
    assert said[0].startswith("no target token counts in the loss of")


@pytest.mark.parametrize(
    ("arm", "why"),
    [
        ("[{site: memory, mask: learned_gate, phases: [eval]}]", "it acts in evaluation only"),
        (
            '{masks: [{site: memory, mask: learned_gate}], train_only: ["decoder.*"]}',
            "train_only (decoder.*) leaves them out",
        ),
    ],
)
def test_learned_numbers_that_are_never_trained_are_told(
    arm: str, why: str, corpus: Corpus, tmp_path: Path
) -> None:
    (said,) = find_idle(arm_of(tmp_path, arm), corpus, 0)
    assert said == f"learned_gate at memory has learned numbers that are never trained: {why}"
    trained = '{masks: [{site: memory, mask: learned_gate}], train_only: ["masks.*"]}'
    assert find_idle(arm_of(tmp_path, trained), corpus, 0) == []
