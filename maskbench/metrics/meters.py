"""Every metric by name, as a function from the outputs of a model to numbers.

A meter returns the value over the whole split under the empty name, and the value of each slice under the slice's.
A metric is described in `maskbench.config.schema.metrics`, and defined by the function that computes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from maskbench.config.schema.metrics import METRICS
from maskbench.data.corpus import Split
from maskbench.metrics import altered
from maskbench.metrics.altered import forced_gap
from maskbench.metrics.attention_statistics import attention_entropy, best_layer_aer, distractor_mass
from maskbench.metrics.effective_context import effective_context
from maskbench.metrics.model_outputs import ModelOutputs
from maskbench.metrics.slices import sentence_slices, token_slices
from maskbench.metrics.teacher_forcing import (
    TeacherForcedScores,
    drop_end_marks,
    expected_calibration_error,
    nll,
    token_accuracy,
)
from maskbench.metrics.translation import text_scores

Meter: TypeAlias = Callable[[ModelOutputs, str], dict[str, float]]
"""From a model's measurements and a split's name to values by slice."""


def _of_tokens(name: str, score: Callable[[TeacherForcedScores], float]) -> Meter:
    """Return the meter of a score of target tokens."""

    def meter(outputs: ModelOutputs, split: str) -> dict[str, float]:
        tokens, data = outputs.teacher_forced(split), outputs.split(split)
        by = [kind for kind in outputs.by if kind in METRICS[name].slices]
        parts = token_slices(data, by, outputs.corpus.tags)
        return {"": score(tokens), **{part: score(tokens.select(where)) for part, where in parts}}

    return meter


def _of_translations(name: str) -> Meter:
    """Return the meter of a score of translations."""

    def meter(outputs: ModelOutputs, split: str) -> dict[str, float]:
        said, values = outputs.translations(split), {}
        by = [kind for kind in outputs.by if kind in METRICS[name].slices]
        parts = [
            ("", said),
            *((part, said.select(where)) for part, where in sentence_slices(outputs.split(split), by)),
        ]
        for part, some in parts:
            scores = text_scores(some.hypotheses, some.references, [name], outputs.lowercase)
            values[part] = scores.values[name]
            outputs.signatures.update(scores.signatures)
        return values

    return meter


def _there(values: Mapping[str, float | None]) -> dict[str, float]:
    """Return the values that there are."""
    return {part: value for part, value in values.items() if value is not None}


def _calibration(outputs: ModelOutputs, split: str) -> dict[str, float]:
    """End marks are left out of the whole; where tags are told apart, they have their own value as `tag:end`."""
    tokens = outputs.teacher_forced(split)
    by = [kind for kind in outputs.by if kind in METRICS["ece"].slices]
    parts = token_slices(outputs.split(split), by, outputs.corpus.tags)
    return _there(
        {
            "": expected_calibration_error(drop_end_marks(tokens)),
            **{part: expected_calibration_error(tokens.select(where)) for part, where in parts},
        }
    )


def _gap(outputs: ModelOutputs, split: str) -> dict[str, float]:
    return {
        "": forced_gap(
            outputs.teacher_forced(split), outputs.greedy_translations(split), outputs.split(split)
        )
    }


def _of_alteration(score: Callable[[TeacherForcedScores, TeacherForcedScores, Split], float | None]) -> Meter:
    """Return the meter of a score of an altered split's tokens beside those of its origin."""

    def meter(outputs: ModelOutputs, split: str) -> dict[str, float]:
        data = outputs.split(split)
        return _there({"": score(outputs.teacher_forced(_origin(data)), outputs.teacher_forced(split), data)})

    return meter


def _robustness(outputs: ModelOutputs, split: str) -> dict[str, float]:
    data = outputs.split(split)
    points = [(0, _origin(data)), *altered.milder_copies(data, outputs.corpus.splits)]
    return {"": altered.robustness([(at, _exact_match(outputs, name, "robustness")) for at, name in points])}


def _relative_drop(outputs: ModelOutputs, split: str) -> dict[str, float]:
    clean, worse = (
        _exact_match(outputs, name, "relative_drop") for name in (_origin(outputs.split(split)), split)
    )
    return _there({"": altered.relative_drop(clean, worse)})


def _exact_match(outputs: ModelOutputs, split: str, on_behalf_of: str) -> float:
    said = outputs.translations(split)
    scores = text_scores(said.hypotheses, said.references, ["exact_match"], outputs.lowercase)
    outputs.signatures[on_behalf_of] = scores.signatures["exact_match"]
    return scores.values["exact_match"]


def _origin(data: Split) -> str:
    if data.origin is None:
        raise ValueError(f"{data.name} is no altered copy of another split")
    return data.origin


METERS: dict[str, Meter] = {
    "nll": _of_tokens("nll", nll),
    "token_accuracy": _of_tokens("token_accuracy", token_accuracy),
    **{name: _of_translations(name) for name in ("exact_match", "bleu", "chrf")},
    "ece": _calibration,
    "forced_gap": _gap,
    "interference": _of_alteration(altered.interference),
    "information_loss": _of_alteration(altered.information_loss),
    "robustness": _robustness,
    "relative_drop": _relative_drop,
    "attention_entropy": lambda outputs, split: attention_entropy(outputs.attention(split)),
    "distractor_mass": lambda outputs, split: distractor_mass(outputs.attention(split)),
    "aer": lambda outputs, split: {"": best_layer_aer(outputs.attention(split), outputs.split(split))},
    "effective_context": lambda outputs, split: {
        "": effective_context(outputs.model, outputs.split(split), outputs.clock)
    },
}
"""How each metric is computed."""


def measure(outputs: ModelOutputs, split: str, metric: str) -> dict[str, float]:
    """Return a metric of a split, and of the slices of it that were asked for, by slice; "" is the whole split.

    Empty where the metric does not exist on this split: what an alteration costs, on a split that is no altered copy,
    or a mean over tokens of which there is none.
    """
    if "origin" in METRICS[metric].needs and outputs.split(split).origin is None:
        return {}
    return METERS[metric](outputs, split)
