"""Every metric by name, as a function from what was seen of a model to numbers.

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
from maskbench.metrics.attended import attention_entropy, best_layer_aer, distractor_mass
from maskbench.metrics.effective_context import effective_context
from maskbench.metrics.forced import Forced, expected_calibration_error, nll, token_accuracy, words
from maskbench.metrics.measurements import Measurements
from maskbench.metrics.slices import sentence_slices, token_slices
from maskbench.metrics.translation import text_scores

Meter: TypeAlias = Callable[[Measurements, str], dict[str, float]]
"""From a model's measurements and a split's name to values by slice."""


def _of_tokens(name: str, score: Callable[[Forced], float]) -> Meter:
    """Return the meter of a score of target tokens."""

    def meter(seen: Measurements, split: str) -> dict[str, float]:
        tokens, data = seen.forced(split), seen.split(split)
        by = [kind for kind in seen.by if kind in METRICS[name].slices]
        parts = token_slices(data, by, seen.corpus.tags)
        return {"": score(tokens), **{part: score(tokens.at(where)) for part, where in parts}}

    return meter


def _of_translations(name: str) -> Meter:
    """Return the meter of a score of translations."""

    def meter(seen: Measurements, split: str) -> dict[str, float]:
        said, values = seen.said(split), {}
        by = [kind for kind in seen.by if kind in METRICS[name].slices]
        parts = [
            ("", said),
            *((part, said.at(where)) for part, where in sentence_slices(seen.split(split), by)),
        ]
        for part, some in parts:
            scores = text_scores(some.hypotheses, some.references, [name], seen.lowercase)
            values[part] = scores.values[name]
            seen.signatures.update(scores.signatures)
        return values

    return meter


def _there(values: Mapping[str, float | None]) -> dict[str, float]:
    """Return the values that there are."""
    return {part: value for part, value in values.items() if value is not None}


def _calibration(seen: Measurements, split: str) -> dict[str, float]:
    """End marks are left out of the whole; where tags are told apart, they have their own value as `tag:end`."""
    tokens = seen.forced(split)
    by = [kind for kind in seen.by if kind in METRICS["ece"].slices]
    parts = token_slices(seen.split(split), by, seen.corpus.tags)
    return _there(
        {
            "": expected_calibration_error(words(tokens)),
            **{part: expected_calibration_error(tokens.at(where)) for part, where in parts},
        }
    )


def _gap(seen: Measurements, split: str) -> dict[str, float]:
    return {"": forced_gap(seen.forced(split), seen.greedily(split), seen.split(split))}


def _of_alteration(score: Callable[[Forced, Forced, Split], float | None]) -> Meter:
    """Return the meter of a score of an altered split's tokens beside those of its origin."""

    def meter(seen: Measurements, split: str) -> dict[str, float]:
        data = seen.split(split)
        return _there({"": score(seen.forced(_origin(data)), seen.forced(split), data)})

    return meter


def _robustness(seen: Measurements, split: str) -> dict[str, float]:
    data = seen.split(split)
    points = [(0, _origin(data)), *altered.milder(data, seen.corpus.splits)]
    return {"": altered.robustness([(at, _exact_match(seen, name, "robustness")) for at, name in points])}


def _relative_drop(seen: Measurements, split: str) -> dict[str, float]:
    clean, worse = (_exact_match(seen, name, "relative_drop") for name in (_origin(seen.split(split)), split))
    return _there({"": altered.relative_drop(clean, worse)})


def _exact_match(seen: Measurements, split: str, on_behalf_of: str) -> float:
    said = seen.said(split)
    scores = text_scores(said.hypotheses, said.references, ["exact_match"], seen.lowercase)
    seen.signatures[on_behalf_of] = scores.signatures["exact_match"]
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
    "attention_entropy": lambda seen, split: attention_entropy(seen.attended(split)),
    "distractor_mass": lambda seen, split: distractor_mass(seen.attended(split)),
    "aer": lambda seen, split: {"": best_layer_aer(seen.attended(split), seen.split(split))},
    "effective_context": lambda seen, split: {
        "": effective_context(seen.model, seen.split(split), seen.clock)
    },
}
"""How each metric is computed."""


def measure(seen: Measurements, split: str, metric: str) -> dict[str, float]:
    """Return a metric of a split, and of the slices of it that were asked for, by slice; "" is the whole split.

    Empty where the metric does not exist on this split: what an alteration costs, on a split that is no altered copy,
    or a mean over tokens of which there is none.
    """
    if "origin" in METRICS[metric].needs and seen.split(split).origin is None:
        return {}
    return METERS[metric](seen, split)
