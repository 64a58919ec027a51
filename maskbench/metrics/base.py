"""Base classes of metrics: any metric, a mean over target tokens, a score of translations.

A metric is a class registered in `maskbench.registry.METRICS`. Modules of metrics import torch and other
slow libraries only inside functions, because `compare` imports them for directions and units.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeAlias

from maskbench.config.schema.metrics import MetricInfo, MetricName
from maskbench.text import count_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from maskbench.metrics.model_outputs import ModelOutputs
    from maskbench.metrics.teacher_forcing import TeacherForcedScores

SentenceCounts: TypeAlias = list[list[Any]]
"""One list of `sentence_numbers` numbers per sentence of a split, in the split's order."""

NO_SENTENCES = "there are no sentences"
"""Why every metric is undefined on nothing."""


class Undefined(NamedTuple):
    """Stands in the place of a value that a metric does not have."""

    reason: str
    """Why there is none, as a clause: `all 4 references are empty`."""


class Metric(MetricInfo, ABC):
    """A number computed from a model's outputs on one split."""

    @abstractmethod
    def measure(self, outputs: ModelOutputs, split: str) -> dict[str, float]:
        """Return the value of the whole split under "", and the value of each slice under its name.

        A value that is undefined, such as a mean over no tokens, is absent; `keep_defined` leaves it out and
        records why.
        """

    def count_sentences(self, outputs: ModelOutputs, split: str) -> SentenceCounts:
        """Return what each sentence adds to the metric's sums; used only where `sentence_numbers` is set."""
        raise NotImplementedError(f"{self.name} has no sentence counts")

    def slices_asked_for(self, outputs: ModelOutputs) -> list[str]:
        """Return the requested kinds of slices that this metric supports."""
        return [kind for kind in outputs.by if kind in self.slices]

    def keep_defined(
        self, outputs: ModelOutputs, split: str, values: Mapping[str, float | Undefined]
    ) -> dict[str, float]:
        """Return the values that exist; record in `outputs.undefined` why the others do not.

        Args:
            values: by slice; "" is the whole split.
        """
        found = {}
        for part, value in values.items():
            if isinstance(value, Undefined):
                outputs.undefined[self.full_name(split, part)] = value.reason
            else:
                found[part] = value
        return found

    def full_name(self, split: str, part: str = "") -> str:
        """Return the name of the value on a split or on a slice of it: `test/bleu[length:1-5]`."""
        return str(MetricName(split, None, self.name, part))


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

        tokens = outputs.teacher_forced(split)
        values = self.token_values(tokens)
        if not len(values):
            return self.keep_defined(outputs, split, {"": Undefined("there are no target tokens")})
        unknown = int(tokens.is_unknown.sum())
        if unknown:
            outputs.add_remark(
                self.full_name(split),
                f"{unknown} of {count_of(len(values), 'target token')} are words that the vocabulary does not"
                " have: token_accuracy counts them as wrong, and nll is that of <unk> in their place",
            )
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
        """Return the metric over all sentences. Arguments as in `count_texts`.

        The number means something only where `why_undefined` returns None; it is 0 without sentences.

        Raises:
            ValueError: the numbers of hypotheses and references differ.
        """
        check_pairs(hypotheses, references)
        counts = self.count_texts(hypotheses, references, lowercase)
        above, below = (sum(entry[i] for entry in counts) for i in range(2))
        return float(above / below) if below else 0.0

    def why_undefined(
        self, hypotheses: Sequence[str], references: Sequence[str], lowercase: bool = False
    ) -> str | None:
        """Return why the metric has no value for these texts; None: it has one. Arguments as in `score`.

        Here: there are no sentences, or a ratio's denominator is 0.
        """
        check_pairs(hypotheses, references)
        if not references:
            return NO_SENTENCES
        if type(self).score is TranslationMetric.score:
            counts = self.count_texts(hypotheses, references, lowercase)
            if not sum(entry[1] for entry in counts):
                return f"its denominator over {count_of(len(references), 'sentence')} is 0"
        return None

    def remarks_on(
        self, hypotheses: Sequence[str], references: Sequence[str], lowercase: bool = False
    ) -> list[str]:
        """Return clauses on what the score of these texts does not say; none here. Arguments as in `score`."""
        return []

    def with_tokenizer(self, tokenizer: str) -> Self:
        """Return this metric with a tokeniser of `evaluate.bleu_tokenize`; itself if it uses none."""
        return self

    def signature(self, lowercase: bool = False) -> str:
        """Return a text that identifies how the score is computed; only equal signatures are comparable."""
        return f"case:{'lc' if lowercase else 'mixed'}"

    def measure(self, outputs: ModelOutputs, split: str) -> dict[str, float]:
        """Return the score of all translations and of the translations of each slice."""
        from maskbench.metrics.slices import sentence_slices

        metric, lowercase = self.with_tokenizer(outputs.bleu_tokenize), outputs.lowercase
        whole = outputs.translations(split)
        parts = sentence_slices(outputs.split(split), self.slices_asked_for(outputs))
        outputs.signatures[self.name] = metric.signature(lowercase)
        values: dict[str, float | Undefined] = {}
        for part, texts in [("", whole), *((part, whole.select(where)) for part, where in parts)]:
            compared = (texts.hypotheses, texts.references, lowercase)
            reason = metric.why_undefined(*compared)
            values[part] = metric.score(*compared) if reason is None else Undefined(reason)
            for remark in metric.remarks_on(*compared) if reason is None else ():
                outputs.add_remark(self.full_name(split, part), remark)
        return self.keep_defined(outputs, split, values)

    def count_sentences(self, outputs: ModelOutputs, split: str) -> SentenceCounts:
        """Return `count_texts` of the split's translations."""
        texts = outputs.translations(split)
        metric = self.with_tokenizer(outputs.bleu_tokenize)
        return metric.count_texts(texts.hypotheses, texts.references, outputs.lowercase)


def check_pairs(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    """Check that every hypothesis has one reference.

    Raises:
        ValueError: the numbers differ.
    """
    if len(hypotheses) != len(references):
        raise ValueError(f"{len(hypotheses)} hypotheses, but {len(references)} references")


def all_references_empty(references: Sequence[str]) -> str | None:
    """Return a clause if no reference has text, in which case nothing can be compared; else None."""
    if not references:
        return NO_SENTENCES
    if any(reference.strip() for reference in references):
        return None
    return (
        "the only reference is empty"
        if len(references) == 1
        else f"all {len(references)} references are empty"
    )
