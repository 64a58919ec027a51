"""Translating a split, and comparing the text with its references.

BLEU and chrF are sacreBLEU's, over the whole split at once; its signature says how they were computed, and scores
with different signatures must not be compared (Post 2018, "A call for clarity in reporting BLEU scores").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from maskbench.data.batches import Ids, collate, evaluation_batches
from maskbench.data.corpus import Corpus, Split
from maskbench.data.vocabulary import EOS
from maskbench.decoding import greedy
from maskbench.masks.clock import Clock
from maskbench.masks.context import Source
from maskbench.metrics.forced import BATCH_TOKENS
from maskbench.model.transformer import EncoderDecoder


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """Translations beside their references."""

    hypotheses: list[str]
    references: list[str]
    """As raw text."""
    right: npt.NDArray[np.bool_]
    """Whether each translation is, token by token, its encoded reference."""

    def at(self, where: npt.NDArray[np.bool_]) -> Said:
        """Return the sentences at which `where` is True."""
        rows = where.nonzero()[0].tolist()
        return Said([self.hypotheses[i] for i in rows], [self.references[i] for i in rows], self.right[where])


def translate(
    model: EncoderDecoder,
    corpus: Corpus,
    split: str,
    clock: Clock,
    *,
    max_length_ratio: float,
    batch_tokens: int = BATCH_TOKENS,
) -> Said:
    """Return the greedy translation of every source of a split, in the split's order.

    Batches are the same for every run of a corpus: rounding differs between batch sizes, and equal models must say
    equal things.
    """
    data = corpus.splits[split]
    said: list[list[int]] = [[] for _ in range(len(data))]
    for ids in evaluation_batches(data, batch_tokens):
        tokens = _translate_batch(model, data, ids, clock, max_length_ratio)
        for example, row in zip(ids.tolist(), tokens, strict=True):
            said[example] = row
    right = [[*row, EOS] == gold for row, gold in zip(said, data.tgt.rows(), strict=True)]
    texts = [corpus.vocabulary.decode(row) for row in said]
    return Said(texts, data.references, np.array(right, dtype=np.bool_))


def translate_first(
    model: EncoderDecoder, corpus: Corpus, split: str, clock: Clock, *, count: int, max_length_ratio: float
) -> list[str]:
    """Return the greedy translations of the first `count` sources of a split, for a person to look at."""
    data = corpus.splits[split]
    said = _translate_batch(model, data, np.arange(min(count, len(data))), clock, max_length_ratio)
    return [corpus.vocabulary.decode(row) for row in said]


def _translate_batch(
    model: EncoderDecoder, data: Split, ids: Ids, clock: Clock, max_length_ratio: float
) -> list[list[int]]:
    sources = Source.of(collate(data, ids).to(model.device))
    return greedy(model, sources, clock, max_length_ratio=max_length_ratio)


@dataclass(frozen=True, slots=True)
class TextScores:
    """What comparing translations with references gave."""

    values: dict[str, float]
    """By metric: `exact_match` in 0..1, `bleu` and `chrf` in 0..100."""
    signatures: dict[str, str]
    """How a metric was computed, by metric."""


def text_scores(
    hypotheses: Sequence[str], references: Sequence[str], metrics: Sequence[str], lowercase: bool = False
) -> TextScores:
    """Return the wanted metrics among `exact_match`, `bleu` and `chrf`; others are left to others.

    Args:
        references: one line per hypothesis, as raw text.
        lowercase: whether case is ignored, by every metric.

    Raises:
        ValueError: there are not as many references as hypotheses.
    """
    if len(hypotheses) != len(references):
        raise ValueError(f"{len(hypotheses)} hypotheses, but {len(references)} references")
    values, signatures = {}, {}
    if "exact_match" in metrics:
        values["exact_match"] = exact_match(hypotheses, references, lowercase)
        signatures["exact_match"] = f"case:{'lc' if lowercase else 'mixed'}"
    # `force` silences a warning about tokenised text, which the toy languages are on purpose.
    for name, metric in (
        ("bleu", BLEU(lowercase=lowercase, force=True)),
        ("chrf", CHRF(lowercase=lowercase)),
    ):
        if name in metrics:
            values[name] = float(metric.corpus_score(list(hypotheses), [list(references)]).score)
            signatures[name] = str(metric.get_signature())
    return TextScores(values, signatures)


def exact_match(hypotheses: Sequence[str], references: Sequence[str], lowercase: bool = False) -> float:
    """Return the share of hypotheses that are their reference, character by character; 0 of none."""
    pairs = list(zip(hypotheses, references, strict=True))
    if lowercase:
        pairs = [(hypothesis.lower(), reference.lower()) for hypothesis, reference in pairs]
    return sum(hypothesis == reference for hypothesis, reference in pairs) / max(1, len(pairs))
