"""Whether the model's confidence in its likeliest tokens is right: the expected calibration error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskbench.metrics.base import Metric, without_missing
from maskbench.registry import METRICS

if TYPE_CHECKING:
    from maskbench.metrics.model_outputs import ModelOutputs
    from maskbench.metrics.teacher_forcing import TeacherForcedScores

BINS = 15
"""Bins of confidence, of equal width."""


@METRICS.register("ece")
class CalibrationError(Metric):
    """The expected calibration error.

    The whole leaves end marks out: a model's confidence about ending differs from that about words. They have their
    own value as the slice `tag:end`.
    """

    higher_is_better = False
    unit = "share of tokens"
    low, high = 0.0, 1.0
    description = (
        "expected calibration error of the likeliest token, 15 bins of equal width (Naeini et al. 2015),"
        " end marks aside (Kumar and Sarawagi 2019); theirs is [tag:end]"
    )
    source = 'Naeini et al. 2015, "Obtaining well calibrated probabilities using Bayesian binning"'
    slices = ("tag",)

    def measure(self, outputs: ModelOutputs, split: str) -> dict[str, float]:
        """Return the error over all words, and over the tokens of each tag."""
        from maskbench.metrics.slices import token_slices

        tokens = outputs.teacher_forced(split)
        parts = token_slices(outputs.split(split), self.slices_asked_for(outputs), outputs.corpus.tags)
        return without_missing(
            {
                "": expected_calibration_error(drop_end_marks(tokens)),
                **{part: expected_calibration_error(tokens.select(where)) for part, where in parts},
            }
        )


def drop_end_marks(tokens: TeacherForcedScores) -> TeacherForcedScores:
    """Return the tokens that are no end marks."""
    from maskbench.data.vocabulary import EOS

    return tokens.select(tokens.gold != EOS)


def expected_calibration_error(tokens: TeacherForcedScores, bins: int = BINS) -> float | None:
    """Return how far confidence and accuracy are apart; 0 to 1, lower is better; None of no tokens.

    The sum over bins b of n_b / N * |acc_b - conf_b|: bin b holds the n_b tokens whose likeliest token has a
    probability above (b - 1) / bins and up to b / bins, conf_b is the mean of those probabilities, and acc_b the share
    of them at which that token is the gold one (Naeini et al. 2015, "Obtaining well calibrated probabilities using
    Bayesian binning"). Few tokens make it too great, because the accuracy of a bin of few tokens is far from what it
    would be of many.
    """
    import numpy as np

    n = len(tokens.gold)
    if n == 0:
        return None
    places = np.clip(np.ceil(tokens.confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    # The number of tokens of a bin cancels: what is left are sums.
    gaps = np.bincount(places, weights=tokens.correct - tokens.confidence)
    return float(np.abs(gaps).sum()) / n
