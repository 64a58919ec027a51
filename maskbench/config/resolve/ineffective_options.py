"""Options of a run that are valid and change nothing, because of its other options.

Static facts of the configuration alone. What masks do on the corpus is measured by `maskbench.audit.effects`.
"""

from __future__ import annotations

from collections.abc import Iterator

from maskbench.config.schema.experiment import (
    DecodeConfig,
    EvaluateConfig,
    PlacementConfig,
    RunConfig,
    TrainConfig,
)
from maskbench.config.schema.metrics import MetricInfo, find_metric, is_metric

_DECODE, _TRAIN = DecodeConfig(), TrainConfig()


def find_ineffective_options(config: RunConfig) -> Iterator[tuple[str, str]]:
    """Yield the dotted key of every option that does not do in this run what it says, and a predicate about it."""
    yield from _training(config)
    yield from _decoding(config)
    yield from _evaluation(config.evaluate)
    for placement in config.masks:
        yield from _placement(placement)


def _training(config: RunConfig) -> Iterator[tuple[str, str]]:
    train = config.train
    # The number of steps of an epoch is not known here.
    if train.epochs is None:
        if train.warmup_steps > train.steps:
            share = f"{train.steps} of {train.warmup_steps}"
            yield (
                "train.schedule",
                f"has no effect: training ends in the warm-up ({share} steps), and never reaches train.lr",
            )
        if train.valid_every > train.steps and train.average == 1 and train.select != _TRAIN.select:
            yield (
                "train.select",
                f"has no effect: there is one validation, after step {train.steps}, so nothing is selected",
            )
        validations = -(-train.steps // train.valid_every)
        if train.average > validations:
            yield (
                "train.average",
                f"has less effect: {train.average} validations are to be averaged, and there are only {validations}",
            )
    if train.average > 1 and train.select != _TRAIN.select:
        yield (
            "train.select",
            "has no effect: the mean of the last validations is evaluated, whatever is best (train.average)",
        )
    if train.rdrop and config.model.dropout == 0 and not config.masks:
        yield (
            "train.rdrop",
            "has no effect: both passes are the same without dropout and masks, so their divergence is 0",
        )


def _decoding(config: RunConfig) -> Iterator[tuple[str, str]]:
    decode = config.decode
    if decode.beam_size == 1 and decode.length_penalty != _DECODE.length_penalty:
        yield (
            "decode.length_penalty",
            "has no effect: greedy search compares no lengths (decode.beam_size is 1)",
        )
    if decode.beam_size > 1 and not _has_translations(config.evaluate):
        yield "decode.beam_size", "has no effect: no measured metric is one of translations"


def _evaluation(evaluate: EvaluateConfig) -> Iterator[tuple[str, str]]:
    metrics = _metrics(evaluate)
    if evaluate.lowercase and not _has_translations(evaluate):
        yield "evaluate.lowercase", "has no effect: no measured metric is one of translations"
    for kind in evaluate.by:
        if metrics and not any(kind in metric.slices for metric in metrics):
            yield "evaluate.by", f"has no effect: none of the measured metrics has slices by {kind}"


def _metrics(evaluate: EvaluateConfig) -> list[MetricInfo]:
    """Return the measured metrics; empty if one of them is not known here."""
    known = [find_metric(name) for name in evaluate.metrics if is_metric(name)]
    return known if len(known) == len(evaluate.metrics) else []


def _has_translations(evaluate: EvaluateConfig) -> bool:
    metrics = _metrics(evaluate)
    return not metrics or any(map(_reads_translations, metrics))


def _reads_translations(metric: MetricInfo) -> bool:
    """Return whether a metric is known to read translations, or may do so because it is a plug-in's."""
    return hasattr(metric, "signature") or not type(metric).__module__.startswith("maskbench.metrics.")


def _placement(placement: PlacementConfig) -> Iterator[tuple[str, str]]:
    if placement.freeze_at == 1:
        yield f"{placement.mask}.freeze_at", "has no effect: nothing is left to freeze at the end of training"
    phases = placement.phases
    if placement.refresh is not None and phases == ("eval",):
        yield (
            f"{placement.mask}.refresh",
            "has no effect: evaluation uses one draw for all, and the mask acts only there",
        )
