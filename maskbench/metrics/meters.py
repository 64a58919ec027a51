"""Every metric by name, as a function from what was seen of a model to numbers.

A meter returns the value over the whole split under the empty name, and the value of each slice under the slice's.
A metric is described in `maskbench.config.metrics`, and defined by the function that computes it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from maskbench.config.metrics import METRICS
from maskbench.metrics.forced import Forced, nll, token_accuracy
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


METERS: dict[str, Meter] = {
    "nll": _of_tokens("nll", nll),
    "token_accuracy": _of_tokens("token_accuracy", token_accuracy),
    **{name: _of_translations(name) for name in ("exact_match", "bleu", "chrf")},
}
"""How each metric is computed."""


def measure(seen: Measurements, split: str, metric: str) -> dict[str, float]:
    """Return a metric of a split, and of the slices of it that were asked for, by slice; "" is the whole split.

    Empty where the metric does not exist on this split: what an alteration costs, on a split that is no altered copy.
    """
    if "origin" in METRICS[metric].needs and seen.split(split).origin is None:
        return {}
    return METERS[metric](seen, split)
