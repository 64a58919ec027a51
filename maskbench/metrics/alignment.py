"""Alignment error rate: source words that target words attend to, compared with a gold alignment.

Och and Ney 2003, "A systematic comparison of various statistical alignment models". The generated corpora
have sure links only, so S and P are the same set. Links of end marks do not count.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from itertools import pairwise
from typing import TYPE_CHECKING

from maskbench.metrics.base import Metric, Undefined
from maskbench.registry import METRICS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from maskbench.data.corpus import Split
    from maskbench.metrics.attention_statistics import AttentionStatistics
    from maskbench.metrics.model_outputs import ModelOutputs


@METRICS.register("aer")
class AlignmentErrorRate(Metric):
    """Alignment error rate of the best decoder layer; `best_layer_aer` has the definition."""

    higher_is_better = False
    unit = "share of links"
    low, high = 0.0, 1.0
    description = (
        "alignment error rate of cross attention against the gold alignment, end marks aside, mean of the"
        " heads of the best layer (Och and Ney 2003)"
    )
    source = 'Och and Ney 2003, "A systematic comparison of various statistical alignment models"'
    needs = frozenset({"links"})

    def measure(self, outputs: ModelOutputs, split: str) -> dict[str, float]:
        """Return the error rate of the best decoder layer."""
        data = outputs.split(split)
        if not has_gold_links(data):
            reason = Undefined("the gold alignment links no words, so every alignment is as wrong")
            return self.keep_defined(outputs, split, {"": reason})
        return {"": best_layer_aer(outputs.attention(split), data)}


NOWHERE = -1
"""Source position of a target token that is aligned with no source token."""


def most_attended(
    weights: npt.NDArray[np.float64], candidates: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """Return for each target token the candidate source position with the largest weight; ties: the first.

    Int64[B, T]; `NOWHERE` where all candidates have weight 0.

    Args:
        weights: Float64[B, T, S]: cross attention of the query that predicts each target token, at least 0.
        candidates: Bool[B, S]: True at real source tokens other than end marks.
    """
    import numpy as np

    offered = np.where(candidates[:, None], weights, 0.0)
    return np.where(offered.max(-1) > 0, offered.argmax(-1), NOWHERE)


def alignment_error_rate(
    found: AbstractSet[tuple[int, int]],
    sure: AbstractSet[tuple[int, int]],
    possible: AbstractSet[tuple[int, int]] | None = None,
) -> float:
    """Return the alignment error rate 1 - (|A & S| + |A & P|) / (|A| + |S|); 0 to 1, lower is better.

    A found link of a target token without gold links counts as an error. 0 where there are no links.

    Args:
        found: A, pairs of a target token and the source token it is aligned with.
        sure: S, links that must be found.
        possible: P, links that may be found, a superset of S; None: S.
    """
    size = len(found) + len(sure)
    may = sure if possible is None else possible
    return 1.0 - (len(found & sure) + len(found & may)) / size if size else 0.0


def has_gold_links(data: Split) -> bool:
    """Return whether the gold alignment of a split links any two words; links of end marks do not count."""
    import numpy as np

    assert data.links is not None
    sentence = np.repeat(np.arange(len(data)), data.links.lengths)
    t, s = np.divmod(data.links.values, data.src.lengths[sentence])
    return bool(((t < data.tgt.lengths[sentence] - 1) & (s < data.src.lengths[sentence] - 1)).any())


def split_aer(data: Split, aligned: npt.NDArray[np.int64]) -> float:
    """Return the alignment error rate of a split.

    Args:
        aligned: Int64[N]: for every target token of the split, the position in its source that it is aligned
            with, or `NOWHERE`; entries of end marks are ignored.
    """
    assert data.links is not None
    found: set[tuple[int, int]] = set()
    sure: set[tuple[int, int]] = set()
    links = zip(
        data.links.rows(), data.src.lengths.tolist(), pairwise(data.tgt.offsets.tolist()), strict=True
    )
    for row, n_src, (start, end) in links:
        found |= {(t, s) for t, s in enumerate(aligned[start : end - 1].tolist(), start) if s != NOWHERE}
        gold = (divmod(link, n_src) for link in row)
        sure |= {(start + t, s) for t, s in gold if start + t < end - 1 and s < n_src - 1}
    return alignment_error_rate(found, sure)


def best_layer_aer(seen: AttentionStatistics, data: Split) -> float:
    """Return the alignment error rate of cross attention in the best decoder layer; 0 to 1, lower is better.

    Every target word is aligned with the source word that its predicting query attends to most, averaged
    over heads. The best layer is used because one or two layers carry the alignment (Garg et al. 2019,
    "Jointly learning to align and translate with Transformer models").
    """
    return min(split_aer(data, layer) for layer in seen.aligned)
