"""Accuracy lost when the source is altered (noise, distraction) and the references stay the same.

The drop in accuracy has two parts. Information loss: accuracy lost on target tokens whose evidence was
altered; no mask can recover it. Interference: accuracy lost on target tokens whose evidence is unchanged; a
mask may reduce it. Evidence of a token is the source tokens it depends on (`Split.deps`); `Split.touched`
marks tokens that lost some.
"""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from maskbench.metrics.base import Metric, Undefined
from maskbench.metrics.likelihood import UNKNOWN_IS_WRONG
from maskbench.metrics.translation_scores import ExactMatch
from maskbench.registry import METRICS

if TYPE_CHECKING:
    from maskbench.data.corpus import Split
    from maskbench.metrics.model_outputs import ModelOutputs
    from maskbench.metrics.teacher_forcing import TeacherForcedScores

_STEP = re.compile(r"(?P<family>.+)-(?P<number>[1-9][0-9]*)")


def interference(clean: TeacherForcedScores, altered: TeacherForcedScores, split: Split) -> float | None:
    """Return acc_clean(U) - acc_altered(U) over the target tokens U with unchanged evidence.

    -1 to 1, lower is better; None where every token is touched. acc is the token accuracy: the share of gold
    tokens ranked first, given the gold prefix; unknown words are never right.

    Args:
        clean: scores of the target tokens with the original sources.
        altered: scores of the same tokens with the altered sources.
        split: the altered split.

    Raises:
        ValueError: the gold tokens differ, or the split has no `touched`.
    """
    return _lost(clean, altered, split, touched=False)


def information_loss(clean: TeacherForcedScores, altered: TeacherForcedScores, split: Split) -> float | None:
    """Return acc_clean(T) - acc_altered(T) over the target tokens T whose evidence the alteration touched.

    -1 to 1, lower is better; None where no token is touched, as when words are only added. The mean of this
    and `interference`, weighted by numbers of tokens, is the loss of token accuracy of the whole split.
    Arguments and errors as in `interference`.
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
    # Differences of integer counts are exact, so no loss gives exactly 0.
    lost = int(clean.correct[where].sum()) - int(altered.correct[where].sum())
    return lost / int(where.sum())


def milder_copies(split: Split, splits: Mapping[str, Split]) -> list[tuple[int, str]]:
    """Return `(amount, name)` of an altered split and the milder splits of its family, ascending by amount.

    `noise-drop-10`, `noise-drop-20` and `noise-drop-30` are a family if they are copies of one split; the
    number in the name is the amount. A split without a number in its name has amount 1 and no family.
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
    """Return the mean exact match over amounts of alteration up to the largest; 0 to 1, higher is better.

    The area under the curve (trapezoid rule) divided by its width. A model that is always right has 1; a
    model that alterations do not affect has its unaltered exact match.

    Args:
        curve: `(amount, exact match)`, ascending from amount 0, at least two points.
    """
    import numpy as np

    at, heights = (np.array(side) for side in zip(*curve, strict=True))
    area = ((heights[1:] + heights[:-1]) / 2 * np.diff(at)).sum()
    return float(area / (at[-1] - at[0]))


def relative_drop(clean: float, altered: float) -> float | None:
    """Return (EM_clean - EM_altered) / EM_clean, the share of exact matches lost to an alteration.

    At most 1, lower is better, below 0 where the altered split is translated better. None where EM_clean is
    0; a value of 0 would rank a model without exact matches as most robust.
    """
    return None if clean == 0 else (clean - altered) / clean


def original_of(split: Split) -> str:
    """Return the name of the split that this split is an altered copy of.

    Raises:
        ValueError: the split is not an altered copy.
    """
    if split.origin is None:
        raise ValueError(f"{split.name} is no altered copy of another split")
    return split.origin


NOTHING_ALTERED = "the copy alters no source, so nothing can be lost"
"""Why what an alteration costs is undefined on a copy that equals its original."""


def alters_nothing(outputs: ModelOutputs, split: str) -> bool:
    """Return whether every source of an altered copy equals its original, so that nothing can be lost.

    Raises:
        ValueError: the split is not an altered copy.
    """
    data = outputs.split(split)
    return data.sources == outputs.split(original_of(data)).sources


