"""Whether a model is as sure as it is right.

End marks are judged apart from words: a translation model is surer, or less sure, of ending than it should be in a way
that says little of its words (Kumar & Sarawagi 2019, "Calibration of encoder decoder models for neural machine
translation").
"""

from __future__ import annotations

import numpy as np

from maskbench.data.vocabulary import EOS
from maskbench.metrics.forced import Forced

BINS = 15
"""Bins of confidence, of equal width."""


def words(tokens: Forced) -> Forced:
    """Return the tokens that are no end marks."""
    return tokens.at(tokens.gold != EOS)


def expected_calibration_error(tokens: Forced, bins: int = BINS) -> float | None:
    """Return how far confidence and accuracy are apart; 0 to 1, lower is better; None of no tokens.

    The sum over bins b of n_b / N * |acc_b - conf_b|: bin b holds the n_b tokens whose likeliest token has a
    probability above (b - 1) / bins and up to b / bins, conf_b is the mean of those probabilities, and acc_b the share
    of them at which that token is the gold one (Naeini et al. 2015, "Obtaining well calibrated probabilities using
    Bayesian binning"). Few tokens make it too great, because the accuracy of a bin of few tokens is far from what it
    would be of many.
    """
    n = len(tokens.gold)
    if n == 0:
        return None
    places = np.clip(np.ceil(tokens.confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    # The number of tokens of a bin cancels: what is left are sums.
    gaps = np.bincount(places, weights=tokens.correct - tokens.confidence)
    return float(np.abs(gaps).sum()) / n
