"""Compute metrics by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from maskbench.config.schema.metrics import find_metric
from maskbench.metrics.base import NO_SENTENCES, Metric, Undefined
from maskbench.metrics.model_outputs import ModelOutputs
from maskbench.registry import METRICS


def measure(outputs: ModelOutputs, split: str, metric: str) -> dict[str, float]:
    """Return a metric's values on a split, by slice; "" is the whole split.

    Slices are those requested in `outputs.by`. Empty where the metric does not apply (the cost of an
    alteration on a split that is not an altered copy) or is undefined (a mean over no tokens); in the second
    case `outputs.undefined` says why.
    """
    found = _computable(metric)
    if "origin" in found.needs and outputs.split(split).origin is None:
        return {}
    if not len(outputs.split(split)):
        return found.keep_defined(outputs, split, {"": Undefined(NO_SENTENCES)})
    values = found.measure(outputs, split)
    if "" not in values:
        # A metric of a plug-in may leave its value out without a reason.
        outputs.undefined.setdefault(found.full_name(split), "the metric has no value on this split")
    return values


def count_sentences(outputs: ModelOutputs, split: str, metrics: Iterable[str]) -> list[dict[str, Any]]:
    """Return one entry per sentence of a split, in its order: `{"id": 3, "nll": [7.25, 6], ...}`.

    An entry holds what the sentence adds to each metric's sums. The sums over any set of sentences, such as
    a resampled test set, give the metric of that set without another pass over the data. Metrics that are
    not a function of such sums are left out; the others need no pass that the metric itself does not need.
    Empty if no metric remains.
    """
    wanted = set(metrics)
    counts = {
        name: metric.count_sentences(outputs, split)
        for name, metric in ((name, _computable(name)) for name in METRICS if name in wanted)
        if metric.sentence_numbers is not None and len(outputs.split(split))
    }
    if not counts:
        return []
    sentences = range(len(outputs.split(split)))
    return [{"id": i, **{name: entries[i] for name, entries in counts.items()}} for i in sentences]


def _computable(name: str) -> Metric:
    found = find_metric(name)
    if not isinstance(found, Metric):
        raise ValueError(f"the plug-in that computes the metric {name!r} is not loaded")
    return found
