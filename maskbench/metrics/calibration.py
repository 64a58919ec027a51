"""Expected calibration error: difference between the model's confidence and its accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskbench.metrics.base import Metric, Undefined
from maskbench.registry import METRICS

if TYPE_CHECKING:
    from maskbench.metrics.model_outputs import ModelOutputs
    from maskbench.metrics.teacher_forcing import TeacherForcedScores

BINS = 15
"""Number of confidence bins of equal width."""


@METRICS.register("ece")
class CalibrationError(Metric):
    """The expected calibration error of the likeliest token.

    The value of the whole split excludes end marks, because confidence about ending differs from confidence
    about words. The slice `tag:end` has their value.
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
        """Return the error over all words, and over the tokens of each requested tag."""
        from maskbench.metrics.slices import token_slices

        tokens = outputs.teacher_forced(split)
        parts = token_slices(outputs.split(split), self.slices_asked_for(outputs), outputs.corpus.tags)
        chosen = {"": drop_end_marks(tokens), **{part: tokens.select(where) for part, where in parts}}
        errors = {part: expected_calibration_error(some) for part, some in chosen.items()}
        nothing = Undefined("there are no target tokens besides end marks")
        return self.keep_defined(
            outputs, split, {part: nothing if error is None else error for part, error in errors.items()}
        )


def drop_end_marks(tokens: TeacherForcedScores) -> TeacherForcedScores:
    """Return the scores of all tokens except end marks."""
    from maskbench.data.vocabulary import EOS

    return tokens.select(tokens.gold != EOS)


def expected_calibration_error(tokens: TeacherForcedScores, bins: int = BINS) -> float | None:
    """Return the expected calibration error; 0 to 1, lower is better; None without tokens.

    The sum over bins b of n_b / N * |acc_b - conf_b|. Bin b holds the n_b tokens whose likeliest token has a
    probability in ((b - 1) / bins, b / bins]; conf_b is the mean of these probabilities; acc_b is the share
    of these tokens whose likeliest token is the gold token (Naeini et al. 2015, "Obtaining well calibrated
    probabilities using Bayesian binning"). The mark for unknown words is a token like others here, because the
    model's probability is that of the mark. The value is biased upwards for few tokens, because the accuracy
    of a small bin is noisy.
    """
    import numpy as np

    n = len(tokens.gold)
    if n == 0:
        return None
    places = np.clip(np.ceil(tokens.confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    # n_b cancels: n_b * |acc_b - conf_b| is the absolute sum of (gold_first - confidence) over the bin.
    gaps = np.bincount(places, weights=tokens.gold_first - tokens.confidence)
    return float(np.abs(gaps).sum()) / n
