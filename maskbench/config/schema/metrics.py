"""What is measured: the metrics, which way is better, what values they can take, and how they are named.

A metric in a file or a table is named `split/metric`, for instance `test/bleu`. `test@none/bleu` is the same under
the masks of the arm `none` instead of the run's own, and `test/token_accuracy[tag:gender]` is a slice of it.
Everything that needs to know more about a metric than its name (the sign of a difference, the unit of an axis, a
sensible `min_effect`) reads it here; how it is computed stands in `maskbench.metrics`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple, TypeAlias

SliceKind: TypeAlias = Literal["tag", "length", "distance"]
"""What the examples or the tokens of a split can be told apart by: what a target token is an instance of, how many
words the source has, how far apart the source words are that a target token hangs on."""

LENGTHS: tuple[tuple[int, float], ...] = ((1, 5), (6, 10), (11, 20), (21, math.inf))
"""The bins of source length in tokens, end mark aside, both ends included."""
DISTANCES: tuple[tuple[int, float], ...] = (
    *((d, d) for d in range(1, 11)),
    *((11, 15), (16, math.inf)),
)
"""The bins of the distance between the first and the last source token that a target token hangs on."""


def bin_name(limits: tuple[int, float]) -> str:
    """Return how a bin is called: `7`, `6-10` or `21+`."""
    low, high = limits
    if high == math.inf:
        return f"{low}+"
    return f"{low}" if low == high else f"{low}-{high:g}"


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
    needs: frozenset[str] = frozenset()
    """What the corpus must know: any of "junk", "links", "deps", "tags". With "origin" it is measured only on splits
    that are altered copies of another."""
    slices: tuple[SliceKind, ...] = ()
    """What it can be told apart by; asked for by `evaluate.by`."""
    sites: bool = False
    """Whether it is also given for every attention site, as a slice such as `[site:cross]`."""


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
        slices=("tag", "length", "distance"),
    ),
    MetricInfo(
        name="token_accuracy",
        higher_is_better=True,
        unit="share of tokens",
        low=0.0,
        high=1.0,
        description="share of gold target tokens ranked first, given the gold prefix",
        slices=("tag", "length", "distance"),
    ),
    MetricInfo(
        name="exact_match",
        higher_is_better=True,
        unit="share of sentences",
        low=0.0,
        high=1.0,
        description="share of translations equal to their reference",
        slices=("length",),
    ),
    MetricInfo(
        name="bleu",
        higher_is_better=True,
        unit="BLEU points",
        low=0.0,
        high=100.0,
        description="corpus BLEU of the translations (Papineni et al. 2002)",
        slices=("length",),
    ),
    MetricInfo(
        name="chrf",
        higher_is_better=True,
        unit="chrF points",
        low=0.0,
        high=100.0,
        description="corpus chrF2, character n-gram F-score of the translations (Popović 2015)",
        slices=("length",),
    ),
    MetricInfo(
        name="ece",
        higher_is_better=False,
        unit="share of tokens",
        low=0.0,
        high=1.0,
        description="expected calibration error of the likeliest token, 15 bins of equal width (Naeini et al. 2015),"
        " end marks aside (Kumar and Sarawagi 2019); theirs is [tag:end]",
        slices=("tag",),
    ),
    MetricInfo(
        name="forced_gap",
        higher_is_better=False,
        unit="share of sentences",
        low=-1.0,
        high=1.0,
        description="sentences whose every token is right given the gold prefix, minus those right in greedy decoding:"
        " 0 unless something leaks",
    ),
    MetricInfo(
        name="interference",
        higher_is_better=False,
        unit="share of tokens",
        low=-1.0,
        high=1.0,
        description="token accuracy lost to an alteration of the source, over target tokens whose own evidence it left"
        " untouched",
        needs=frozenset({"deps", "origin"}),
    ),
    MetricInfo(
        name="information_loss",
        higher_is_better=False,
        unit="share of tokens",
        low=-1.0,
        high=1.0,
        description="token accuracy lost to an alteration of the source, over target tokens whose own evidence it"
        " touched",
        needs=frozenset({"deps", "origin"}),
    ),
    MetricInfo(
        name="robustness",
        higher_is_better=True,
        unit="share of sentences",
        low=0.0,
        high=1.0,
        description="area under the curve of exact match against the share of altered words, from none to this split's,"
        " divided by that share",
        needs=frozenset({"origin"}),
    ),
    MetricInfo(
        name="relative_drop",
        higher_is_better=False,
        unit="share of the exact matches",
        low=-math.inf,
        high=1.0,
        description="share of the exact matches on the unaltered split that the alteration costs",
        needs=frozenset({"origin"}),
    ),
    MetricInfo(
        name="distractor_mass",
        higher_is_better=False,
        unit="share of attention",
        low=0.0,
        high=1.0,
        description="attention of the other tokens to junk source tokens, mean over queries, heads and layers of cross"
        " attention and encoder",
        needs=frozenset({"junk"}),
        sites=True,
    ),
    MetricInfo(
        name="attention_entropy",
        higher_is_better=False,
        unit="share of the largest possible",
        low=0.0,
        high=1.0,
        description="entropy of attention divided by that of equal attention to all allowed keys, mean over queries"
        " with at least two, heads and layers, then over sites",
        sites=True,
    ),
    MetricInfo(
        name="aer",
        higher_is_better=False,
        unit="share of links",
        low=0.0,
        high=1.0,
        description="alignment error rate of cross attention against the gold alignment, end marks aside, mean of the"
        " heads of the best layer (Och and Ney 2003)",
        needs=frozenset({"links"}),
    ),
    MetricInfo(
        name="effective_context",
        higher_is_better=True,
        unit="source tokens",
        low=0.0,
        high=math.inf,
        description="least distance from the source token with the greatest gradient within which a target token finds"
        " 95 % of its gradient's norm, first 64 sentences (after Chi et al. 2023)",
    ),
)
"""Every metric by name."""


class MetricName(NamedTuple):
    """A metric's name taken apart."""

    split: str
    masks: str | None
    """The arm under whose masks it is measured; None: the run's own."""
    metric: str
    part: str
    """The slice, such as `tag:gender`; empty: the whole split."""

    @property
    def info(self) -> MetricInfo:
        """What is known of the metric.

        Raises:
            KeyError: there is no such metric.
        """
        return METRICS[self.metric]

    @property
    def whole(self) -> MetricName:
        """The metric that this is a slice of."""
        return self._replace(part="")

    def __str__(self) -> str:
        under = f"@{self.masks}" if self.masks else ""
        return f"{self.split}{under}/{self.metric}" + (f"[{self.part}]" if self.part else "")


_NAME = re.compile(
    r"(?P<split>[^@/\[\]]+)(@(?P<masks>[^@/\[\]]+))?/(?P<metric>[^@/\[\]]+)(\[(?P<part>[^\[\]]+)\])?"
)


@cache
def metric_name(name: str) -> MetricName | None:
    """Take `"test@none/bleu[length:6-10]"` apart; None if it does not have the form `split[@arm]/metric[[slice]]`."""
    match = _NAME.fullmatch(name)
    return MetricName(match["split"], match["masks"], match["metric"], match["part"] or "") if match else None
