"""Where the model attends: how evenly, and how much to junk. One file, as both read the same statistics."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import TYPE_CHECKING

from maskbench.metrics.base import Metric
from maskbench.registry import METRICS

if TYPE_CHECKING:
    from maskbench.metrics.attention_statistics import AttentionStatistics, RunningMean
    from maskbench.metrics.model_outputs import ModelOutputs


@METRICS.register("distractor_mass")
class DistractorMass(Metric):
    """See `distractor_mass`."""

    higher_is_better = False
    unit = "share of attention"
    low, high = 0.0, 1.0
    description = (
        "attention of the other tokens to junk source tokens, mean over queries, heads and layers of cross"
        " attention and encoder"
    )
    source = 'Ye et al. 2024, "Differential transformer"'
    needs = frozenset({"junk"})
    sites = True

    def measure(self, outputs: ModelOutputs, split: str) -> dict[str, float]:
        """Return the mass by site, and the mean of the sites."""
        return distractor_mass(outputs.attention(split))


@METRICS.register("attention_entropy")
class AttentionEntropy(Metric):
    """See `attention_entropy`."""

    higher_is_better = False
    unit = "share of the largest possible"
    low, high = 0.0, 1.0
    description = (
        "entropy of attention divided by that of equal attention to all allowed keys, mean over queries"
        " with at least two, heads and layers, then over sites"
    )
    source = "normalised entropy; Shannon 1948"
    sites = True

    def measure(self, outputs: ModelOutputs, split: str) -> dict[str, float]:
        """Return the entropy by site, and the mean of the sites."""
        return attention_entropy(outputs.attention(split))


def attention_entropy(seen: AttentionStatistics) -> dict[str, float]:
    """Return how evenly attention is spread: 0 on one key, 1 on all it may attend to alike; neither is better as such.

    The normalised entropy (`maskbench.metrics.attention_statistics.normalised_entropy`), mean over heads, layers and queries that are no
    padding and have a choice; by site, and under "" the mean of the sites that have such queries. Nothing where no
    site has.
    """
    return _by_site(seen.entropies)


def distractor_mass(seen: AttentionStatistics) -> dict[str, float]:
    """Return the share of attention that goes to junk source tokens; 0 to 1, lower is better.

    Mean over heads, layers and queries: the source tokens that are not junk, end mark included, at `encoder_self`, all
    target tokens at `cross`; by site, and under "" the mean of the two. 0 on a split without junk.
    """
    return _by_site(seen.junk)


def _by_site(means: Mapping[str, RunningMean]) -> dict[str, float]:
    sites = {f"site:{site}": mean.total / mean.count for site, mean in means.items() if mean.count}
    return {"": fmean(sites.values()), **sites} if sites else {}
