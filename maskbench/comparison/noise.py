"""How much of the uncertainty of a mean difference comes from seeds, and how much from the choice of test sentences.

Verdicts are about new seeds on this test set. A statement about other sentences of the same kind as well needs a wider
interval. The shares say whether more seeds or more sentences would narrow it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from maskbench.comparison.results import NoiseShares
from maskbench.config.schema.metrics import find_metric
from maskbench.randomness import Key, random_words
from maskbench.records.sentences import Counts, score_counts
from maskbench.statistics.paired import Interval

N_RESAMPLES = 1_000
"""Bootstrap resamples of the test sentences, for metrics that are no mean."""

MIN_SEEDS = 3
"""With fewer pairs the spread over seeds is too uncertain to be split."""


@dataclass(frozen=True, slots=True)
class VarianceParts:
    """Estimates of the variance of the mean difference, all in the square of the metric's unit."""

    seeds: float
    """Variance over seeds, on these sentences."""
    sentences: float
    """Variance over sentences, with these seeds."""
    both: float
    """The interaction of seeds and sentences, which both others include."""

    @property
    def total(self) -> float:
        """The variance over new seeds and new sentences; never less than either part, whatever rounding and sampling give."""
        return max(self.seeds + self.sentences - self.both, self.seeds, self.sentences)


def split_noise(
    metric: str, arm: Counts, baseline: Counts, alpha: float, seeds_only: Interval | None = None
) -> NoiseShares | None:
    """Return where the uncertainty of the mean difference, arm minus baseline, comes from.

    The two shares are proportional to what the difference varies by with seeds alone and with sentences alone. The
    interval is Student's t with Satterthwaite's degrees of freedom (1946, "An approximate distribution of estimates of
    variance components"); it assumes that seeds and sentences are samples of normal effects. Where the sentences add
    next to nothing it would be narrower than the test's own interval, which assumes less, so it is widened to hold that.

    Args:
        arm, baseline: Float64[S, N, K], of S runs in the same order of seeds and N sentences.
        alpha: 1 minus the interval's confidence.
        seeds_only: the interval that is given for new seeds, of the same confidence.

    Returns:
        None with fewer than three seeds or two sentences, and where nothing varies.
    """
    n_seeds, n_sentences = arm.shape[:2]
    if arm.shape != baseline.shape or n_seeds < MIN_SEEDS or n_sentences < 2:
        return None
    differences = score_counts(metric, arm.sum(1)) - score_counts(metric, baseline.sum(1))
    parts = (
        two_way_variance(arm, baseline)
        if find_metric(metric).is_ratio
        else bootstrap_variance(metric, arm, baseline)
    )
    if parts.total == 0:
        return None
    from scipy.special import stdtrit

    mean = float(differences.mean())
    half = float(stdtrit(_freedom(parts, n_seeds, n_sentences), 1 - alpha / 2)) * math.sqrt(parts.total)
    share = parts.seeds / (parts.seeds + parts.sentences)
    low, high = (mean, mean) if seeds_only is None else (seeds_only.low, seeds_only.high)
    return NoiseShares(share, 1 - share, min(mean - half, low), max(mean + half, high))


def two_way_variance(arm: Counts, baseline: Counts) -> VarianceParts:
    """Return the parts for a metric that is a ratio of two sums, `counts[..., 0] / counts[..., 1]`.

    They are mean squares of the two-way random model without replication, seeds by sentences, divided by the number of
    both. Sentences differ in length, and the difference over the split is (sum of gains) / (sum of tokens), not the mean
    of the sentences' own ratios. What sentence i changes about such a ratio D is, to first order,
    (gain_i - D * tokens_i) * N / (sum of tokens), so this is what is taken apart (the linearised ratio estimator,
    Cochran 1977, "Sampling techniques", ch. 6). Its mean over sentences is each seed's difference, D aside. For
    sentences of one length it is the gain of the sentence, D aside.
    """
    gains, tokens = arm[..., 0] - baseline[..., 0], baseline[0, :, 1]
    n_seeds, n_sentences = gains.shape
    ratio = gains.sum() / (n_seeds * tokens.sum())
    values = (gains - ratio * tokens) * (n_sentences / tokens.sum())
    of_seeds, of_sentences, mean = values.mean(1), values.mean(0), values.mean()
    rest = values - of_seeds[:, None] - of_sentences[None, :] + mean
    all_of_them = n_seeds * n_sentences
    return VarianceParts(
        seeds=float(of_seeds.var(ddof=1)) / n_seeds,
        sentences=float(of_sentences.var(ddof=1)) / n_sentences,
        both=float((rest**2).sum()) / ((n_seeds - 1) * (n_sentences - 1)) / all_of_them,
    )


def bootstrap_variance(metric: str, arm: Counts, baseline: Counts) -> VarianceParts:
    """Return the parts for a metric that is no mean: sentences are resampled, the seeds kept (Koehn 2004).

    Both parts include the interaction, which cannot be separated, so the total is slightly too large.
    """
    differences = score_counts(metric, arm.sum(1)) - score_counts(metric, baseline.sum(1))
    weights = _resamples(arm.shape[1])
    # Counts are integers, so these products are exact, and the same on every machine.
    gaps = [
        score_counts(metric, weights @ a) - score_counts(metric, weights @ b)
        for a, b in zip(arm, baseline, strict=True)
    ]
    return VarianceParts(
        seeds=float(differences.var(ddof=1)) / len(differences),
        sentences=float(np.mean(gaps, axis=0).var(ddof=1)),
        both=0.0,
    )


def _resamples(n: int) -> npt.NDArray[np.float64]:
    """Return how often each of `n` sentences is in each resample, Float64[N_RESAMPLES, n]; the same at every call."""
    rows = np.arange(N_RESAMPLES, dtype=np.int64)
    drawn = (random_words(Key.of(0, "sentences", n), rows, n) * n) >> 32
    counts = np.bincount((rows[:, None] * n + drawn).ravel(), minlength=N_RESAMPLES * n)
    return counts.reshape(N_RESAMPLES, n).astype(np.float64)


def _freedom(parts: VarianceParts, n_seeds: int, n_sentences: int) -> float:
    """Return Satterthwaite's degrees of freedom of the total, at least 1."""
    terms: Sequence[tuple[float, int]] = (
        (parts.seeds, n_seeds - 1),
        (parts.sentences, n_sentences - 1),
        (parts.both, (n_seeds - 1) * (n_sentences - 1)),
    )
    return max(1.0, parts.total**2 / sum(value**2 / freedom for value, freedom in terms))
