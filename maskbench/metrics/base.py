"""Base classes of metrics: any metric, a mean over target tokens, a score of translations.

A metric is a class registered in `maskbench.registry.METRICS`. Modules of metrics import torch and other
slow libraries only inside functions, because `compare` imports them for directions and units.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from maskbench.config.schema.metrics import MetricInfo

if TYPE_CHECKING:
    import numpy.typing as npt

    from maskbench.metrics.model_outputs import ModelOutputs
    from maskbench.metrics.teacher_forcing import TeacherForcedScores

SentenceCounts: TypeAlias = list[list[Any]]
"""One list of `sentence_numbers` numbers per sentence of a split, in the split's order."""


class Metric(MetricInfo, ABC):
    """A number computed from a model's outputs on one split."""

    @abstractmethod
    def measure(self, outputs: ModelOutputs, split: str) -> dict[str, float]:
        """Return the value of the whole split under "", and the value of each slice under its name.

        Empty where the metric is undefined on this split, such as a mean over no tokens.
        """

    def count_sentences(self, outputs: ModelOutputs, split: str) -> SentenceCounts:
        """Return what each sentence adds to the metric's sums; used only where `sentence_numbers` is set."""
        raise NotImplementedError(f"{self.name} has no sentence counts")

    def slices_asked_for(self, outputs: ModelOutputs) -> list[str]:
        """Return the requested kinds of slices that this metric supports."""
        return [kind for kind in outputs.by if kind in self.slices]


class TokenMetric(Metric):
    """A mean over the gold target tokens, each predicted from the gold tokens before it."""

    slices = ("tag", "length", "distance")
    sentence_numbers = 2

    @abstractmethod
    def token_values(self, tokens: TeacherForcedScores) -> npt.NDArray[Any]:
        """Return the value of each token, Float64[N] or Bool[N]."""

    def measure(self, outputs: ModelOutputs, split: str) -> dict[str, float]:
        """Return the mean over all tokens and over the tokens of each slice."""
        from maskbench.metrics.slices import token_slices

        values = self.token_values(outputs.teacher_forced(split))
        parts = token_slices(outputs.split(split), self.slices_asked_for(outputs), outputs.corpus.tags)
        return {"": float(values.mean()), **{part: float(values[where].mean()) for part, where in parts}}

    def count_sentences(self, outputs: ModelOutputs, split: str) -> SentenceCounts:
        """Return for each sentence the sum of its token values and its number of tokens."""
        import numpy as np

        values, offsets = self.token_values(outputs.teacher_forced(split)), outputs.split(split).tgt.offsets
        numbers = values.astype(np.int64) if values.dtype == np.bool_ else values
        lengths = np.diff(offsets)
        sums = np.add.reduceat(numbers, offsets[:-1]) if len(lengths) else numbers[:0]
        return [list(entry) for entry in zip(sums.tolist(), lengths.tolist(), strict=True)]


class TranslationMetric(Metric):
    """A score of translations given references, both as raw text; by default a ratio of two sums."""

    slices = ("length",)
    sentence_numbers = 2

    def count(self, hypothesis: str, reference: str) -> tuple[float, float]:
        """Return what one sentence adds to the numerator and to the denominator of the ratio."""
        raise NotImplementedError(f"{type(self).__name__} defines neither count, nor score and count_texts")

    def count_texts(
        self, hypotheses: Sequence[str], references: Sequence[str], lowercase: bool = False
    ) -> SentenceCounts:
        """Return what each sentence adds to the metric's sums.

        Args:
            references: one per hypothesis.
            lowercase: whether to ignore case.
        """
        pairs = zip(hypotheses, references, strict=True)
        if lowercase:
            pairs = ((hypothesis.lower(), reference.lower()) for hypothesis, reference in pairs)  # type: ignore[assignment]
        return [list(self.count(hypothesis, reference)) for hypothesis, reference in pairs]

    def score(self, hypotheses: Sequence[str], references: Sequence[str], lowercase: bool = False) -> float:
        """Return the metric over all sentences, 0 without sentences. Arguments as in `count_texts`.

        Raises:
            ValueError: the numbers of hypotheses and references differ.
        """
        if len(hypotheses) != len(references):
            raise ValueError(f"{len(hypotheses)} hypotheses, but {len(references)} references")
        counts = self.count_texts(hypotheses, references, lowercase)
        above, below = (sum(entry[i] for entry in counts) for i in range(2))
        return float(above / below) if below else 0.0

    def signature(self, lowercase: bool = False) -> str:
        """Return a text that identifies how the score is computed; only equal signatures are comparable."""
        return f"case:{'lc' if lowercase else 'mixed'}"

    def measure(self, outputs: ModelOutputs, split: str) -> dict[str, float]:
        """Return the score of all translations and of the translations of each slice."""
        from maskbench.metrics.slices import sentence_slices

        whole = outputs.translations(split)
        parts = sentence_slices(outputs.split(split), self.slices_asked_for(outputs))
        outputs.signatures[self.name] = self.signature(outputs.lowercase)
        return {
            part: self.score(texts.hypotheses, texts.references, outputs.lowercase)
            for part, texts in [("", whole), *((part, whole.select(where)) for part, where in parts)]
        }

    def count_sentences(self, outputs: ModelOutputs, split: str) -> SentenceCounts:
        """Return `count_texts` of the split's translations."""
        texts = outputs.translations(split)
        return self.count_texts(texts.hypotheses, texts.references, outputs.lowercase)


def without_missing(values: Mapping[str, float | None]) -> dict[str, float]:
    """Return the entries whose value is not None."""
    return {part: value for part, value in values.items() if value is not None}
