"""Translate the sources of a split."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from maskbench.config.schema.sections import DecodeConfig
from maskbench.data.batches import Ids, collate, plan_evaluation_batches
from maskbench.data.corpus import Corpus, Split
from maskbench.data.vocabulary import EOS
from maskbench.decoding import Hypothesis, beam_search, greedy_search
from maskbench.masks.clock import Clock
from maskbench.masks.context import SourceBatch
from maskbench.metrics.teacher_forcing import BATCH_TOKENS
from maskbench.model.transformer import EncoderDecoder


@dataclass(frozen=True, slots=True, eq=False)
class TranslationResult:
    """Translations and references of the sentences of a split."""

    hypotheses: list[str]
    """The best translations found, as raw text."""
    references: list[str]
    """As raw text."""
    right: npt.NDArray[np.bool_]
    """Bool[sentences]: whether the translation equals the encoded reference, token by token."""
    n_best: list[list[tuple[str, float]]] = field(default_factory=list)
    """Per sentence: its n best translations with scores, best first; empty where only one was requested."""

    def select(self, where: npt.NDArray[np.bool_]) -> TranslationResult:
        """Return the result for the sentences where `where` is True."""
        rows = where.nonzero()[0].tolist()
        n_best = [self.n_best[i] for i in rows] if self.n_best else []
        hypotheses, references = [self.hypotheses[i] for i in rows], [self.references[i] for i in rows]
        return TranslationResult(hypotheses, references, self.right[where], n_best)


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
    n_best = [[(corpus.vocabulary.decode(h.tokens), h.score) for h in one.n_best] for one in found]
    wanted = n_best if decode.n_best > 1 else []
    return TranslationResult(texts, data.references, np.array(right, dtype=np.bool_), wanted)


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
    n_best: list[Hypothesis] = field(default_factory=list)
    """The n best translations; empty after greedy search, which gives one translation without a score."""


def _search(model: EncoderDecoder, data: Split, ids: Ids, clock: Clock, decode: DecodeConfig) -> list[_Found]:
    sources = SourceBatch.of(collate(data, ids).to(model.device))
    ratio = decode.max_length_ratio
    if decode.beam_size == 1:
        return [_Found(tokens) for tokens in greedy_search(model, sources, clock, max_length_ratio=ratio)]
    found = beam_search(
        model,
        sources,
        clock,
        beam_size=decode.beam_size,
        alpha=decode.length_penalty,
        max_length_ratio=ratio,
        n_best=decode.n_best,
    )
    return [_Found(hypotheses[0].tokens, hypotheses) for hypotheses in found]
