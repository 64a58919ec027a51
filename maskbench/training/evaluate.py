"""Measuring a run's model: on the validation split while it trains, on the chosen splits when it is done.

Evaluation computes in float32 whatever the run trains in: it is a small part of a run, and a sentence's translation
should not hang on how its batch was rounded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from maskbench.config.metrics import metric_name
from maskbench.config.schema import RunConfig
from maskbench.data.corpus import Corpus
from maskbench.masks.clock import Clock
from maskbench.metrics import Measurements, measure, translate_first
from maskbench.runs.lines import json_line
from maskbench.training.logbook import SAMPLES
from maskbench.training.trainer import Trainer

VALIDATED = ("nll", "token_accuracy")
"""What is measured at every validation; one pass gives both."""

Translations = Mapping[str, list[tuple[int, str]]]
"""By split: id and hypothesis of every pair."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured."""

    metrics: dict[str, float] = field(default_factory=dict)
    """By `split/metric`."""
    signatures: dict[str, str] = field(default_factory=dict)
    """How a metric was computed, by its name without a split; sacreBLEU's for BLEU and chrF."""
    translations: dict[str, list[tuple[int, str]]] = field(default_factory=dict)


def validation_metrics(config: RunConfig) -> list[str]:
    """Return what is measured at every validation: both teacher-forced metrics, and what picks the checkpoint."""
    names = [f"valid/{metric}" for metric in VALIDATED]
    return names if config.train.select in names else [*names, config.train.select]


def final_metrics(config: RunConfig) -> list[str]:
    """Return what is measured of the selected checkpoint."""
    return [f"{split}/{metric}" for split in config.evaluate.splits for metric in config.evaluate.metrics]


def outputs_sha256(translations: Translations) -> str | None:
    """Return the hash of all translations: equal exactly if two runs translate every sentence alike.

    None where nothing was translated: then there is no evidence of that kind.
    """
    if not translations:
        return None
    digest = hashlib.sha256()
    for split in sorted(translations):
        for number, text in sorted(translations[split]):
            digest.update(json_line({"split": split, "id": number, "hypothesis": text}))
    return digest.hexdigest()


def evaluate(
    trainer: Trainer, corpus: Corpus, names: Sequence[str], clock: Clock, by: Sequence[str] = ()
) -> Evaluation:
    """Measure the trainer's model as it is.

    Args:
        names: metrics as `split/metric`.
        clock: where schedules stand; its phase is "eval".
        by: what they are told apart by as well.
    """
    config = trainer.config
    seen = Measurements(
        trainer.model, corpus, clock, decode=config.decode, lowercase=config.evaluate.lowercase, by=by
    )
    metrics: dict[str, float] = {}
    for name in map(metric_name, names):
        if name is None:
            raise ValueError(f"{names} are not all split/metric")
        for part, value in measure(seen, name.split, name.metric).items():
            metrics[str(name._replace(part=part))] = value
    translations = {split: list(enumerate(said)) for split, said in seen.translations.items()}
    return Evaluation(metrics, seen.signatures, translations)


def samples(trainer: Trainer, corpus: Corpus, split: str, clock: Clock) -> list[tuple[int, str]]:
    """Return id and translation of a split's first sentences, for a person to look at."""
    ratio = trainer.config.decode.max_length_ratio
    return list(
        enumerate(translate_first(trainer.model, corpus, split, clock, count=SAMPLES, max_length_ratio=ratio))
    )
