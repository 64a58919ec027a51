"""Translate the sources of a split."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from maskbench.config.schema.sections import DecodeConfig
from maskbench.data.batches import Ids, collate, plan_evaluation_batches
from maskbench.data.corpus import Corpus, Split
from maskbench.data.vocabulary import EOS
from maskbench.decoding import Hypothesis, beam_search, greedy_search, length_limits
from maskbench.masks.clock import Clock
from maskbench.masks.context import SourceBatch
from maskbench.metrics.teacher_forcing import BATCH_TOKENS
from maskbench.model.transformer import EncoderDecoder


class ScoredText(NamedTuple):
    """One of the n best translations of a sentence."""

    hypothesis: str
    """As raw text."""
    score: float
    """Log-likelihood in nats divided by the length penalty; at most 0."""
    ended: bool
    """Whether the model ended it; False: it was cut at its maximal length."""


class CutOff(NamedTuple):
    """How many translations of a split were cut at their maximal length, without an end mark."""

    cut: int
    sentences: int
    """All translations of the split."""


def _none() -> npt.NDArray[np.bool_]:
    return np.zeros(0, dtype=np.bool_)


@dataclass(frozen=True, slots=True, eq=False)
class TranslationResult:
    """Translations and references of the sentences of a split."""

    hypotheses: list[str]
    """The best translations found, as raw text."""
    references: list[str]
    """As raw text."""
    right: npt.NDArray[np.bool_]
    """Bool[sentences]: whether the translation equals the encoded reference, token by token."""
    n_best: list[list[ScoredText]] = field(default_factory=list)
    """Per sentence: its n best translations with scores, best first; empty where only one was requested."""
    cut_off: npt.NDArray[np.bool_] = field(default_factory=_none)
    """Bool[sentences]: whether the translation was cut at its maximal length; empty where nobody recorded it."""

    def select(self, where: npt.NDArray[np.bool_]) -> TranslationResult:
        """Return the result for the sentences where `where` is True."""
        rows = where.nonzero()[0].tolist()
        n_best = [self.n_best[i] for i in rows] if self.n_best else []
        hypotheses, references = [self.hypotheses[i] for i in rows], [self.references[i] for i in rows]
        cut_off = self.cut_off[where] if len(self.cut_off) else self.cut_off
        return TranslationResult(hypotheses, references, self.right[where], n_best, cut_off)


def translate(
    model: EncoderDecoder,
    corpus: Corpus,
    split: str,
    clock: Clock,
    *,
    decode: DecodeConfig,
    batch_tokens: int = BATCH_TOKENS,
) -> TranslationResult:
    """Return the best translation found of every source of a split, in the split's order.

    Batches are the same for all runs of a corpus, because rounding differs between batch sizes and equal
    models must give equal translations.

    Args:
        decode: settings of the search.
        batch_tokens: maximal number of tokens of a batch, padding included, over all hypotheses of a step.
    """
    data = corpus.splits[split]
    found: list[_Found] = [_Found([])] * len(data)
    for ids in plan_evaluation_batches(data, max(1, batch_tokens // decode.beam_size)):
        for example, one in zip(ids.tolist(), _search(model, data, ids, clock, decode), strict=True):
            found[example] = one
    right = [[*one.best, EOS] == gold for one, gold in zip(found, data.tgt.rows(), strict=True)]
    texts = [corpus.vocabulary.decode(one.best) for one in found]
    n_best = [
        [ScoredText(corpus.vocabulary.decode(h.tokens), h.score, h.ended) for h in one.n_best]
        for one in found
    ]
    wanted = n_best if decode.n_best > 1 else []
    cut_off = np.array([not one.ended for one in found], dtype=np.bool_)
    return TranslationResult(texts, data.references, np.array(right, dtype=np.bool_), wanted, cut_off)


def translate_first(
    model: EncoderDecoder, corpus: Corpus, split: str, clock: Clock, *, count: int, decode: DecodeConfig
) -> list[str]:
    """Return the translations of the first `count` sources of a split, as samples to display."""
    data = corpus.splits[split]
    found = _search(model, data, np.arange(min(count, len(data))), clock, decode)
    return [corpus.vocabulary.decode(one.best) for one in found]


@dataclass(frozen=True, slots=True)
class _Found:
    """The search result of one sentence."""

    best: list[int]
    """Token ids of the best translation, without the end mark."""
    ended: bool = True
    """Whether the model ended the best translation; False: it was cut at its maximal length."""
    n_best: list[Hypothesis] = field(default_factory=list)
    """The n best translations; empty after greedy search, which gives one translation without a score."""


def _search(model: EncoderDecoder, data: Split, ids: Ids, clock: Clock, decode: DecodeConfig) -> list[_Found]:
    sources = SourceBatch.of(collate(data, ids).to(model.device))
    ratio = decode.max_length_ratio
    if decode.beam_size == 1:
        limits = length_limits(sources.lengths, ratio, model.max_length).tolist()
        said = greedy_search(model, sources, clock, max_length_ratio=ratio)
        # The end mark counts in the limit, so a translation that ended has fewer tokens besides.
        return [_Found(tokens, len(tokens) < limit) for tokens, limit in zip(said, limits, strict=True)]
    found = beam_search(
        model,
        sources,
        clock,
        beam_size=decode.beam_size,
        alpha=decode.length_penalty,
        max_length_ratio=ratio,
        n_best=decode.n_best,
    )
    return [_Found(hypotheses[0].tokens, hypotheses[0].ended, hypotheses) for hypotheses in found]
