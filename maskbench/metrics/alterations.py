"""What an alteration of the source (noise, distraction) costs in accuracy; the references stay the same.

Interference and information loss are two parts of a drop in accuracy. A target token whose evidence was altered cannot
be predicted any more, whatever the mask: accuracy lost there is information loss. A token whose evidence is untouched
can be predicted as before: accuracy lost there is interference, which a mask may lower. Evidence is what the corpus
says a token depends on (`Split.deps`), and `Split.touched` says which tokens lost some.
"""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from maskbench.metrics.base import Metric, without_missing
from maskbench.metrics.translation_scores import ExactMatch
from maskbench.registry import METRICS

if TYPE_CHECKING:
    from maskbench.data.corpus import Split
    from maskbench.metrics.model_outputs import ModelOutputs
    from maskbench.metrics.teacher_forcing import TeacherForcedScores

_STEP = re.compile(r"(?P<family>.+)-(?P<number>[1-9][0-9]*)")


def interference(clean: TeacherForcedScores, altered: TeacherForcedScores, split: Split) -> float | None:
    """Return acc_clean(U) - acc_altered(U) over the tokens U whose evidence was left untouched.

    In -1 to 1, lower is better; None where every token is touched. acc is the share of tokens ranked first, given the
    gold prefix.

    Args:
        clean: what the model thinks of the tokens of the split that the altered one is a copy of.
        altered: what it thinks of them with the altered sources.
        split: the altered one.

    Raises:
        ValueError: the two are not about the same tokens, or the split does not say which are touched.
    """
    return _lost(clean, altered, split, touched=False)


def information_loss(clean: TeacherForcedScores, altered: TeacherForcedScores, split: Split) -> float | None:
    """Return acc_clean(T) - acc_altered(T) over the tokens T whose evidence the alteration touched.

    In -1 to 1, lower is better; None where no token is touched, as when words are only added. With the number of
    tokens as weight, its mean with `interference` is what is lost of the token accuracy of the whole split. Arguments
    and errors are those of `interference`.
    """
    return _lost(clean, altered, split, touched=True)


def _lost(
    clean: TeacherForcedScores, altered: TeacherForcedScores, split: Split, *, touched: bool
) -> float | None:
    import numpy as np

    if split.touched is None:
        raise ValueError(f"{split.name} does not say which of its tokens are touched")
    if not np.array_equal(clean.gold, altered.gold):
        raise ValueError(f"the references of {split.name} are not those of {split.origin}")
    where = (split.touched.values == 1) == touched
    if not where.any():
        return None
    # A difference of counts is exact, so what costs nothing is 0 and not nearly 0.
    lost = int(clean.correct[where].sum()) - int(altered.correct[where].sum())
    return lost / int(where.sum())


def milder_copies(split: Split, splits: Mapping[str, Split]) -> list[tuple[int, str]]:
    """Return the splits of the family of an altered one up to itself, each beside its number, ascending.

    `noise-drop-10`, `noise-drop-20` and `noise-drop-30` are a family if they are copies of one split, and the numbers
    say how much was altered. A split without such a name is alone, and its number is 1.
    """
    own = _STEP.fullmatch(split.name)
    if own is None:
        return [(1, split.name)]
    steps = []
    for name, other in splits.items():
        match = _STEP.fullmatch(name)
        if match and match["family"] == own["family"] and other.origin == split.origin:
            steps.append((int(match["number"]), name))
    return sorted(step for step in steps if step[0] <= int(own["number"]))


def robustness(curve: Sequence[tuple[float, float]]) -> float:
    """Return the mean height of a curve of exact match against how much was altered; 0 to 1, higher is better.

    The area under the straight lines between the points (trapezoid rule), divided by the width. 1 is a model that is
    always right, and a model that alterations do not touch has its unaltered exact match.

    Args:
        curve: (how much was altered, exact match), ascending from 0, at least two points.
    """
    import numpy as np

    at, heights = (np.array(side) for side in zip(*curve, strict=True))
    area = ((heights[1:] + heights[:-1]) / 2 * np.diff(at)).sum()
    return float(area / (at[-1] - at[0]))


