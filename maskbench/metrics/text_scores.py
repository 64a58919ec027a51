"""Score translations given as text, without a model or a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from maskbench.config.schema.metrics import find_metric
from maskbench.metrics.base import TranslationMetric


@dataclass(frozen=True, slots=True)
class TextScores:
    """Scores of translations given references."""

    values: dict[str, float]
    """By metric: `exact_match` in 0..1, `bleu` and `chrf` in 0..100."""
    signatures: dict[str, str]
    """By metric: how it was computed."""


def text_scores(
    hypotheses: Sequence[str], references: Sequence[str], metrics: Sequence[str], lowercase: bool = False
) -> TextScores:
    """Return scores of translations.

    Args:
        references: one line per hypothesis, as raw text.
        metrics: names of metrics of translations, such as `bleu`.
        lowercase: whether every metric ignores case.

    Raises:
        ValueError: the numbers of hypotheses and references differ, or a metric needs more than texts.
    """
    values, signatures = {}, {}
    for name in metrics:
        metric = find_metric(name)
        if not isinstance(metric, TranslationMetric):
            raise ValueError(f"{name} needs a model, not only translations")
        values[name] = metric.score(hypotheses, references, lowercase)
        signatures[name] = metric.signature(lowercase)
    return TextScores(values, signatures)
