"""Greedy and beam search under every strategy: the same with and without a cache, and what teacher forcing says."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from helpers import plan, sizes
from talking import EVAL, example_plan, rows_of, sentences, talking_model

from maskbench.data.vocabulary import BOS, EOS
from maskbench.decoding import Hypothesis, beam_search, greedy_search
from maskbench.masks.context import SourceBatch
from maskbench.masks.plan import MaskPlan
from maskbench.model.transformer import EncoderDecoder
from maskbench.registry import MASKS

LIMIT = 6
"""Positions of the models: every sentence ends there, if it has not ended before."""
SIZES = replace(sizes(), max_length=LIMIT)
SENTENCES = sentences(2, 11, longest=LIMIT, annotated=True)


@dataclass(frozen=True)
class Arm:
    """A strategy at a site, acting in evaluation, and what must stand beside it."""

    mask: str
    site: str

    def plan(self) -> MaskPlan:
        return example_plan(self.mask, self.site, SIZES)


def sites_of(mask: str) -> list[str]:
    """Where the strategy can act in decoding, those sites first that only the decoder has."""
    late = ("decoder_self", "decoder_input", "cross", "logits")
    return sorted(MASKS.lookup(mask).sites - {"loss"}, key=lambda site: (site not in late, site))


ARMS = [
    pytest.param(Arm(mask, site), id=f"{mask}@{site}", marks=[pytest.mark.slow] if i else [])
    for mask in MASKS.names()
    for i, site in enumerate(sites_of(mask))
]


def search(model: EncoderDecoder, source: SourceBatch, cached: bool | None) -> list[list[Hypothesis]]:
    return beam_search(
        model, source, EVAL, beam_size=3, n_best=3, alpha=0.7, max_length_ratio=2.0, cached=cached
    )


def teacher_forced(model: EncoderDecoder, source: SourceBatch, row: int, tokens: list[int]) -> float:
    """The log-likelihood of a translation of one sentence alone, all its tokens at once."""
    one = rows_of(source, [row])
    masks, ids = model.masks, torch.tensor([[BOS, *tokens[:-1]]])
    with torch.no_grad():
        inputs = masks.corrupt("encoder_input", one.ids, one.lengths, one.examples, EVAL)
        read = one.after(inputs)
        memory = model.encode(inputs, read, EVAL)
        said = masks.corrupt("decoder_input", ids, torch.tensor([len(tokens)]), one.examples, EVAL)
        logits = model.logits(model.decode(said, memory, read, EVAL))
        scores = masks.gate_logits(logits, EVAL, one.examples)[0].log_softmax(-1)
    return float(scores[torch.arange(len(tokens)), tokens].sum())


@pytest.mark.parametrize("arm", ARMS)
def test_beams_are_the_same_with_and_without_a_cache_and_scored_as_teacher_forcing_does(arm: Arm) -> None:
    model = talking_model(arm.plan())
    found = search(model, SENTENCES, None)
    said = [hypothesis for one in found for hypothesis in one]
    assert len({token for h in said for token in h.tokens}) >= 2  # the models have something to say
    if model.masks.cacheable:
        slowly = [hypothesis for one in search(model, SENTENCES, False) for hypothesis in one]
        assert [h.tokens for h in slowly] == [h.tokens for h in said]
        assert [h.score for h in slowly] == pytest.approx([h.score for h in said])
    for row, one in enumerate(found):
        for hypothesis in one[::2]:
            tokens = [*hypothesis.tokens, EOS][:LIMIT]
            expected = teacher_forced(model, SENTENCES, row, tokens) / ((5 + len(tokens)) / 6) ** 0.7
            assert hypothesis.score == pytest.approx(expected)


@pytest.mark.slow
@pytest.mark.parametrize("arm", ARMS)
def test_greedy_search_is_the_same_with_and_without_a_cache_and_is_a_beam_of_one(arm: Arm) -> None:
    model = talking_model(arm.plan())
    said = greedy_search(model, SENTENCES, EVAL, max_length_ratio=2.0)
    assert said == greedy_search(model, SENTENCES, EVAL, max_length_ratio=2.0, cached=False)
    alone = beam_search(model, SENTENCES, EVAL, beam_size=1, alpha=0.0, max_length_ratio=2.0)
    assert [one[0].tokens for one in alone] == said


@pytest.mark.slow
def test_most_strategies_change_what_is_said() -> None:
    plain = search(talking_model(plan(of=SIZES)), SENTENCES, True)
    arms = [param.values[0] for param in ARMS]
    changed = [arm for arm in arms if search(talking_model(arm.plan()), SENTENCES, None) != plain]
    assert len(changed) > 0.8 * len(arms)