def relative_drop(clean: float, altered: float) -> float | None:
    """Return (EM_clean - EM_altered) / EM_clean, the share of the exact matches that an alteration costs.

    At most 1, lower is better, below 0 where the altered split is translated better. None where there was nothing to
    lose: 0 would make the most robust of all models out of one that gets nothing right.
    """
    return None if clean == 0 else (clean - altered) / clean


def original_of(split: Split) -> str:
    """Return the name of the split that this one is an altered copy of.

    Raises:
        ValueError: it is no altered copy.
    """
    if split.origin is None:
        raise ValueError(f"{split.name} is no altered copy of another split")
    return split.origin


class _AccuracyLost(Metric):
    """Token accuracy lost to the alteration of the source, over some of the target tokens."""

    higher_is_better = False
    unit = "share of tokens"
    low, high = -1.0, 1.0
    source = "this project"
    needs = frozenset({"deps", "origin"})

    @abstractmethod
    def lost(self, clean: TeacherForcedScores, altered: TeacherForcedScores, split: Split) -> float | None:
        """Return the accuracy lost; None where no token counts."""

    def measure(self, outputs: ModelOutputs, split: str) -> dict[str, float]:
        """Return the accuracy lost on an altered copy."""
        data = outputs.split(split)
        clean = outputs.teacher_forced(original_of(data))
        return without_missing({"": self.lost(clean, outputs.teacher_forced(split), data)})


@METRICS.register("interference")
class Interference(_AccuracyLost):
    """See `interference`."""

    description = "token accuracy lost to an alteration of the source, over target tokens whose own evidence it left untouched"

    def lost(self, clean: TeacherForcedScores, altered: TeacherForcedScores, split: Split) -> float | None:
        """Return the accuracy lost on untouched tokens."""
        return interference(clean, altered, split)


@METRICS.register("information_loss")
class InformationLoss(_AccuracyLost):
    """See `information_loss`."""

    description = (
        "token accuracy lost to an alteration of the source, over target tokens whose own evidence it touched"
    )

    def lost(self, clean: TeacherForcedScores, altered: TeacherForcedScores, split: Split) -> float | None:
        """Return the accuracy lost on touched tokens."""
        return information_loss(clean, altered, split)


class _OfExactMatch(Metric):
    """A number made of the exact match of an altered copy and of its original."""

    needs = frozenset({"origin"})
    source = "this project"

    def exact_match(self, outputs: ModelOutputs, split: str) -> float:
        """Return the exact match of a split, and note its signature as this metric's."""
        texts, metric = outputs.translations(split), ExactMatch()
        outputs.signatures[self.name] = metric.signature(outputs.lowercase)
        return metric.score(texts.hypotheses, texts.references, outputs.lowercase)


@METRICS.register("robustness")
class Robustness(_OfExactMatch):
    """See `robustness`."""

    higher_is_better = True
    unit = "share of sentences"
    low, high = 0.0, 1.0
    description = (
        "area under the curve of exact match against the share of altered words, from none to this split's,"
        " divided by that share"
    )

    def measure(self, outputs: ModelOutputs, split: str) -> dict[str, float]:
        """Return the area over the original, the milder copies and this one."""
        data = outputs.split(split)
        points = [(0, original_of(data)), *milder_copies(data, outputs.corpus.splits)]
        return {"": robustness([(amount, self.exact_match(outputs, name)) for amount, name in points])}


@METRICS.register("relative_drop")
class RelativeDrop(_OfExactMatch):
    """See `relative_drop`."""

    higher_is_better = False
    unit = "share of the exact matches"
    low, high = -math.inf, 1.0
    description = "share of the exact matches on the unaltered split that the alteration costs"

    def measure(self, outputs: ModelOutputs, split: str) -> dict[str, float]:
        """Return the drop from the original to this copy."""
        clean = self.exact_match(outputs, original_of(outputs.split(split)))
        return without_missing({"": relative_drop(clean, self.exact_match(outputs, split))})
