"""Evaluate a run's model: on the validation split during training, on the chosen splits at the end.

Evaluation always computes in float32: it is a small part of a run, and the translation of a sentence should
not depend on the rounding of its batch.
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
from maskbench.metrics.translation import CutOff, ScoredText, translate_first
from maskbench.model.eval_plans import build_eval_plans, use_mask_plan
from maskbench.runs.jsonl import encode_json_line
from maskbench.training.logbook import SAMPLES
from maskbench.training.trainer import Trainer

VALIDATION_METRICS = ("nll", "token_accuracy")
"""The metrics of every validation; one forward pass gives both."""

Translations = Mapping[str, list[tuple[int, str]]]
"""The id and hypothesis of every pair, by split."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The results of an evaluation."""

    metrics: dict[str, float] = field(default_factory=dict)
    """Metric values by `split/metric`."""
    signatures: dict[str, str] = field(default_factory=dict)
    """How each metric was computed, by metric name; for BLEU and chrF, sacreBLEU's signature."""
    translations: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    """Id and hypothesis of every pair, by split; `test@none` for translations under other masks."""
    n_best: dict[str, list[list[ScoredText]]] = field(default_factory=dict)
    """The best translations of every pair with their scores, by split; empty unless `decode.n_best` is above
    1."""
    sentences: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """What each pair adds to the metrics (`maskbench.metrics.measure.count_sentences`), by split, if
    requested."""
    undefined: dict[str, str] = field(default_factory=dict)
    """Why a requested metric has no value, as a clause, by `split/metric`."""
    remarks: dict[str, list[str]] = field(default_factory=dict)
    """What a metric's value does not say, as clauses, by `split/metric`."""
    cut_off: dict[str, CutOff] = field(default_factory=dict)
    """How many translations were cut at their maximal length, by split; splits without any are absent."""

    def rename_for_masks(self, name: str) -> Evaluation:
        """Return the same results under the keys `split@name`, for the masks called `name`."""

        def renamed(key: str) -> str:
            split, slash, rest = key.partition("/")
            return f"{split}@{name}{slash}{rest}"

        return replace(
            self,
            metrics={renamed(key): value for key, value in self.metrics.items()},
            undefined={renamed(key): reason for key, reason in self.undefined.items()},
            remarks={renamed(key): remarks for key, remarks in self.remarks.items()},
            cut_off={renamed(split): counts for split, counts in self.cut_off.items()},
            translations={renamed(split): rows for split, rows in self.translations.items()},
            n_best={renamed(split): rows for split, rows in self.n_best.items()},
            sentences={renamed(split): rows for split, rows in self.sentences.items()},
        )

    def merge(self, other: Evaluation) -> Evaluation:
        """Return the union of both; only keys of signatures may be in both, with equal values."""
        return Evaluation(
            self.metrics | other.metrics,
            self.signatures | other.signatures,
            self.translations | other.translations,
            self.n_best | other.n_best,
            self.sentences | other.sentences,
            self.undefined | other.undefined,
            self.remarks | other.remarks,
            self.cut_off | other.cut_off,
        )


def validation_metrics(config: RunConfig) -> list[str]:
    """Return the metrics of a validation: `VALIDATION_METRICS` and the one that selects the checkpoint."""
    names = [f"valid/{metric}" for metric in VALIDATION_METRICS]
    return names if config.train.select in names else [*names, config.train.select]


def final_metrics(config: RunConfig) -> list[str]:
    """Return the metrics to compute for the selected checkpoint, as `split/metric`."""
    return [f"{split}/{metric}" for split in config.evaluate.splits for metric in config.evaluate.metrics]


def outputs_sha256(translations: Translations) -> str | None:
    """Return the hash of all translations, equal if and only if two runs translate every sentence equally.

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
        names: the metrics to compute, as `split/metric`.
        clock: the point in training for schedules; its phase is "eval".
        by: the kinds of slices to compute as well.
        final: also return results that need no further pass over the data: `forced_gap` of every split, which
            raises an alarm, and what each pair adds to the metrics.
    """
    config = trainer.config
    outputs = ModelOutputs(
        trainer.model,
        corpus,
        clock,
        decode=config.decode,
        lowercase=config.evaluate.lowercase,
        bleu_tokenize=config.evaluate.bleu_tokenize,
        by=by,
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
            metrics |= {f"{split}/forced_gap": gap for gap in measure(outputs, split, "forced_gap").values()}
    translations = {split: list(enumerate(said)) for split, said in outputs.hypotheses.items()}
    kept = {split: rows for split, rows in sentences.items() if rows}
    return Evaluation(
        metrics,
        outputs.signatures,
        translations,
        outputs.n_best,
        kept,
        outputs.undefined,
        outputs.remarks,
        outputs.cut_off,
    )


def evaluate_final(trainer: Trainer, corpus: Corpus, seed: int, clock: Clock) -> Evaluation:
    """Evaluate the trainer's model as its section `evaluate` says, under its own masks and others.

    Args:
        seed: the seed of the run.
        clock: the point in training for schedules, also those of other masks; its phase is "eval".
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
    """Return the id and translation of a split's first `SAMPLES` sentences, to show to the user."""
    decode = trainer.config.decode
    return list(enumerate(translate_first(trainer.model, corpus, split, clock, count=SAMPLES, decode=decode)))
