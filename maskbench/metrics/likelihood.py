"""Metrics of gold target tokens: negative log-likelihood and accuracy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from maskbench.metrics.base import TokenMetric
from maskbench.registry import METRICS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from maskbench.metrics.model_outputs import ModelOutputs
    from maskbench.metrics.teacher_forcing import TeacherForcedScores


@METRICS.register("nll")
class NegativeLogLikelihood(TokenMetric):
    """The mean negative log-likelihood of gold target tokens.

    A sentence adds the sum over its tokens in nats, and its number of tokens.
    """

    higher_is_better = False
    unit = "nats per token"
    low, high = 0.0, math.inf
    description = "negative log-likelihood of a gold target token, end mark included, without label smoothing"
    source = "cross entropy; Shannon 1948"

    def token_values(self, tokens: TeacherForcedScores) -> npt.NDArray[np.float64]:
        """Return the negative log-likelihood of each token in nats."""
        return tokens.nll


UNKNOWN_IS_WRONG = "unk:wrong"
"""Signature of accuracies on a split with unknown words; before maskbench counted these, they could be right."""


@METRICS.register("token_accuracy")
class TokenAccuracy(TokenMetric):
    """The share of gold target tokens ranked first; a word that the vocabulary does not have is never right.

    A sentence adds its number of tokens ranked first, and its number of tokens.
    """

    higher_is_better = True
    unit = "share of tokens"
    low, high = 0.0, 1.0
    description = "share of gold target tokens ranked first, given the gold prefix"
    source = "common usage"

    def measure(self, outputs: ModelOutputs, split: str) -> dict[str, float]:
        """Return the share over all tokens and over the tokens of each slice."""
        if outputs.teacher_forced(split).is_unknown.any():
            outputs.signatures[self.name] = UNKNOWN_IS_WRONG
        return super().measure(outputs, split)

    def token_values(self, tokens: TeacherForcedScores) -> npt.NDArray[np.bool_]:
        """Return True where the gold token is ranked first and known."""
        return tokens.correct
