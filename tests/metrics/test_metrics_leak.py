"""The gap between teacher forcing and decoding: by hand, exactly zero without a leak, and wide with one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_runs import config

from maskbench.config.schema.experiment import CorpusConfig, DecodeConfig, ModelConfig, RunConfig
from maskbench.data import load_corpus
from maskbench.data.corpus import Corpus, Ragged, Split
from maskbench.data.vocabulary import EOS
from maskbench.masks.clock import Clock
from maskbench.metrics.forced_gap import forced_gap
from maskbench.metrics.measure import measure
from maskbench.metrics.model_outputs import ModelOutputs
from maskbench.metrics.teacher_forcing import TeacherForcedScores
from maskbench.metrics.translation import TranslationResult
from maskbench.training.evaluate import evaluate
from maskbench.training.trainer import Trainer, make_trainer

END = Clock.evaluation(1, 1)
LEAK = {"site": "decoder_self", "mask": "none", "legality": "no_causal", "unsafe": True}


def test_a_value_worked_out_by_hand():
    # Sentences of 2, 1, 3 and 2 tokens. Given the gold prefix the 1st, 2nd and 4th are right throughout; said greedily
    # only the 2nd is: 3/4 - 1/4.
    tgt = Ragged.from_rows([[9, EOS], [EOS], [9, 9, EOS], [9, EOS]])
    split = Split("test", tgt, tgt, [], [])
    said_first = np.where([1, 1, 1, 1, 0, 1, 1, 1], tgt.values, 4)
    tokens = TeacherForcedScores(tgt.values.astype(np.int64), said_first, np.zeros(8), np.ones(8))
    right = np.array([False, True, False, False])
    assert forced_gap(tokens, TranslationResult([""] * 4, [""] * 4, right), split) == 0.5
    assert forced_gap(tokens, TranslationResult([""] * 4, [""] * 4, ~right), split) == 0.0
    assert forced_gap(tokens, TranslationResult([""] * 4, [""] * 4, np.ones(4, bool)), split) == -0.25


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def honest(cache: Path) -> Trainer:
    return trained(cache, [], steps=80)


@pytest.fixture(scope="module")
def leaking(cache: Path) -> Trainer:
    return trained(cache, [LEAK], steps=120)


def run(masks: list[dict[str, Any]]) -> RunConfig:
    """Four symbols, copied: enough is learned in a moment, and not everything."""
    wide = ModelConfig(d_model=24, n_heads=3, d_ff=48, encoder_layers=1, decoder_layers=1, dropout=0.0)
    options = {"pairs": 300, "valid": 9, "test": 60, "symbols": 4, "min_length": 1, "max_length": 5}
    corpus = CorpusConfig(name="copy", options=options)
    return config(masks=masks, steps=200, batch_tokens=300).model_copy(
        update={"model": wide, "corpus": corpus}
    )


def trained(cache: Path, masks: list[dict[str, Any]], steps: int) -> Trainer:
    wanted = run(masks)
    trainer = make_trainer(wanted, load_corpus(wanted.corpus, cache), seed=1)
    for step in range(steps):
        trainer.update(*trainer.batch(step, 0))
    return trainer


def seen_by(trainer: Trainer, corpus: Corpus, **decode: Any) -> ModelOutputs:
    return ModelOutputs(trainer.model, corpus, END, decode=DecodeConfig(**decode))


def gap(outputs: ModelOutputs) -> float:
    return measure(outputs, "test", "forced_gap")[""]


def retold(corpus: Corpus, said: TranslationResult, keep: int) -> Corpus:
    """A corpus whose references are what a model says, but for every `keep`-th, which begins with another word."""
    other = {f"s{i}": f"s{3 - i}" for i in range(4)}
    # Words beyond the fifth are of translations that found no end; what is left of them is not what was said.
    cut = [" ".join(text.split()[:5]) for text in said.hypotheses]
    told = [text if i % keep else other[text[:2]] + text[2:] for i, text in enumerate(cut)]
    tgt = Ragged.from_rows([[*row, EOS] for row in corpus.vocabulary.encode_all(told)])
    split = replace(corpus.splits["test"], tgt=tgt, references=told, links=None, deps=None)
    return replace(corpus, splits={"test": split})


def test_training_opens_no_gap(honest: Trainer, cache: Path):
    outputs = seen_by(honest, load_corpus(honest.config.corpus, cache))
    assert 0.05 < outputs.translations("test").right.mean() < 0.95
    assert gap(outputs) == 0.0


def test_a_model_that_says_its_own_words_says_them_given_their_prefix_too(honest: Trainer, cache: Path):
    corpus = load_corpus(honest.config.corpus, cache)
    said = seen_by(honest, corpus).translations("test")
    outputs = seen_by(honest, retold(corpus, said, keep=3))
    ended = [len(text.split()) < 6 for text in said.hypotheses]
    assert outputs.translations("test").right.tolist() == [i % 3 > 0 and end for i, end in enumerate(ended)]
    assert 0.5 < outputs.translations("test").right.mean() < 0.7
    assert gap(outputs) == 0.0


def test_a_model_that_was_not_trained_has_none(cache: Path):
    wanted = run([])
    corpus = load_corpus(wanted.corpus, cache)
    assert gap(seen_by(make_trainer(wanted, corpus, seed=2), corpus)) == 0.0


def test_without_the_causal_mask_training_opens_a_wide_gap(leaking: Trainer, cache: Path):
    outputs = seen_by(leaking, load_corpus(leaking.config.corpus, cache))
    assert measure(outputs, "test", "token_accuracy")[""] > 0.7
    assert measure(outputs, "test", "exact_match")[""] < 0.1
    assert gap(outputs) > 0.15


def test_a_mask_of_the_logits_acts_in_decoding_only(honest: Trainer, cache: Path):
    corpus = load_corpus(honest.config.corpus, cache)
    wanted = run([{"site": "logits", "mask": "ban_tokens", "options": {"tokens": ["s0", "s1"]}}])
    masked = make_trainer(wanted, corpus, seed=1)
    masked.model.load_state_dict(honest.model.state_dict())
    assert gap(seen_by(masked, corpus)) > 0.0


def test_it_is_about_greedy_decoding_whatever_search_is_asked_for(honest: Trainer, cache: Path):
    corpus = load_corpus(honest.config.corpus, cache)
    greedy = seen_by(honest, corpus)
    assert greedy.greedy_translations("test") is greedy.translations("test")
    beam = DecodeConfig.model_construct(beam_size=3, max_length_ratio=2.0)
    outputs = ModelOutputs(honest.model, corpus, END, decode=beam)
    assert gap(outputs) == gap(greedy)
    assert outputs.hypotheses == {} and outputs.is_scored_and_greedily_translated("test")


def test_a_run_measures_it_unasked_where_it_costs_nothing(leaking: Trainer, cache: Path):
    corpus = load_corpus(leaking.config.corpus, cache)
    names = ["test/nll", "noise-drop-20/exact_match", "test/exact_match", "valid/nll"]
    found = evaluate(leaking, corpus, names, END, final=True).metrics
    assert found.keys() == {*names, "test/forced_gap"}
    assert found["test/forced_gap"] == gap(seen_by(leaking, corpus))
    assert evaluate(leaking, corpus, names, END).metrics.keys() == set(names)


def test_what_was_forced_and_said_is_known(honest: Trainer, cache: Path):
    outputs = seen_by(honest, load_corpus(honest.config.corpus, cache))
    assert not outputs.is_scored_and_greedily_translated("test")
    outputs.teacher_forced("test")
    assert not outputs.is_scored_and_greedily_translated("test")
    outputs.translations("test")
    assert outputs.is_scored_and_greedily_translated(
        "test"
    ) and not outputs.is_scored_and_greedily_translated("valid")
