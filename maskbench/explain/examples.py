"""Example sentences: source, reference and the translations of two runs of one seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maskbench.config.schema.experiment import ArmConfig
from maskbench.config.schema.metrics import MetricName
from maskbench.data.corpus import Split
from maskbench.explain.sentence_gains import SentenceGains
from maskbench.records.locate import FoundPanel


@dataclass(frozen=True, slots=True)
class Example:
    """One sentence, with the translations of the arm's and the baseline's run of one seed."""

    id: int
    won: int
    lost: int
    """Seeds in which the arm does better, and worse."""
    source: str
    reference: str
    seed: int
    """The seed of the runs shown: the one with the greatest difference."""
    own: str | None
    baseline: str | None
    """Translations; None where the split was not translated."""
    own_score: float
    baseline_score: float
    """The sentence's scores in that seed."""


@dataclass(frozen=True, slots=True)
class ExampleReader:
    """Reads texts and translations of two arms."""

    found: FoundPanel
    name: MetricName
    arms: tuple[ArmConfig, ArmConfig]
    seeds: tuple[int, ...]
    split: Split

    def read(self, gains: SentenceGains, index: int, sentence: int, sign: int) -> Example:
        """Return a sentence with the translations of the seed where the difference is greatest.

        Args:
            index: its column in `gains`.
            sentence: its id in the split.
            sign: 1 for the seed most in favour of the arm, -1 for the seed most against it.
        """
        row = int(np.argmax(sign * gains.gains[:, index]))
        seed, split = self.seeds[row], str(self.name).partition("/")[0]
        own, baseline = (
            self.found.directory.run(arm.name, seed).translations(split).get(sentence) for arm in self.arms
        )
        return Example(
            id=sentence,
            won=int(gains.won[index]),
            lost=int(gains.lost[index]),
            source=self.split.sources[sentence],
            reference=self.split.references[sentence],
            seed=seed,
            own=own,
            baseline=baseline,
            own_score=float(gains.own[row, index]),
            baseline_score=float(gains.baseline[row, index]),
        )
