"""Scores of translations given references: exact match, BLEU and chrF.

BLEU and chrF are corpus scores of a whole split, computed by sacreBLEU. Its signature describes the
computation; scores with different signatures must not be compared (Post 2018, "A call for clarity in
reporting BLEU scores").
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from maskbench.config.schema.sections import DEFAULT_BLEU_TOKENIZER
from maskbench.metrics.base import (
    SentenceCounts,
    TranslationMetric,
    all_references_empty,
    check_pairs,
)
from maskbench.metrics.bleu_tokenizers import advise_tokenizer
from maskbench.registry import METRICS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

BLEU_ORDER = 4
CHRF_ORDER = 6


@METRICS.register("exact_match")
class ExactMatch(TranslationMetric):
    """The share of translations equal to their reference; a sentence adds 1 or 0, and 1."""

    higher_is_better = True
    unit = "share of sentences"
    low, high = 0.0, 1.0
    description = "share of translations equal to their reference"
    source = "common usage"

    def count(self, hypothesis: str, reference: str) -> tuple[int, int]:
        """Return 1 if both are equal, character by character, else 0; and 1."""
        return int(hypothesis == reference), 1

    def why_undefined(
        self, hypotheses: Sequence[str], references: Sequence[str], lowercase: bool = False
    ) -> str | None:
        """Return why there is no value: no reference has text, so saying nothing would always be right."""
        check_pairs(hypotheses, references)
        return all_references_empty(references)


class SacreBleuMetric(TranslationMetric):
    """A score that sacreBLEU computes from sums of sentence statistics; 0 to 100."""

    higher_is_better = True
    low, high = 0.0, 100.0

    @abstractmethod
    def scorer(self, lowercase: bool) -> BLEU | CHRF:
        """Return sacreBLEU's metric object."""

    def count_texts(
        self, hypotheses: Sequence[str], references: Sequence[str], lowercase: bool = False
    ) -> SentenceCounts:
        """Return sacreBLEU's statistics of every sentence; their sums determine the score."""
        if not hypotheses:
            return []
        # sacreBLEU has no public method for this; its own significance tests use this one.
        found = self.scorer(lowercase)._extract_corpus_statistics(list(hypotheses), [list(references)])
        return [[int(count) for count in counts] for counts in found]

    def score(self, hypotheses: Sequence[str], references: Sequence[str], lowercase: bool = False) -> float:
        """Return sacreBLEU's corpus score; 0 without sentences, for which sacreBLEU has none."""
        check_pairs(hypotheses, references)
        if not hypotheses:
            return 0.0
        return float(self.scorer(lowercase).corpus_score(list(hypotheses), [list(references)]).score)

    def why_undefined(
        self, hypotheses: Sequence[str], references: Sequence[str], lowercase: bool = False
    ) -> str | None:
        """Return why there is no value: no reference has text, so there is nothing to find again."""
        check_pairs(hypotheses, references)
        return all_references_empty(references)

    def remarks_on(
        self, hypotheses: Sequence[str], references: Sequence[str], lowercase: bool = False
    ) -> list[str]:
        """Return a clause if the references hold marks of a subword tokeniser."""
        # Imported here, because the package of corpora imports numpy and configurations are read without it.
        from maskbench.data.text.cut_marks import find_cut_marks

        marks = find_cut_marks(references)
        return [] if marks is None else [f"computed on pieces of words, not on words: {marks.description}"]

    def signature(self, lowercase: bool = False) -> str:
        """Return sacreBLEU's signature."""
        scorer = self.scorer(lowercase)
        # A signature exists only after scoring, because it includes the number of references.
        scorer.corpus_score(["a"], [["a"]])
        return str(scorer.get_signature())


