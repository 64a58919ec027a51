"""Sentences that are right only when the gold prefix is given: the sign of a leak."""

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
    """See `forced_gap`."""

    higher_is_better = False
    unit = "share of sentences"
    low, high = -1.0, 1.0
    description = (
        "sentences whose every token is right given the gold prefix, minus those right in greedy decoding:"
        " 0 unless something leaks"
    )
    source = "this project"

    def measure(self, outputs: ModelOutputs, split: str) -> dict[str, float]:
        """Return the gap of a split."""
        tokens, greedy = outputs.teacher_forced(split), outputs.greedy_translations(split)
        return {"": forced_gap(tokens, greedy, outputs.split(split))}


def forced_gap(tokens: TeacherForcedScores, said: TranslationResult, split: Split) -> float:
    """Return the share of sentences right given the gold prefix, minus the share right in greedy decoding.

    -1 to 1; 0 is what it should be. A sentence is right given the gold prefix if every token of its reference, end mark
    included, is ranked first; it is right in decoding if the greedy translation is the reference, token by token.

    For a model that cannot see the future the two are the same sentences. Say every token of a reference is ranked
    first given the gold ones before it. Then greedy decoding begins with the first of them; what it has said is then a
    gold prefix, from which it says the next one; and so on to the end mark. Conversely, a translation that is the
    reference ranked each token of it first, given what was then the gold prefix. Training does not come into it: no
    model has a gap, however it was trained. One that can see later tokens in teacher forcing finds them missing in
    decoding, which is the gap.

    What else can part the two, and acts in decoding only: masks of the logits, and the limit on length, where a
    reference is longer. In decoding `<pad>`, `<bos>` and `<mask>` are never said, which is no gap either way unless a
    model ranks one of them first in a sentence that is right otherwise (then below 0). Rounding differs between the two
    passes and can decide a tie.

    Args:
        tokens: what the model thinks of every token of the split.
        said: its greedy translations of the split.
    """
    import numpy as np

    right = np.logical_and.reduceat(tokens.correct, split.tgt.offsets[:-1])
    return (int(right.sum()) - int(said.right.sum())) / len(split)
