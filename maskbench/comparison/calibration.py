"""Differences between runs that differ only in their random numbers.

All runs of a calibration are draws from one distribution, so any two of them, of the same seed or not, are a pair
without a true difference. Shares are computed over all pairs. As every run is in many pairs, they are only as certain
as shares over the far fewer pairs that have no run in common.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from maskbench.comparison.results import Comparison, ComparisonOptions
from maskbench.comparison.table import tabulate
from maskbench.errors import ConfigError
from maskbench.randomness import Key, random_bits
from maskbench.records.collect import CollectedPanel
from maskbench.records.sentences import Counts, SentenceReader, score_counts
from maskbench.statistics.power import Family, SeedRange, seeds_needed

N_SHUFFLES = 1_000
"""Shuffles of the sentence-level test."""


@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """How far apart two runs lie by chance, in the metric's unit."""

    runs: int
    pairs: int
    """All pairs of runs."""
    independent: int
    """The most pairs that have no run in common."""
    sd: float
    """Standard deviation of the difference of two runs, from all runs: sqrt(2) times that of a run."""
    mean_absolute: float
    """Mean distance of two runs, over all pairs."""
    largest: float
    """Largest distance of two runs."""


@dataclass(frozen=True, slots=True)
class SingleSeedRisk:
    """The errors of comparing one run with one other, given the smallest difference that matters."""

    min_effect: float
    false_winners: int
    """Pairs at least `min_effect` apart, although nothing differs."""
    expected_false: float
    """The share of such pairs for normal differences: 2 * Phi(-min_effect / sd)."""
    wrong_winner: float
    """The chance that the worse arm looks better when the other truly is by `min_effect`: Phi(-min_effect / sd)."""


@dataclass(frozen=True, slots=True)
class SentenceTest:
    """How often a test over the sentences of one pair of runs finds a difference that is not there."""

    pairs: int
    significant: int
    """Pairs with p <= alpha."""
    alpha: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """The calibration of one panel."""

    experiment: str
    panel: str | None
    metric: str
    floor: NoiseFloor | None
    """None with fewer than three finished runs."""
    single_seed: SingleSeedRisk | None
    """None where the experiment does not say which difference matters, or without a floor."""
    sentence_test: SentenceTest | None
    """None where the runs kept no numbers of single sentences for this metric."""
    verdicts: Mapping[str, str]
    """The verdict of the seed-level test on each twin; better and worse are false alarms."""
    seeds_needed: SeedRange | None
    """Seeds for 80 % power to detect `min_effect`, with as many arms as the experiment has."""
    comparison: Comparison

    def document(self) -> dict[str, Any]:
        """Return everything but the comparison as plain JSON; shares lie in [0, 1], numbers in the metric's unit."""
        parts = {
            name: None if part is None else asdict(part)
            for name, part in (
                ("noise_floor", self.floor),
                ("single_seed", self.single_seed),
                ("sentence_test", self.sentence_test),
                ("seeds_needed", self.seeds_needed),
            )
        }
        place = {"experiment": self.experiment, "panel": self.panel, "metric": self.metric}
        return {**place, **parts, "verdicts": dict(self.verdicts)}


def calibrate(collected: CollectedPanel, n_arms: int) -> Calibration:
    """Return the calibration that the runs of a panel give.

    Args:
        collected: a panel of the calibration experiment.
        n_arms: arms beside the baseline in the experiment to be calibrated.

    Raises:
        ConfigError: no run is finished.
    """
    comparison = tabulate(collected, ComparisonOptions())
    settings = comparison.settings
    values = {(row.arm, seed): value for row in comparison.rows for seed, value in row.values.items()}
    if not values:
        raise ConfigError(f"{collected.found.directory.path} has no finished run to learn from")
    floor = noise_floor(list(values.values()))
    family = Family(max(1, n_arms), settings.alpha)
    needed = None
    if floor is not None and settings.min_effect is not None and floor.sd > 0:
        needed = seeds_needed(floor.sd, floor.runs, settings.min_effect, family)
    return Calibration(
        experiment=comparison.experiment,
        panel=comparison.panel,
        metric=settings.metric,
        floor=floor,
        single_seed=None
        if floor is None or settings.min_effect is None
        else single_seed(list(values.values()), floor.sd, settings.min_effect),
        sentence_test=_sentence_test(collected, values, settings.metric, settings.alpha),
        verdicts={row.title: str(row.verdict) for row in comparison.rows if row.verdict is not None},
        seeds_needed=needed,
        comparison=comparison,
    )


