"""Metrics of attention weights: entropy, and attention to junk source tokens."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import TYPE_CHECKING

from maskbench.metrics.base import Metric, Undefined
from maskbench.registry import METRICS

if TYPE_CHECKING:
    from maskbench.metrics.attention_statistics import AttentionStatistics, RunningMean
    from maskbench.metrics.model_outputs import ModelOutputs


@METRICS.register("distractor_mass")
class DistractorMass(Metric):
    """Share of attention on junk source tokens; `distractor_mass` has the definition."""

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
        """Return the mass of every site, and under "" the mean over sites."""
        junk = outputs.split(split).junk
        if junk is not None and not junk.values.any():
            outputs.add_remark(
                self.full_name(split),
                "0 whatever the model does, because no source token of the split is junk",
            )
        values = distractor_mass(outputs.attention(split))
        return self.keep_defined(outputs, split, values or {"": Undefined("no query attends to anything")})


@METRICS.register("attention_entropy")
class AttentionEntropy(Metric):
    """Normalised entropy of attention; `attention_entropy` has the definition."""

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
        """Return the entropy of every site, and under "" the mean over sites."""
        values = attention_entropy(outputs.attention(split))
        nothing = Undefined("no query may attend to two keys")
        return self.keep_defined(outputs, split, values or {"": nothing})


def attention_entropy(seen: AttentionStatistics) -> dict[str, float]:
    """Return the mean normalised entropy of attention; 0: all on one key, 1: equal on all allowed keys.

    Neither end is better as such. Mean of `maskbench.metrics.attention_statistics.normalised_entropy` over
    heads, layers and real queries with at least two allowed keys. One value per site, and under "" the mean
    over the sites with such queries; empty where no site has any.
    """
    return _by_site(seen.entropies)


def distractor_mass(seen: AttentionStatistics) -> dict[str, float]:
    """Return the mean share of attention on junk source tokens; 0 to 1, lower is better.

    Mean over heads, layers and queries. Queries are the source tokens that are not junk, end mark included,
    at `encoder_self`, and all target tokens at `cross`. One value per site, and under "" the mean over the
    two. 0 on a split without junk tokens.
    """
    return _by_site(seen.junk)


def _by_site(means: Mapping[str, RunningMean]) -> dict[str, float]:
    sites = {f"site:{site}": mean.total / mean.count for site, mean in means.items() if mean.count}
    return {"": fmean(sites.values()), **sites} if sites else {}
