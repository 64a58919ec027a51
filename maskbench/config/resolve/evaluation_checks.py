"""Check that a corpus has what `evaluate` needs, and that `compare.metric` is evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from maskbench.config.schema.experiment import ATTENTION_SITES, EvaluateConfig
from maskbench.config.schema.metrics import DISTANCES, LENGTHS, MetricName, bin_name, find_metric, metric_name
from maskbench.registry import did_you_mean

Path: TypeAlias = tuple[str | int, ...]

_NEEDED_BY_SLICE = {"tag": "tags", "distance": "deps"}
_IN_WORDS = {
    "junk": "marks of meaningless words",
    "links": "a gold alignment",
    "deps": "what each target word hangs on",
    "tags": "tags",
}


@dataclass(frozen=True, slots=True)
class CorpusCapabilities:
    """The splits, annotations and tags that a corpus has."""

    corpus: str
    splits: tuple[str, ...]
    annotations: frozenset[str]
    tags: tuple[str, ...]
    origins: Mapping[str, str]
    """For each altered copy of a split, by the copy's name, the original split."""

    def slices(self, kind: str) -> list[str]:
        """Return all names of the slices of a kind."""
        if kind == "tag":
            return list(self.tags)
        return [bin_name(limits) for limits in (LENGTHS if kind == "length" else DISTANCES)]


def find_unmeasurable(
    evaluate: EvaluateConfig, capabilities: CorpusCapabilities
) -> Iterator[tuple[Path, str]]:
    """Yield the path in the file and a message for everything that cannot be measured on the corpus."""
    for i, split in enumerate(evaluate.splits):
        if split not in capabilities.splits:
            known = ", ".join(capabilities.splits)
            message = f"the corpus {capabilities.corpus} has no split {split!r}{did_you_mean(split, capabilities.splits)}"
            yield ("evaluate", "splits", i), f"{message} (splits: {known})"
    for i, name in enumerate(evaluate.metrics):
        needs = find_metric(name).needs
        for missing in sorted(needs - {"origin"} - capabilities.annotations):
            message = (
                f"{name} needs {_IN_WORDS[missing]}, which the corpus {capabilities.corpus} does not have"
            )
            yield ("evaluate", "metrics", i), message
        if "origin" in needs and not any(split in capabilities.origins for split in evaluate.splits):
            copies = ", ".join(capabilities.origins) or "none"
            message = f"{name} needs a split that is an altered copy of another (of {capabilities.corpus}: {copies})"
            yield ("evaluate", "metrics", i), message
    for i, kind in enumerate(evaluate.by):
        needed = _NEEDED_BY_SLICE.get(kind)
        if needed and needed not in capabilities.annotations:
            message = (
                f"by {kind} needs {_IN_WORDS[needed]}, which the corpus {capabilities.corpus} does not have"
            )
            yield ("evaluate", "by", i), message


def find_missing_for_comparison(
    metric: str, evaluate: EvaluateConfig, capabilities: CorpusCapabilities | None
) -> Iterator[tuple[str, str]]:
    """Yield each reason why the compared metric is not measured: its key of `evaluate` and a message."""
    name = metric_name(metric)
    if name is None:
        return
    for wanted, value, key, there in (
        ("split", name.split, "splits", evaluate.splits),
        ("metric", name.metric, "metrics", evaluate.metrics),
        ("masks of", name.masks or "own", "masks", evaluate.masks),
    ):
        if value not in there:
            known = f"evaluate.{key}: {', '.join(there)}"
            yield key, f"compare.metric {metric!r} needs the {wanted} {value!r} to be evaluated ({known})"
    if name.part:
        yield from _unmeasured_part(name, metric, evaluate, capabilities)
    if capabilities and "origin" in name.info.needs and name.split not in capabilities.origins:
        message = f"compare.metric {metric!r}: {name.split} is no altered copy of another split"
        yield "splits", f"{message} (those are: {', '.join(capabilities.origins) or 'none'})"


def _unmeasured_part(
    name: MetricName, metric: str, evaluate: EvaluateConfig, capabilities: CorpusCapabilities | None
) -> Iterator[tuple[str, str]]:
    kind, _, value = name.part.partition(":")
    if name.info.sites and kind == "site":
        known = list(ATTENTION_SITES)
    elif kind not in name.info.slices:
        kinds = ", ".join(name.info.slices) or "none"
        yield "by", f"compare.metric {metric!r}: {name.metric} has no slices by {kind!r} (it has: {kinds})"
        return
    elif kind not in evaluate.by:
        by = ", ".join(evaluate.by) or "nothing"
        yield "by", f"compare.metric {metric!r} needs {kind} in evaluate.by (which holds {by})"
        return
    elif capabilities is None:
        return
    else:
        known = capabilities.slices(kind)
    if value not in known:
        hint = did_you_mean(value, known)
        yield (
            "by",
            f"compare.metric {metric!r}: there is no {kind} {value!r}{hint} (there are: {', '.join(known)})",
        )
