"""Teacher-forced figures by hand, and sacreBLEU's scores with their signatures."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from helpers import nll, placement, plan, sizes, token_accuracy

from maskbench.config.schema.experiment import ModelConfig
from maskbench.config.schema.metrics import find_metric
from maskbench.config.schema.sections import DecodeConfig
from maskbench.data.batches import collate
from maskbench.data.corpus import Corpus, Ragged, Split
from maskbench.data.vocabulary import EOS, WordVocabulary
from maskbench.decoding import greedy_search
from maskbench.masks.clock import Clock
from maskbench.masks.context import SourceBatch
from maskbench.masks.plan import MaskPlan
from maskbench.metrics.base import TranslationMetric
from maskbench.metrics.teacher_forcing import score_teacher_forced
from maskbench.metrics.translation import translate
from maskbench.metrics.translation_scores import ExactMatch
from maskbench.model.initialise import initialise
from maskbench.model.transformer import EncoderDecoder
from maskbench.registry import METRICS

EVAL = Clock.evaluation(5, 10)
LINES = ["w5 w6 w7", "w9", "w8 w8 w5 w6 w10", "w11 w12", "w6 w5", "w13 w14 w15 w16 w17 w18"]


def corpus() -> Corpus:
    vocabulary = WordVocabulary([f"w{i}" for i in range(5, 23)])
    targets = [" ".join(reversed(line.split())) for line in LINES]
    src, tgt = (Ragged.from_rows([[*row, EOS] for row in vocabulary.encode_all(s)]) for s in (LINES, targets))
    split = Split("test", src, tgt, list(LINES), targets)
    return Corpus("tiny", vocabulary, {"test": split}, "0" * 64, 19)


def model(arm: MaskPlan | None = None) -> EncoderDecoder:
    config = ModelConfig(d_model=12, n_heads=3, encoder_layers=1, decoder_layers=2, d_ff=17)
    built = EncoderDecoder(config, arm or plan(of=sizes(encoder_layers=1)), 23, 19)
    initialise(built, 3)
    return built.double()


def by_hand(built: EncoderDecoder, data: Split) -> tuple[float, float]:
    """Every sentence alone, every token by itself."""
    nll, correct, n = 0.0, 0, 0
    for row in range(len(data)):
        logits = built.eval()(collate(data, torch.tensor([row]).numpy()), EVAL)[0].tolist()
        for scores, gold in zip(logits, data.tgt[row].tolist(), strict=True):
            nll += math.log(sum(math.exp(s) for s in scores)) - scores[gold]
            correct += max(range(len(scores)), key=lambda i: scores[i]) == gold
            n += 1
    return nll / n, correct / n


@pytest.mark.parametrize("batch_tokens", [1, 13, 4096])
def test_teacher_forced_figures_are_those_computed_by_hand(batch_tokens):
    built, data = model(), corpus()
    expected, accuracy = by_hand(built, data.splits["test"])
    found = score_teacher_forced(built.train(), data.splits["test"], EVAL, batch_tokens)
    assert nll(found) == pytest.approx(expected, abs=1e-10)
    assert token_accuracy(found) == accuracy
    assert built.training


def test_nll_does_not_know_of_logit_masks():
    data = corpus().splits["test"]
    banned = placement("logits", "ban_tokens", tokens=["w6", "w9"])
    masked = model(plan(banned, of=sizes(encoder_layers=1)))
    assert nll(score_teacher_forced(masked, data, EVAL)) == nll(score_teacher_forced(model(), data, EVAL))


def test_nll_of_an_untrained_model_is_about_the_log_of_the_vocabulary():
    assert abs(nll(score_teacher_forced(model(), corpus().splits["test"], EVAL)) - math.log(23)) < 1.0


@pytest.mark.parametrize("batch_tokens", [1, 13, 4096])
def test_translations_come_in_the_splits_order(batch_tokens):
    built, data = model(), corpus()
    said = translate(
        built, data, "test", EVAL, decode=DecodeConfig(max_length_ratio=1.0), batch_tokens=batch_tokens
    )
    for row, hypothesis in enumerate(said.hypotheses):
        alone = SourceBatch.of(collate(data.splits["test"], torch.tensor([row]).numpy()))
        (tokens,) = greedy_search(built, alone, EVAL, max_length_ratio=1.0)
        assert hypothesis == data.vocabulary.decode(tokens)
    assert len(set(said.hypotheses)) > 1


@pytest.mark.parametrize("beam_size", [1, 2])
def test_translations_that_were_cut_are_those_that_a_greater_limit_makes_longer(beam_size):
    built, data = model(), corpus()
    honest = built.logits
    # So much more for the end mark that some sentences end and others go on for ever.
    bonus = torch.zeros(23, dtype=torch.float64)
    bonus[EOS] = 2.0
    built.logits = lambda hidden: honest(hidden) + bonus
    short, long = (
        translate(
            built,
            data,
            "test",
            EVAL,
            decode=DecodeConfig(beam_size=beam_size, n_best=beam_size, max_length_ratio=ratio),
        )
        for ratio in (0.01, 100.0)
    )
    longer = [len(a.split()) < len(b.split()) for a, b in zip(short.hypotheses, long.hypotheses, strict=True)]
    assert short.cut_off.tolist() == longer and set(longer) == {True, False}
    assert [not found[0].ended for found in short.n_best] == (longer if beam_size > 1 else [])
    keep = np.array(longer)
    assert short.select(keep).cut_off.all() and not short.select(~keep).cut_off.any()


def text_scores(hypotheses, references, names, lowercase=False):
    scores = {name: find_metric(name).score(hypotheses, references, lowercase) for name in names}
    return scores, {name: find_metric(name).signature(lowercase) for name in names}


def test_exact_match_counts_equal_lines():
    hypotheses, references = ["a b", "A b", "", "c "], ["a b", "a b", "", "c"]
    assert ExactMatch().score(hypotheses, references) == 0.5
    assert ExactMatch().score(hypotheses, references, lowercase=True) == 0.75
    assert ExactMatch().score([], []) == 0.0


def test_a_perfect_translation_has_every_full_score():
    lines = ["the cat sat on the mat today .", "two dogs bark at the tall tree ."]
    scores = text_scores(lines, lines, ["exact_match", "bleu", "chrf"])[0]
    assert scores == {"exact_match": 1.0, "bleu": pytest.approx(100.0), "chrf": pytest.approx(100.0)}


def test_bleu_is_the_geometric_mean_of_precisions_times_the_brevity_penalty():
    hypothesis, reference = "a b c d e f", "a b c d x f g"
    precisions = [5 / 6, 3 / 5, 2 / 4, 1 / 3]
    expected = 100 * math.exp(1 - 7 / 6) * math.prod(precisions) ** 0.25
    found, _ = text_scores([hypothesis], [reference], ["bleu"])
    assert found["bleu"] == pytest.approx(expected)


def test_signatures_say_how_scores_were_computed():
    wanted = ["exact_match", "bleu", "chrf"]
    (mixed_values, mixed), (lower_values, lower) = (
        text_scores(["A b"], ["a b"], wanted, lowercase=low) for low in (False, True)
    )
    assert "case:mixed" in mixed["bleu"] and "tok:13a" in mixed["bleu"]
    assert "case:lc" in lower["bleu"] and "case:lc" in lower["chrf"]
    assert all("version:" in mixed[name] for name in ("bleu", "chrf"))
    assert mixed_values["exact_match"] == 0.0 and lower_values["exact_match"] == 1.0


def test_only_metrics_of_translations_compare_texts():
    compared = {name for name in METRICS if isinstance(find_metric(name), TranslationMetric)}
    assert compared == {"exact_match", "bleu", "chrf"}


def test_one_reference_per_hypothesis_is_asked_for():
    with pytest.raises(ValueError, match="2 hypotheses, but 1 references"):
        text_scores(["a", "b"], ["a"], ["bleu"])


def test_order_and_batches_do_not_change_corpus_scores():
    hypotheses, references = ["a b c d", "x y", "q r s t u"], ["a b c e", "x z", "q r s t u"]
    once = text_scores(hypotheses, references, ["bleu", "chrf"])[0]
    twice = text_scores(hypotheses[::-1] * 2, references[::-1] * 2, ["bleu", "chrf"])[0]
    assert once == {name: pytest.approx(value) for name, value in twice.items()}
