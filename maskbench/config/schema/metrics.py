"""What the program knows of a metric without computing it, and how metrics are named.

A metric in a file or a table is named `split/metric`, for instance `test/bleu`. `test@none/bleu` is the same under
the masks of the arm `none` instead of the run's own, and `test/token_accuracy[tag:gender]` is a slice of it.
`find_metric` returns a metric's direction, unit and limits. The classes stand in `maskbench.metrics`, one file a family.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from maskbench.errors import ConfigError
from maskbench.registry import METRICS

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


class MetricInfo:
    """What is known of a metric without computing it; `maskbench.metrics.base.Metric` adds the computation."""

    name: str = ""
    """As in `evaluate.metrics`; `find_metric` sets it."""
    higher_is_better: bool
    unit: str
    """What 1.0 of it is, such as `BLEU points`."""
    low: float = 0.0
    """The least value it can have."""
    high: float = math.inf
    """The greatest value it can have; infinity where there is none."""
    description: str
    """One line: what the number is."""
    source: str
    """The paper and year that defines it, or whose idea it is."""
    needs: frozenset[str] = frozenset()
    """What the corpus must know: any of "junk", "links", "deps", "tags". With "origin" it is measured only on splits
    that are altered copies of another."""
    slices: tuple[SliceKind, ...] = ()
    """What it can be told apart by; asked for by `evaluate.by`."""
    sites: bool = False
    """Whether it is also given for every attention site, as a slice such as `[site:cross]`."""
    sentence_numbers: int | None = None
    """How many numbers a sentence adds to the metric's sums; None: the metric is no function of such sums."""
    in_percent: bool | None = None
    """Whether tables multiply it by 100; None: if the greatest value is 1."""
    decimals: int | None = None
    """The fewest decimals in tables; None: one for percentages and for scores up to 100, three for the rest."""

    @property
    def factor(self) -> float:
        """What tables multiply a value by: 100 for percentages, else 1."""
        percent = self.high == 1 if self.in_percent is None else self.in_percent
        return 100.0 if percent else 1.0

    @property
    def least_decimals(self) -> int:
        """The fewest decimals in tables."""
        return (1 if self.high <= 100 else 3) if self.decimals is None else self.decimals

    @property
    def is_ratio(self) -> bool:
        """Whether it is the first of a sentence's numbers, summed, divided by the second, summed."""
        return self.sentence_numbers == 2 and type(self).score_counts is MetricInfo.score_counts

    def score_counts(self, counts: Any) -> Any:
        """Return the metric of sums over sentences, Float64[...], in its own unit; of no sentences 0.

        Args:
            counts: Float64[..., sentence_numbers].
        """
        import numpy as np

        return counts[..., 0] / np.maximum(counts[..., 1], 1)

    def score_sentences(self, counts: Any) -> Any:
        """Return the metric of every sentence alone, Float64[N], from Float64[N, sentence_numbers]."""
        return self.score_counts(counts)


class RecordedMetric(MetricInfo):
    """A metric of a plug-in that is not loaded, as the experiment directory describes it."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        """Read what `record_of` wrote.

        Raises:
            ValueError, TypeError, LookupError: it is damaged.
        """
        self.higher_is_better, self.sites = _boolean(record["higher_is_better"]), _boolean(record["sites"])
        self.unit, self.description, self.source = (
            str(record[key]) for key in ("unit", "description", "source")
        )
        self.low = -math.inf if record["low"] is None else float(record["low"])
        self.high = math.inf if record["high"] is None else float(record["high"])
        self.needs = frozenset(map(str, record["needs"]))
        self.slices = tuple(kind for kind in get_args(SliceKind) if kind in record["slices"])
        self.in_percent = None if record["in_percent"] is None else _boolean(record["in_percent"])
        self.decimals = None if record["decimals"] is None else int(record["decimals"])
        self.sentence_numbers = 2 if _boolean(record["is_ratio"]) else None


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} stands where true or false should")
    return value


def record_of(metric: MetricInfo) -> dict[str, Any]:
    """Return what `RecordedMetric` reads, as a JSON object.

    How sums over sentences become a value is code; it is recorded for ratios only, which need none.
    """
    low, high = (None if math.isinf(limit) else limit for limit in (metric.low, metric.high))
    return {
        "higher_is_better": metric.higher_is_better,
        "unit": metric.unit,
        "low": low,
        "high": high,
        "description": metric.description,
        "source": metric.source,
        "needs": sorted(metric.needs),
        "slices": list(metric.slices),
        "sites": metric.sites,
        "in_percent": metric.in_percent,
        "decimals": metric.decimals,
        "is_ratio": metric.is_ratio,
    }


RECORDS_FILE = "plugin-metrics.json"
"""Beside experiment.yaml where a plug-in's metric is measured: what `record_of` says of each, by name."""

_recorded: dict[str, RecordedMetric] = {}


def read_recorded_metrics(experiment_file: Path) -> None:
    """Make the plug-ins' metrics known that are recorded beside an experiment.yaml; nothing where none are.

    A comparison thus knows directions and units without the plug-in.

    Raises:
        ConfigError: the record is damaged, or another experiment has recorded a metric of the same name otherwise.
    """
    path = experiment_file.with_name(RECORDS_FILE)
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    try:
        add_recorded_metrics(json.loads(text))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise ConfigError(
            f"{path}, which describes the metrics of plug-ins, is damaged: {error}; "
            "`maskbench run` with the same --plugin writes it anew"
        ) from error


def add_recorded_metrics(records: Mapping[str, Any]) -> None:
    """Make metrics of plug-ins known by the records of an experiment directory; a loaded plug-in is preferred.

    Raises:
        ConfigError: another directory has recorded a metric of the same name otherwise.
        ValueError, TypeError, LookupError: a record is damaged.
    """
    for name, record in records.items():
        metric = RecordedMetric(record)
        metric.name = name
        known = _recorded.get(name)
        if known is not None and record_of(known) != record_of(metric):
            raise ConfigError(
                f"the metric {name!r} is described otherwise than in another experiment that was read before; "
                "read them one at a time"
            )
        _recorded[name] = metric


def record_plugin_metrics(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the records of those metrics that are not maskbench's own, by name."""
    return {
        name: record_of(find_metric(name))
        for name in sorted(set(names))
        if not type(find_metric(name)).__module__.startswith("maskbench.metrics.")
    }


def find_metric(name: str) -> MetricInfo:
    """Return the metric of that name: a registered one, or one that an experiment directory describes.

    Raises:
        KeyError: there is none.
    """
    return _instance(name, METRICS[name]) if name in METRICS else _recorded[name]


@cache
def _instance(name: str, cls: type[MetricInfo]) -> MetricInfo:
    metric = cls()
    metric.name = name
    return metric


def is_metric(name: str) -> bool:
    """Whether `find_metric` finds a metric of that name."""
    return name in METRICS or name in _recorded


def metric_names() -> list[str]:
    """Return the names of all metrics: the registered ones in their order, then the recorded ones."""
    return [*METRICS, *(name for name in _recorded if name not in METRICS)]


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
        return find_metric(self.metric)

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
