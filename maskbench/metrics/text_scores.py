"""Score translations given as text, without a model or a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from maskbench.config.schema.metrics import find_metric
from maskbench.config.schema.sections import DEFAULT_BLEU_TOKENIZER
from maskbench.data.text.cut_marks import find_spaced_full_stops
from maskbench.metrics.base import TranslationMetric


@dataclass(frozen=True, slots=True)
class TextScores:
    """Scores of translations given references."""

    values: dict[str, float | None]
    """By metric: `exact_match` in 0..1, `bleu` and `chrf` in 0..100; None where `undefined` says why."""
    signatures: dict[str, str]
    """By metric: how it was computed."""
    undefined: dict[str, str] = field(default_factory=dict)
    """By metric without a value: why it has none."""
    remarks: tuple[str, ...] = ()
    """Sentences on what the values do not say, each with the metric's name first."""


def text_scores(
    hypotheses: Sequence[str],
    references: Sequence[str],
    metrics: Sequence[str],
    lowercase: bool = False,
    *,
    bleu_tokenize: str = DEFAULT_BLEU_TOKENIZER,
) -> TextScores:
    """Return scores of translations.

    Args:
        references: one line per hypothesis, as raw text.
        metrics: names of metrics of translations, such as `bleu`.
        lowercase: whether every metric ignores case.
        bleu_tokenize: how BLEU cuts text into tokens, as in `evaluate.bleu_tokenize`.

    Raises:
        ValueError: the numbers of hypotheses and references differ, or a metric needs more than texts.
    """
    values: dict[str, float | None] = {}
    signatures, undefined, remarks = {}, {}, []
    for name in metrics:
        found = find_metric(name)
        if not isinstance(found, TranslationMetric):
            raise ValueError(f"{name} needs a model, not only translations")
        metric = found.with_tokenizer(bleu_tokenize)
        signatures[name] = metric.signature(lowercase)
        reason = metric.why_undefined(hypotheses, references, lowercase)
        if reason is not None:
            values[name], undefined[name] = None, reason
            remarks.append(f"{name} is undefined: {reason}")
            continue
        values[name] = metric.score(hypotheses, references, lowercase)
        remarks += [f"{name}: {remark}" for remark in metric.remarks_on(hypotheses, references, lowercase)]
    spaced = find_spaced_full_stops(references) if "bleu" in values else None
    if spaced:
        remarks.append(
            f"bleu: {spaced[0]} of {spaced[1]} references have a blank before their full stop, as text has that was"
            " cut into tokens before; only BLEU of text as it was written is comparable with published scores"
        )
    return TextScores(values, signatures, undefined, tuple(remarks))
