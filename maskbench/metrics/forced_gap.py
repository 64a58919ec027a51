"""Forced gap: sentences right under teacher forcing minus those right in greedy decoding; shows leaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskbench.metrics.base import Metric
from maskbench.registry import METRICS

if TYPE_CHECKING:
    from maskbench.data.corpus import Split
    from maskbench.metrics.model_outputs import ModelOutputs
    from maskbench.metrics.teacher_forcing import TeacherForcedScores
    from maskbench.metrics.translation import TranslationResult


@METRICS.register("forced_gap")
class ForcedGap(Metric):
    """Teacher-forced minus greedy sentence accuracy; `forced_gap` has the definition."""

    higher_is_better = False
    unit = "share of sentences"
    low, high = -1.0, 1.0
    description = (
        "sentences whose every token is right given the gold prefix, minus those right in greedy decoding:"
        " 0 unless something leaks"
    )
    source = "this project"

    def measure(self, outputs: ModelOutputs, split: str) -> dict[str, float]:
        """Return the gap of a split, -1 to 1."""
        tokens, greedy = outputs.teacher_forced(split), outputs.greedy_translations(split)
        return {"": forced_gap(tokens, greedy, outputs.split(split))}


def forced_gap(tokens: TeacherForcedScores, said: TranslationResult, split: Split) -> float:
    """Return the share of sentences right given the gold prefix, minus the share right in greedy decoding.

    -1 to 1; the expected value is 0. A sentence is right given the gold prefix if every token of its
    reference, end mark included, is ranked first. It is right in decoding if the greedy translation equals
    the reference, token by token.

    For a model without access to later tokens both are the same sentences. If every reference token is
    ranked first given the gold tokens before it, greedy decoding outputs the first one; its output is then a
    gold prefix, so it outputs the next one, and so on to the end mark. Conversely, if the greedy translation
    equals the reference, each token was ranked first given a gold prefix. This holds for any training. A
    model that sees later tokens in teacher forcing does not have them in decoding; that causes the gap.

    Other causes of a difference act in decoding only: logit masks; the length limit, where a reference is
    longer; and `<pad>`, `<bos>` and `<mask>`, which decoding never chooses (the gap is below 0 if a model
    ranks one of them first in a sentence that is right otherwise). Rounding differs between the two passes
    and can decide a tie.

    Right means equal ids on both sides: the mark for unknown words is a token like others here.

    Args:
        tokens: teacher-forced scores of every target token of the split, which has sentences.
        said: greedy translations of the split.
    """
    import numpy as np

    right = np.logical_and.reduceat(tokens.gold_first, split.tgt.offsets[:-1])
    return (int(right.sum()) - int(said.right.sum())) / len(split)
