"""Beam search: exactly the best translations where nothing is left out, and its own rules where something is."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch
from helpers import VOCAB, placement, plan, sizes
from hypothesis import given, settings
from hypothesis import strategies as st
from talking import EVAL, example_plan, rows_of, sentences, talking_model
from torch import Tensor

from maskbench.data.vocabulary import BOS, EOS, MASK, PAD, UNK
from maskbench.decoding import Hypothesis, beam_search, greedy_search
from maskbench.decoding.beam import _Sentence, length_penalty
from maskbench.masks.context import SourceBatch, TokenInput
from maskbench.model.transformer import EncoderDecoder

TINY = replace(sizes(), vocab_size=7, max_length=3)
"""Three words besides the end mark (one of them the unknown word), and at most three tokens."""
LONGER = replace(sizes(), max_length=8)
ALPHAS = [0.0, 0.6, 1.0, 2.0, -1.0]
ARMS = {
    "none": (),
    "masked": (placement("decoder_self", "window", radius=1), placement("cross", "diagonal", width=1)),
}


def search(model: EncoderDecoder, source: SourceBatch, beam_size: int, **options) -> list[list[Hypothesis]]:
    chosen = {"alpha": 1.0, "max_length_ratio": 1.5, **options}
    return beam_search(model, source, EVAL, beam_size=beam_size, **chosen)


def likelihoods(model: EncoderDecoder, source: SourceBatch, row: int, tokens: list[int]) -> list[float]:
    """The log-likelihood of every token given those before it, teacher-forced, of one sentence alone."""
    one = rows_of(source, [row])
    with torch.no_grad():
        memory = model.encode(TokenInput(one.ids), one, EVAL)
        said = TokenInput(torch.tensor([[BOS, *tokens[:-1]]]))
        scores = model.logits(model.decode(said, memory, one, EVAL))[0]
    return [float(scores[t].log_softmax(-1)[token]) for t, token in enumerate(tokens)]


def every_translation(model: EncoderDecoder, source: SourceBatch, row: int) -> list[tuple[list[int], float]]:
    """All translations there are, each with its end mark if it has one, and their log-likelihoods."""
    limit, words = model.max_length, [UNK, 5, 6]
    ended = [[*body, EOS] for n in range(limit) for body in itertools.product(words, repeat=n)]
    cut = [list(body) for body in itertools.product(words, repeat=limit)]
    return [(tokens, sum(likelihoods(model, source, row, tokens))) for tokens in ended + cut]


@pytest.mark.parametrize("arm", ARMS)
def test_a_beam_that_holds_everything_finds_the_best_there_are(arm):
    model = talking_model(plan(*ARMS[arm], of=TINY), ending=-2.0)
    source = sentences(2, 0, TINY.vocab_size, longest=3)
    winners = set()
    for row in range(2):
        scored = every_translation(model, source, row)
        assert len(scored) == 40
        for alpha in ALPHAS:
            found = search(model, source, 50, n_best=9, alpha=alpha)[row]
            ranked = sorted(((value / ((5 + len(t)) / 6) ** alpha, t) for t, value in scored), reverse=True)
            assert [h.tokens for h in found] == [[i for i in t if i != EOS] for _, t in ranked[:9]]
            assert [h.score for h in found] == pytest.approx([score for score, _ in ranked[:9]])
            winners.add(tuple(tuple(h.tokens) for h in found))
    assert len(winners) > 4  # the length penalty matters here


def test_more_are_asked_for_than_there_are():
    tiniest = replace(TINY, vocab_size=6, max_length=2)
    model = talking_model(plan(of=tiniest))
    source = SourceBatch(torch.tensor([[5, EOS]]), torch.tensor([2]), torch.tensor([9]))
    found = search(model, source, 50, n_best=40)[0]
    words = [UNK, 5]
    assert sorted(h.tokens for h in found) == sorted(
        [[], *([a] for a in words), *([a, b] for a in words for b in words)]
    )


@pytest.mark.parametrize("alpha", ALPHAS)
def test_a_score_is_what_teacher_forcing_gives_the_tokens(alpha):
    model, source = talking_model(plan()), sentences(5, 2)
    limits = [min(math.ceil(1.5 * n) + 10, model.max_length) for n in source.lengths.tolist()]
    ends = set()
    for row, found in enumerate(search(model, source, 4, n_best=4, alpha=alpha)):
        assert len(found) == 4
        assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)
        assert len({tuple(h.tokens) for h in found}) == 4
        for hypothesis in found:
            is_cut = len(hypothesis.tokens) == limits[row]
            ends.add(is_cut)
            tokens = hypothesis.tokens if is_cut else [*hypothesis.tokens, EOS]
            expected = sum(likelihoods(model, source, row, tokens)) / ((5 + len(tokens)) / 6) ** alpha
            assert hypothesis.score == pytest.approx(expected, rel=1e-12)
    assert ends == {True, False} or alpha in (-1.0, 2.0)


def test_the_models_here_have_a_lot_to_say():
    said = [h.tokens for found in search(talking_model(plan()), sentences(9, 3), 3, n_best=3) for h in found]
    assert len({token for tokens in said for token in tokens}) >= 6
    assert len({tuple(tokens) for tokens in said}) >= 20
    assert len({len(tokens) for tokens in said}) >= 9


@pytest.mark.parametrize("alpha", [0.0, 1.0])
@pytest.mark.parametrize("ending", [0.0, 0.5])
def test_a_beam_of_one_is_greedy(alpha, ending):
    model, source = talking_model(plan(), ending), sentences(12, 4)
    expected = greedy_search(model, source, EVAL, max_length_ratio=1.5)
    found = search(model, source, 1, alpha=alpha)
    assert [[h.tokens for h in one] for one in found] == [[tokens] for tokens in expected]


@settings(max_examples=8)
@given(st.permutations(range(6)), st.integers(1, 6), st.integers(1, 4))
def test_batch_mates_order_and_padding_never_matter(order, cut, beam_size):
    model, source = talking_model(plan()), sentences(6, 5)
    whole = search(model, source, beam_size, n_best=beam_size)
    for rows in filter(None, (order[:cut], order[cut:])):
        for one, row in zip(
            search(model, rows_of(source, rows), beam_size, n_best=beam_size), rows, strict=True
        ):
            assert [h.tokens for h in one] == [h.tokens for h in whole[row]]
            assert [h.score for h in one] == pytest.approx([h.score for h in whole[row]], rel=1e-12)


def one_by_one(
    model: EncoderDecoder, source: SourceBatch, row: int, beam_size: int, limit: int
) -> list[tuple[float, list[int]]]:
    """All finished hypotheses of a beam search of one sentence, best first, each prefix scored alone and anew."""
    unfinished, finished = [(0.0, [])], []
    while unfinished:
        longer = [
            (total + value, [*said, token])
            for total, said in unfinished
            for token, value in enumerate(next_values(model, source, row, said))
            if token not in (PAD, BOS, MASK)
        ]
        longer = sorted(longer, key=lambda one: -one[0])[:beam_size]
        finished += [one for one in longer if one[1][-1] == EOS or len(one[1]) == limit]
        unfinished = [one for one in longer if one[1][-1] != EOS and len(one[1]) < limit]
    scored = [(total / length_penalty(len(said), 1.0), said) for total, said in finished]
    return sorted(scored, key=lambda one: -one[0])


def next_values(model: EncoderDecoder, source: SourceBatch, row: int, said: list[int]) -> list[float]:
    """The log-likelihood of every next token after a prefix of one sentence alone."""
    one = rows_of(source, [row])
    with torch.no_grad():
        memory = model.encode(TokenInput(one.ids), one, EVAL)
        hidden = model.decode(TokenInput(torch.tensor([[BOS, *said]])), memory, one, EVAL)
        values: list[float] = model.logits(hidden)[0, -1].log_softmax(-1).tolist()
    return values


@pytest.mark.parametrize(
    ("mask", "site"),
    [
        ("window", "decoder_self"),
        ("selective", "decoder_self"),
        ("mixed_heads", "decoder_self"),
        ("random_sparse", "cross"),
        ("local_p", "cross"),
        ("entmax", "cross"),
        ("drop_head", "cross"),
        ("soft_diagonal", "cross"),
    ],
)
def test_a_narrow_beam_is_that_of_one_sentence_and_one_prefix_at_a_time(mask, site):
    model, source = talking_model(example_plan(mask, site, LONGER)), sentences(3, 8, longest=4)
    found = search(model, source, 3, n_best=3, max_length_ratio=0.5)
    for row, n in enumerate(source.lengths.tolist()):
        expected = one_by_one(model, source, row, 3, min(math.ceil(0.5 * n) + 10, LONGER.max_length))[:3]
        assert [[*h.tokens, EOS] if h.ended else h.tokens for h in found[row]] == [t for _, t in expected]
        assert [h.score for h in found[row]] == pytest.approx([value for value, _ in expected], rel=1e-10)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_stopping_early_changes_nothing(alpha, monkeypatch):
    model, source = talking_model(plan()), sentences(8, 6)
    steps = []
    honest = EncoderDecoder.decode

    def decode(self, inputs, memory, *rest, **options):
        steps.append(len(memory))
        return honest(self, inputs, memory, *rest, **options)

    monkeypatch.setattr(EncoderDecoder, "decode", decode)
    early = search(model, source, 4, n_best=2, alpha=alpha)
    rows_early = sum(steps)
    steps.clear()
    monkeypatch.setattr(_Sentence, "may_improve", lambda *_: True)
    assert search(model, source, 4, n_best=2, alpha=alpha) == early
    assert rows_early < sum(steps) or alpha == 2.0


@given(
    st.integers(2, 12).flatmap(lambda limit: st.tuples(st.integers(1, limit - 1), st.just(limit))),
    st.floats(-30, -0.01),
    st.floats(-3, 3),
    st.floats(-8, -0.01),
)
def test_what_goes_on_is_given_up_only_if_no_end_of_it_can_win(lengths, log_likelihood, alpha, kept):
    length, limit = lengths
    sentence = _Sentence(limit, alpha, 1, [Hypothesis([7], kept)])
    reachable = max(log_likelihood / length_penalty(n, alpha) for n in range(length + 1, limit + 1))
    assert sentence.may_improve(log_likelihood, length) == (reachable > kept)


def test_the_length_penalty_is_that_of_the_paper():
    assert length_penalty(1, 0.7) == 1.0
    assert length_penalty(7, 1.0) == 2.0
    assert length_penalty(13, 2.0) == 9.0
    assert length_penalty(40, 0.0) == 1.0


def scripted(model: EncoderDecoder, monkeypatch, table: dict[tuple[int, ...], dict[int, float]]) -> None:
    """Have the model give every prefix of the table the listed probabilities; whatever is left goes to PAD."""
    seen: dict[str, Tensor] = {}
    honest = model.decode

    def decode(inputs, *rest, **options):
        seen["ids"] = inputs.ids
        return honest(inputs, *rest, **options)

    def logits(hidden: Tensor) -> Tensor:
        rows = []
        for prefix in seen["ids"].tolist():
            chances = table.get(tuple(prefix[1:]), {EOS: 1.0})
            row = torch.full((VOCAB,), -math.inf, dtype=torch.float64)
            for token, chance in {PAD: 1 - sum(chances.values()), **chances}.items():
                row[token] = math.log(chance) if chance > 0 else -math.inf
            rows.append(row)
        return torch.stack(rows)[:, None]

    monkeypatch.setattr(model, "decode", decode)
    monkeypatch.setattr(model, "logits", logits)


def scripted_search(monkeypatch, table, beam_size: int, **options) -> list[Hypothesis]:
    model = talking_model(plan())
    scripted(model, monkeypatch, table)
    return search(model, sentences(1, 0), beam_size, cached=False, **options)[0]


def test_a_wider_beam_finds_what_greedy_misses(monkeypatch):
    table = {(): {7: 0.5, 8: 0.4}, (7,): {9: 0.3, 10: 0.3}, (8,): {EOS: 0.9}}
    assert scripted_search(monkeypatch, table, 1)[0].tokens == [7, 9]
    found = scripted_search(monkeypatch, table, 2, alpha=0.0, n_best=2)
    assert [h.tokens for h in found] == [[8], [7, 9]]
    assert [h.score for h in found] == pytest.approx([math.log(0.36), math.log(0.15)])


def test_a_translation_says_that_it_ended_if_its_score_has_an_end_mark():
    seen = set()
    for ending in (-1.0, 0.5):
        model, source = talking_model(plan(), ending), sentences(4, 3)
        for row, found in enumerate(search(model, source, 3, n_best=2, max_length_ratio=0.5)):
            for h in found:
                tokens = [*h.tokens, EOS] if h.ended else h.tokens
                value = sum(likelihoods(model, source, row, tokens))
                assert h.score == pytest.approx(value / length_penalty(len(tokens), 1.0), abs=1e-6)
                seen.add(h.ended)
    assert seen == {True, False}


def test_an_end_outside_the_beam_is_no_end(monkeypatch):
    table = {(): {7: 0.4, 8: 0.35, EOS: 0.25}, (7,): {EOS: 0.5}, (8,): {EOS: 0.4}}
    assert [h.tokens for h in scripted_search(monkeypatch, table, 2, alpha=0.0, n_best=2)] == [[7], [8]]
    assert scripted_search(monkeypatch, table, 3, alpha=0.0)[0].tokens == []


def test_equal_scores_go_by_the_prefix_then_by_the_token(monkeypatch):
    quarter = {11: 0.25, 6: 0.25, 9: 0.25, 8: 0.25}
    table = {(): {12: 0.25, 5: 0.25, 10: 0.25, 7: 0.25}, (5,): quarter, (7,): quarter, (10,): quarter}
    for _ in range(2):
        found = scripted_search(monkeypatch, table, 3, n_best=3, alpha=0.0)
        assert [h.tokens for h in found] == [[5, 6], [5, 8], [5, 9]]


def test_marks_are_never_said_and_masks_on_the_scores_see_their_own_prefix():
    arm = plan(placement("logits", "no_repeat_ngram", n=2))
    said = [
        h.tokens for found in search(talking_model(arm, 0.0), sentences(6, 7), 4, n_best=4) for h in found
    ]
    pairs = [list(itertools.pairwise(tokens)) for tokens in said]
    assert all(len(set(p)) == len(p) for p in pairs)
    assert not {PAD, BOS, EOS, MASK} & {token for tokens in said for token in tokens}
    free = [
        h.tokens for found in search(talking_model(plan(), 0.0), sentences(6, 7), 4, n_best=4) for h in found
    ]
    assert any(len(set(p)) < len(p) for p in (list(itertools.pairwise(tokens)) for tokens in free))
