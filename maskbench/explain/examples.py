"""Sentences as they are shown: their texts, and what two models of one seed make of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maskbench.config.schema.experiment import ArmConfig
from maskbench.config.schema.metrics import MetricName
from maskbench.data.corpus import Split
from maskbench.explain.outcomes import Outcomes
from maskbench.records.locate import FoundPanel


@dataclass(frozen=True, slots=True)
class Example:
    """One sentence, with what the two models of one seed say."""

    id: int
    won: int
    lost: int
    """Seeds."""
    source: str
    reference: str
    seed: int
    """The pair of runs shown: the one where the difference is greatest."""
    own: str | None
    baseline: str | None
    """Translations; None where the split was not translated."""
    own_score: float
    baseline_score: float
    """Of that seed."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Looks up what was said."""

    found: FoundPanel
    name: MetricName
    arms: tuple[ArmConfig, ArmConfig]
    seeds: tuple[int, ...]
    split: Split

    def example(self, outcomes: Outcomes, place: int, sentence: int, sign: int) -> Example:
        """Return a sentence, with the runs of the seed that shows it best.

        Args:
            place: where it is among the outcomes.
            sentence: its id in the split.
            sign: 1 to show the arm at its best, -1 at its worst.
        """
        row = int(np.argmax(sign * outcomes.gains[:, place]))
        seed, where = self.seeds[row], str(self.name).partition("/")[0]
        own, baseline = (
            self.found.directory.run(arm.name, seed).translations(where).get(sentence) for arm in self.arms
        )
        return Example(
            id=sentence,
            won=int(outcomes.won[place]),
            lost=int(outcomes.lost[place]),
            source=self.split.sources[sentence],
            reference=self.split.references[sentence],
            seed=seed,
            own=own,
            baseline=baseline,
            own_score=float(outcomes.own[row, place]),
            baseline_score=float(outcomes.baseline[row, place]),
        )
