"""What an alteration of the source costs: noise, distraction, anything that leaves the references as they were.

Interference and information loss take a drop in accuracy apart. A target token whose evidence an alteration took away
cannot be known any more; no mask can mend that, and its loss is information loss. A token whose evidence all still
stands there can be known as well as before; what is lost of it is interference, which a mask may lower. Evidence is
what the corpus says a token hangs on (`Split.deps`), and `Split.touched` says which tokens lost some.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from maskbench.data.corpus import Split
from maskbench.metrics.teacher_forcing import TeacherForcedScores
from maskbench.metrics.translation import TranslationResult

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
    at, heights = (np.array(side) for side in zip(*curve, strict=True))
    area = ((heights[1:] + heights[:-1]) / 2 * np.diff(at)).sum()
    return float(area / (at[-1] - at[0]))


def relative_drop(clean: float, altered: float) -> float | None:
    """Return (EM_clean - EM_altered) / EM_clean, the share of the exact matches that an alteration costs.

    At most 1, lower is better, below 0 where the altered split is translated better. None where there was nothing to
    lose: 0 would make the most robust of all models out of one that gets nothing right.
    """
    return None if clean == 0 else (clean - altered) / clean


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
    right = np.logical_and.reduceat(tokens.correct, split.tgt.offsets[:-1])
    return (int(right.sum()) - int(said.right.sum())) / len(split)