@METRICS.register("bleu")
class Bleu(SacreBleuMetric):
    """BLEU-4.

    A sentence adds its numbers of translation tokens and reference tokens, then for n = 1..4 the matching
    n-grams, then for n = 1..4 all n-grams of the translation.
    """

    unit = "BLEU points"
    description = "corpus BLEU of the translations (Papineni et al. 2002)"
    source = 'Papineni et al. 2002, "BLEU: a method for automatic evaluation of machine translation"'
    sentence_numbers = 2 + 2 * BLEU_ORDER

    def __init__(self, tokenizer: str = DEFAULT_BLEU_TOKENIZER) -> None:
        """Set sacreBLEU's name of the tokeniser."""
        self.tokenizer = tokenizer

    def with_tokenizer(self, tokenizer: str) -> Bleu:
        """Return BLEU with another tokeniser."""
        found = Bleu(tokenizer)
        found.name = self.name
        return found

    def scorer(self, lowercase: bool) -> BLEU:
        """Return sacreBLEU's BLEU."""
        from sacrebleu.metrics.bleu import BLEU

        # `force` suppresses a warning about tokenised text: the toy languages are tokenised on purpose, and
        # `maskbench.data.text.cut_marks` looks at the text of files.
        return BLEU(lowercase=lowercase, force=True, tokenize=self.tokenizer)

    def remarks_on(
        self, hypotheses: Sequence[str], references: Sequence[str], lowercase: bool = False
    ) -> list[str]:
        """Return clauses on subword marks, on an unfit tokeniser, and on texts without 4-grams."""
        advice = advise_tokenizer(references, self.tokenizer)
        remarks = super().remarks_on(hypotheses, references, lowercase) + ([advice] if advice else [])
        tokenize = self.scorer(lowercase).tokenizer

        def have_4_grams(texts: Sequence[str]) -> bool:
            return any(len(tokenize(text.rstrip()).split()) >= BLEU_ORDER for text in texts)

        if not have_4_grams(references):
            remarks.append(
                f"no reference has {BLEU_ORDER} tokens (tok:{self.tokenizer}), so there is no {BLEU_ORDER}-gram to"
                " find and BLEU is about 0 whatever the translations are, also for perfect ones; exact_match and"
                " chrf have meaning here"
            )
        elif not have_4_grams(hypotheses):
            remarks.append(
                f"0 because no translation has {BLEU_ORDER} tokens, so none has a {BLEU_ORDER}-gram to count"
            )
        return remarks

    def score_counts(self, counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return BLEU from sums over sentences, with sacreBLEU's defaults (exponential smoothing)."""
        return _bleu(counts)

    def score_sentences(self, counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the BLEU of every sentence.

        Uses only the n-gram orders that the translation has ("effective order"); otherwise every translation
        of fewer than four words would score 0.
        """
        return _bleu(counts, effective_order=True)


@METRICS.register("chrf")
class Chrf(SacreBleuMetric):
    """chrF2.

    A sentence adds for n = 1..6 the numbers of character n-grams of translation, reference, and both.
    """

    unit = "chrF points"
    description = "corpus chrF2, character n-gram F-score of the translations (Popović 2015)"
    source = 'Popović 2015, "chrF: character n-gram F-score for automatic MT evaluation"'
    sentence_numbers = 3 * CHRF_ORDER

    def scorer(self, lowercase: bool) -> CHRF:
        """Return sacreBLEU's chrF."""
        from sacrebleu.metrics.chrf import CHRF

        return CHRF(lowercase=lowercase)

    def score_counts(self, counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return chrF2 from sums over sentences.

        F2 of the mean precision and the mean recall, over the n-gram orders that both texts have.
        """
        import numpy as np

        in_hypothesis, in_reference, matching = (counts[..., part::3] for part in range(3))
        present = (in_hypothesis > 0) & (in_reference > 0)
        order = np.maximum(present.sum(-1), 1)
        precision = (np.where(present, matching, 0) / np.maximum(in_hypothesis, 1)).sum(-1) / order
        recall = (np.where(present, matching, 0) / np.maximum(in_reference, 1)).sum(-1) / order
        below = 4 * precision + recall
        return np.where(below > 0, 100 * 5 * precision * recall / np.where(below > 0, below, 1), 0.0)


def _bleu(counts: npt.NDArray[np.float64], effective_order: bool = False) -> npt.NDArray[np.float64]:
    """Return BLEU, 0 to 100; the k-th n-gram order without a match counts as 2**-k matches."""
    import numpy as np

    hypothesis_length, reference_length = counts[..., 0], counts[..., 1]
    matching, total = counts[..., 2 : 2 + BLEU_ORDER], counts[..., 2 + BLEU_ORDER :]
    present = total > 0
    halvings = np.cumsum((matching == 0) & present, axis=-1)
    smoothed = np.where(matching > 0, matching, 0.5**halvings)
    logs = np.log(np.where(present, smoothed, 1.0) / np.where(present, total, 1.0))
    order = present.sum(-1) if effective_order else np.full(hypothesis_length.shape, BLEU_ORDER)
    mean = logs.sum(-1) / np.maximum(order, 1)
    brevity = np.minimum(0.0, 1 - reference_length / np.maximum(hypothesis_length, 1))
    scored = (matching > 0).any(-1) & (present.all(-1) | effective_order)
    return np.where(scored, 100 * np.exp(mean + brevity), 0.0)
