"""Evaluation sentences that are longer than every training sentence: their last positions are never trained.

It matters with `positions: learned`, where a position that no training sentence reaches keeps its random vector.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from maskbench.data.corpus import Split


def longest_side(split: Split) -> int:
    """Return the number of tokens of the longest line of either side, end mark included."""
    return int(max(split.src.lengths.max(initial=0), split.tgt.lengths.max(initial=0)))


def count_untrained_positions(train: Split, splits: Iterable[Split]) -> dict[str, tuple[int, int]]:
    """Return, for each split with pairs longer than all of `train`, their number and that of all its pairs.

    A pair counts if either side is longer than the longest side in `train`: source and target share one table of
    positions.
    """
    trained = longest_side(train)
    found = {}
    for split in splits:
        longer = int((np.maximum(split.src.lengths, split.tgt.lengths) > trained).sum())
        if longer:
            found[split.name] = (longer, len(split))
    return found