def noise_floor(values: Sequence[float]) -> NoiseFloor | None:
    """Return how far apart the runs lie; None for fewer than three runs."""
    if len(values) < 3:
        return None
    gaps = _distances(values)
    return NoiseFloor(
        runs=len(values),
        pairs=gaps.size,
        independent=len(values) // 2,
        sd=math.sqrt(2) * float(np.std(values, ddof=1)),
        mean_absolute=float(gaps.mean()),
        largest=float(gaps.max()),
    )


def single_seed(values: Sequence[float], sd: float, min_effect: float) -> SingleSeedRisk:
    """Return the error rates of comparing two single runs.

    Args:
        values: of runs that differ by chance alone.
        sd: of the difference of two of them, >= 0.
        min_effect: the smallest difference that matters, > 0.
    """
    tail = _lower_tail(min_effect / sd) if sd > 0 else 0.0
    winners = int(np.count_nonzero(_distances(values) >= min_effect))
    return SingleSeedRisk(min_effect, winners, 2 * tail, tail)


def _distances(values: Sequence[float]) -> npt.NDArray[np.float64]:
    return np.array([abs(a - b) for a, b in itertools.combinations(values, 2)])


def _lower_tail(z: float) -> float:
    """Return Phi(-z), the chance that a standard normal number lies below -z."""
    return math.erfc(z / math.sqrt(2)) / 2


def _sentence_test(
    collected: CollectedPanel, values: Mapping[tuple[str, int], float], metric: str, alpha: float
) -> SentenceTest | None:
    reader = SentenceReader(collected.found.directory, metric)
    counts = [reader.counts(arm, seed, value) for (arm, seed), value in values.items()]
    kept = [one for one in counts if one is not None]
    if len(kept) < max(2, len(counts)) or len({one.shape for one in kept}) != 1:
        return None
    signs = random_signs(kept[0].shape[0])
    p_values = [randomisation_p(reader.metric, a, b, signs) for a, b in itertools.combinations(kept, 2)]
    return SentenceTest(len(p_values), sum(p <= alpha for p in p_values), alpha)


def randomisation_p(metric: str, ours: Counts, theirs: Counts, signs: npt.NDArray[np.float64]) -> float:
    """Return the two-sided p-value of paired approximate randomisation over sentences, (c + 1) / (N + 1).

    In each of the N shuffles some sentences exchange their translations between the two systems, and c counts shuffles
    that lie at least as far apart as the systems do (Riezler and Maxwell 2005, "On some pitfalls in automatic
    evaluation and significance testing for MT"). The test asks whether these two models differ on sentences like these, not
    whether two ways to train differ.

    Args:
        metric: its name without a split.
        ours, theirs: Float64[N, K], of the same sentences.
        signs: Float64[S, N] of 1 and -1; -1 exchanges.
    """
    seen = abs(float(score_counts(metric, ours.sum(0)) - score_counts(metric, theirs.sum(0))))
    middle, half = (ours.sum(0) + theirs.sum(0)) / 2, signs @ ((ours - theirs) / 2)
    gaps = np.abs(score_counts(metric, middle + half) - score_counts(metric, middle - half))
    # A tie up to rounding counts as a hit, which makes p larger.
    hits = int(np.count_nonzero(gaps >= seen * (1 - 1e-9)))
    return (hits + 1) / (len(signs) + 1)


def random_signs(n: int) -> npt.NDArray[np.float64]:
    """Return Float64[N_SHUFFLES, n] of keyed random signs, the same at every call."""
    bits = random_bits(Key.of(0, "exchange", n), np.arange(N_SHUFFLES, dtype=np.int64), n)
    signs: npt.NDArray[np.float64] = 1.0 - 2.0 * bits.astype(np.float64)
    return signs