class _AccuracyLost(Metric):
    """Token accuracy lost to an alteration of the source, over a subset of the target tokens."""

    higher_is_better = False
    unit = "share of tokens"
    low, high = -1.0, 1.0
    source = "this project"
    needs = frozenset({"deps", "origin"})
    no_tokens: str
    """Why there is no value where the subset is empty."""

    @abstractmethod
    def lost(self, clean: TeacherForcedScores, altered: TeacherForcedScores, split: Split) -> float | None:
        """Return the accuracy lost, -1 to 1; None where the subset is empty."""

    def measure(self, outputs: ModelOutputs, split: str) -> dict[str, float]:
        """Return the accuracy lost on an altered copy; no value where no source is altered."""
        data = outputs.split(split)
        if alters_nothing(outputs, split):
            return self.keep_defined(outputs, split, {"": Undefined(NOTHING_ALTERED)})
        clean = outputs.teacher_forced(original_of(data))
        if clean.is_unknown.any():
            outputs.signatures[self.name] = UNKNOWN_IS_WRONG
        lost = self.lost(clean, outputs.teacher_forced(split), data)
        return self.keep_defined(outputs, split, {"": Undefined(self.no_tokens) if lost is None else lost})


@METRICS.register("interference")
class Interference(_AccuracyLost):
    """Accuracy lost on tokens with unchanged evidence; `interference` has the definition."""

    description = "token accuracy lost to an alteration of the source, over target tokens whose own evidence it left untouched"
    no_tokens = "the alteration touches the evidence of every target token"

    def lost(self, clean: TeacherForcedScores, altered: TeacherForcedScores, split: Split) -> float | None:
        """Return the accuracy lost on untouched tokens."""
        return interference(clean, altered, split)


@METRICS.register("information_loss")
class InformationLoss(_AccuracyLost):
    """Accuracy lost on tokens with altered evidence; `information_loss` has the definition."""

    description = (
        "token accuracy lost to an alteration of the source, over target tokens whose own evidence it touched"
    )
    no_tokens = "the alteration touches the evidence of no target token"

    def lost(self, clean: TeacherForcedScores, altered: TeacherForcedScores, split: Split) -> float | None:
        """Return the accuracy lost on touched tokens."""
        return information_loss(clean, altered, split)


class _OfExactMatch(Metric):
    """A metric computed from the exact match of an altered split and of its original."""

    needs = frozenset({"origin"})
    source = "this project"

    def exact_match(self, outputs: ModelOutputs, split: str) -> float | Undefined:
        """Return the exact match of a split, and record its signature as the signature of this metric."""
        texts, metric = outputs.translations(split), ExactMatch()
        outputs.signatures[self.name] = metric.signature(outputs.lowercase)
        reason = metric.why_undefined(texts.hypotheses, texts.references)
        if reason is not None:
            return Undefined(f"{split} has no exact match: {reason}")
        return metric.score(texts.hypotheses, texts.references, outputs.lowercase)


@METRICS.register("robustness")
class Robustness(_OfExactMatch):
    """Mean exact match over amounts of alteration; `robustness` has the definition."""

    higher_is_better = True
    unit = "share of sentences"
    low, high = 0.0, 1.0
    description = (
        "area under the curve of exact match against the share of altered words, from none to this split's,"
        " divided by that share"
    )

    def measure(self, outputs: ModelOutputs, split: str) -> dict[str, float]:
        """Return the value over the original, the milder copies and this split; none where no source is altered."""
        data = outputs.split(split)
        if alters_nothing(outputs, split):
            return self.keep_defined(outputs, split, {"": Undefined(NOTHING_ALTERED)})
        points = [(0, original_of(data)), *milder_copies(data, outputs.corpus.splits)]
        curve = []
        for amount, name in points:
            value = self.exact_match(outputs, name)
            if isinstance(value, Undefined):
                return self.keep_defined(outputs, split, {"": value})
            curve.append((amount, value))
        return {"": robustness(curve)}


@METRICS.register("relative_drop")
class RelativeDrop(_OfExactMatch):
    """Share of exact matches lost to the alteration; `relative_drop` has the definition."""

    higher_is_better = False
    unit = "share of the exact matches"
    low, high = -math.inf, 1.0
    description = "share of the exact matches on the unaltered split that the alteration costs"

    def measure(self, outputs: ModelOutputs, split: str) -> dict[str, float]:
        """Return the relative drop from the original to this split."""
        if alters_nothing(outputs, split):
            return self.keep_defined(outputs, split, {"": Undefined(NOTHING_ALTERED)})
        original = original_of(outputs.split(split))
        clean, altered = self.exact_match(outputs, original), self.exact_match(outputs, split)
        if isinstance(clean, Undefined) or isinstance(altered, Undefined):
            missing = clean if isinstance(clean, Undefined) else altered
            return self.keep_defined(outputs, split, {"": missing})
        drop = relative_drop(clean, altered)
        nothing = Undefined(f"nothing of {original} is translated right, so there is nothing to lose")
        return self.keep_defined(outputs, split, {"": nothing if drop is None else drop})
