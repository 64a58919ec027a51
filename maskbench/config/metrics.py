"""What is measured: the metrics, which way is better, and what values they can take.

A metric in a file or a table is named `split/metric`, for instance `test/bleu`. Everything that needs to know more
about a metric than its name (the sign of a difference, the unit of an axis, a sensible `min_effect`) reads it here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MetricInfo:
    """One metric."""

    name: str
    higher_is_better: bool
    unit: str
    """What 1.0 of it is."""
    low: float
    """The least value it can have."""
    high: float
    """The greatest value it can have; infinity where there is none."""
    description: str


def _by_name(*metrics: MetricInfo) -> dict[str, MetricInfo]:
    return {metric.name: metric for metric in metrics}


METRICS: dict[str, MetricInfo] = _by_name(
    MetricInfo(
        name="nll",
        higher_is_better=False,
        unit="nats per token",
        low=0.0,
        high=math.inf,
        description="negative log-likelihood of a gold target token, end mark included, without label smoothing",
    ),
    MetricInfo(
        name="token_accuracy",
        higher_is_better=True,
        unit="share of tokens",
        low=0.0,
        high=1.0,
        description="share of gold target tokens ranked first, given the gold prefix",
    ),
    MetricInfo(
        name="exact_match",
        higher_is_better=True,
        unit="share of sentences",
        low=0.0,
        high=1.0,
        description="share of translations equal to their reference",
    ),
    MetricInfo(
        name="bleu",
        higher_is_better=True,
        unit="BLEU points",
        low=0.0,
        high=100.0,
        description="corpus BLEU of the translations (Papineni et al. 2002)",
    ),
    MetricInfo(
        name="chrf",
        higher_is_better=True,
        unit="chrF points",
        low=0.0,
        high=100.0,
        description="corpus chrF2, character n-gram F-score of the translations (Popović 2015)",
    ),
)
"""Every metric by name."""


def split_metric(name: str) -> tuple[str, str] | None:
    """Split `"test/bleu"` into `("test", "bleu")`; None if it does not have that form."""
    split, slash, metric = name.rpartition("/")
    return (split, metric) if slash and split and metric else None
