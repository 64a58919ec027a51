"""What a trained model is worth: teacher-forced figures, and scores of its translations."""

from maskbench.metrics.teacher_forced import teacher_forced
from maskbench.metrics.translation import (
    TEXT_METRICS,
    TextScores,
    exact_match,
    text_scores,
    translate,
    translate_first,
)

__all__ = [
    "TEXT_METRICS",
    "TextScores",
    "exact_match",
    "teacher_forced",
    "text_scores",
    "translate",
    "translate_first",
]
