"""Evaluates a run's model: on the validation split while it trains, on the chosen splits at its end.

Evaluation computes in float32 whatever the run trains in: it is a small part of a run, and a sentence's translation
should not depend on how its batch was rounded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from maskbench.config.resolve.evaluation_masks import OWN
from maskbench.config.schema.experiment import RunConfig
from maskbench.config.schema.metrics import metric_name
from maskbench.data.corpus import Corpus
from maskbench.masks.clock import Clock
from maskbench.metrics.measure import count_sentences, measure
from maskbench.metrics.model_outputs import ModelOutputs
from maskbench.metrics.translation import translate_first
from maskbench.model.eval_plans import build_eval_plans, use_mask_plan
from maskbench.runs.jsonl import encode_json_line
from maskbench.training.logbook import SAMPLES
from maskbench.training.trainer import Trainer

VALIDATION_METRICS = ("nll", "token_accuracy")
"""The metrics of every validation; one pass gives both."""

Translations = Mapping[str, list[tuple[int, str]]]
"""By split: id and hypothesis of every pair."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The results of an evaluation."""

    metrics: dict[str, float] = field(default_factory=dict)
    """By `split/metric`."""
    signatures: dict[str, str] = field(default_factory=dict)
    """How a metric was computed, by its name without a split; for BLEU and chrF, sacreBLEU's signature."""
    translations: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    """By split; `test@none` for translations made under other masks."""
    n_best: dict[str, list[list[tuple[str, float]]]] = field(default_factory=dict)
    """By split: for every pair its best translations and their scores, if more than one was asked for."""
    sentences: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """By split: what each pair adds to the metrics (`maskbench.metrics.measure.count_sentences`), if asked for."""

    def rename_for_masks(self, name: str) -> Evaluation:
        """Return the same results under keys `split@name`, which stand for the masks called `name`."""
        metrics = {}
        for key, value in self.metrics.items():
            split, _, rest = key.partition("/")
            metrics[f"{split}@{name}/{rest}"] = value
        return replace(
            self,
            metrics=metrics,
            translations={f"{split}@{name}": rows for split, rows in self.translations.items()},
            n_best={f"{split}@{name}": rows for split, rows in self.n_best.items()},
            sentences={f"{split}@{name}": rows for split, rows in self.sentences.items()},
        )

    def merge(self, other: Evaluation) -> Evaluation:
        """Return both together; they share no key but those of the signatures, which are equal."""
        return Evaluation(
            self.metrics | other.metrics,
            self.signatures | other.signatures,
            self.translations | other.translations,
            self.n_best | other.n_best,
            self.sentences | other.sentences,
        )


def validation_metrics(config: RunConfig) -> list[str]:
    """Return the metrics of every validation: both teacher-forced ones, and the one that selects the checkpoint."""
    names = [f"valid/{metric}" for metric in VALIDATION_METRICS]
    return names if config.train.select in names else [*names, config.train.select]


def final_metrics(config: RunConfig) -> list[str]:
    """Return the metrics of the selected checkpoint, as `split/metric`."""
    return [f"{split}/{metric}" for split in config.evaluate.splits for metric in config.evaluate.metrics]


def outputs_sha256(translations: Translations) -> str | None:
    """Return the hash of all translations: equal exactly if two runs translate every sentence alike.

    None if nothing was translated.
    """
    if not translations:
        return None
    digest = hashlib.sha256()
    for split in sorted(translations):
        for number, text in sorted(translations[split]):
            digest.update(encode_json_line({"split": split, "id": number, "hypothesis": text}))
    return digest.hexdigest()


def evaluate(
    trainer: Trainer,
    corpus: Corpus,
    names: Sequence[str],
    clock: Clock,
    by: Sequence[str] = (),
    *,
    final: bool = False,
) -> Evaluation:
    """Evaluate the trainer's model.

    Args:
        names: metrics as `split/metric`.
        clock: where schedules stand; its phase is "eval".
        by: annotations by whose values the metrics are split as well.
        final: also return what takes no further pass over the data: `forced_gap` of every split, which raises an
            alarm, and what each pair adds to the metrics.
    """
    config = trainer.config
    outputs = ModelOutputs(
        trainer.model, corpus, clock, decode=config.decode, lowercase=config.evaluate.lowercase, by=by
    )
    metrics: dict[str, float] = {}
    wanted: dict[str, list[str]] = {}
    for name in map(metric_name, names):
        if name is None:
            raise ValueError(f"{names} are not all split/metric")
        wanted.setdefault(name.split, []).append(name.metric)
        for part, value in measure(outputs, name.split, name.metric).items():
            metrics[str(name._replace(part=part))] = value
    sentences = {}
    if final:
        sentences = {split: count_sentences(outputs, split, measured) for split, measured in wanted.items()}
        for split in filter(outputs.is_scored_and_greedily_translated, corpus.splits):
            metrics[f"{split}/forced_gap"] = measure(outputs, split, "forced_gap")[""]
    translations = {split: list(enumerate(said)) for split, said in outputs.hypotheses.items()}
    kept = {split: rows for split, rows in sentences.items() if rows}
    return Evaluation(metrics, outputs.signatures, translations, outputs.n_best, kept)


def evaluate_final(trainer: Trainer, corpus: Corpus, seed: int, clock: Clock) -> Evaluation:
    """Evaluate the trainer's model as `evaluate` in its settings says, under its own masks and others.

    Args:
        seed: of the run.
        clock: where schedules stand, those of other masks too; its phase is "eval".
    """
    config = trainer.config
    plans = build_eval_plans(config, corpus, seed)
    found = Evaluation()
    for name in config.evaluate.masks:
        with use_mask_plan(trainer.model, plans.get(name, trainer.model.masks)):
            measured = evaluate(trainer, corpus, final_metrics(config), clock, config.evaluate.by, final=True)
        found = found.merge(measured if name == OWN else measured.rename_for_masks(name))
    return found


def translate_samples(trainer: Trainer, corpus: Corpus, split: str, clock: Clock) -> list[tuple[int, str]]:
    """Return id and translation of a split's first sentences, for a person to look at."""
    decode = trainer.config.decode
    return list(enumerate(translate_first(trainer.model, corpus, split, clock, count=SAMPLES, decode=decode)))
