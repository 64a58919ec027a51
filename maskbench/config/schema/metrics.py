"""Metadata of metrics (direction, unit, limits), and the syntax of their names.

A metric in a file or a table is named `split/metric`, for instance `test/bleu`. `test@none/bleu` is the same
under the masks of the arm `none` instead of the run's own, and `test/token_accuracy[tag:gender]` is a slice
of it. `find_metric` returns a metric's metadata. The classes that compute metrics are in `maskbench.metrics`,
one file per family.
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
"""How a split is sliced: by the tag of each target token, by the length of the source, or by the distance
between the source words that a target token depends on."""

LENGTHS: tuple[tuple[int, float], ...] = ((1, 5), (6, 10), (11, 20), (21, math.inf))
"""The bins of source length in tokens without the end mark; both limits are included."""
DISTANCES: tuple[tuple[int, float], ...] = (
    *((d, d) for d in range(1, 11)),
    *((11, 15), (16, math.inf)),
)
"""The bins of the distance between the first and the last source token that a target token depends on."""


def bin_name(limits: tuple[int, float]) -> str:
    """Return the name of a bin: `7`, `6-10` or `21+`."""
    low, high = limits
    if high == math.inf:
        return f"{low}+"
    return f"{low}" if low == high else f"{low}-{high:g}"


class MetricInfo:
    """The metadata of a metric; `maskbench.metrics.base.Metric` adds the computation."""

    name: str = ""
    """The name in `evaluate.metrics`; `find_metric` sets it."""
    higher_is_better: bool
    unit: str
    """Unit of the value, such as `BLEU points`."""
    low: float = 0.0
    """Smallest possible value."""
    high: float = math.inf
    """Largest possible value; infinity if there is none."""
    description: str
    """What the number measures, in one line."""
    source: str
    """Paper and year of the definition, or the author of the idea."""
    needs: frozenset[str] = frozenset()
    """Annotations the corpus must have, any of "junk", "links", "deps", "tags". "origin": the metric is
    measured only on splits that are altered copies of another."""
    slices: tuple[SliceKind, ...] = ()
    """Kinds of slices it can be computed on; `evaluate.by` selects them."""
    sites: bool = False
    """Whether it also has a value for every attention site, as a slice such as `[site:cross]`."""
    sentence_numbers: int | None = None
    """Count of numbers that each sentence adds to the metric's sums; None: the metric is no function of such
    sums."""
    in_percent: bool | None = None
    """Whether tables multiply it by 100; None: they do if `high` is 1."""
    decimals: int | None = None
    """Fewest decimals in tables; None: 1 if `high` is at most 100, otherwise 3."""

    @property
    def factor(self) -> float:
        """The factor by which tables multiply a value: 100 for percentages, else 1."""
        percent = self.high == 1 if self.in_percent is None else self.in_percent
        return 100.0 if percent else 1.0

    @property
    def least_decimals(self) -> int:
        """The fewest decimals in tables."""
        return (1 if self.high <= 100 else 3) if self.decimals is None else self.decimals

    @property
    def is_ratio(self) -> bool:
        """Whether it is the sum of the sentences' first numbers over the sum of their second numbers."""
        return self.sentence_numbers == 2 and type(self).score_counts is MetricInfo.score_counts

    def score_counts(self, counts: Any) -> Any:
        """Return the metric from sums over sentences, Float64[...], in its own unit; 0 without sentences.

        Args:
            counts: Float64[..., sentence_numbers].
        """
        import numpy as np

        return counts[..., 0] / np.maximum(counts[..., 1], 1)

    def score_sentences(self, counts: Any) -> Any:
        """Return the metric of every single sentence, Float64[N], from Float64[N, sentence_numbers]."""
        return self.score_counts(counts)


class RecordedMetric(MetricInfo):
    """The metadata of a metric whose plug-in is not loaded, read from the experiment directory."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        """Read a record that `record_of` wrote.

        Raises:
            ValueError, TypeError, LookupError: the record is damaged.
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
    """Return a metric's metadata as a JSON object that `RecordedMetric` reads.

    A value is computed from sums by code, which cannot be recorded. `is_ratio` marks the metrics that need
    none.
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
"""File beside experiment.yaml, present if a plug-in's metric is measured: the result of `record_of` by metric
name."""

_recorded: dict[str, RecordedMetric] = {}


def read_recorded_metrics(experiment_file: Path) -> None:
    """Register the plug-in metrics recorded beside an experiment.yaml; do nothing if there are none.

    So a comparison has directions and units without the plug-in.

    Raises:
        ConfigError: the record is damaged, or another experiment recorded a different metric of the same
            name.
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
    """Register plug-in metrics from records of an experiment directory; loaded plug-ins take precedence.

    Raises:
        ConfigError: another directory recorded a different metric of the same name.
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
    """Return the records of the named metrics that plug-ins define, by name."""
    return {
        name: record_of(find_metric(name))
        for name in sorted(set(names))
        if not type(find_metric(name)).__module__.startswith("maskbench.metrics.")
    }


def find_metric(name: str) -> MetricInfo:
    """Return the metric of that name: a registered one, else a recorded one.

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
    """The parts of a metric's name."""

    split: str
    masks: str | None
    """The arm whose masks are used; None: the run's own masks."""
    metric: str
    part: str
    """The slice, such as `tag:gender`; empty for the whole split."""

    @property
    def info(self) -> MetricInfo:
        """The metadata of the metric.

        Raises:
            KeyError: there is no such metric.
        """
        return find_metric(self.metric)

    @property
    def whole(self) -> MetricName:
        """The same name without the slice."""
        return self._replace(part="")

    def __str__(self) -> str:
        under = f"@{self.masks}" if self.masks else ""
        return f"{self.split}{under}/{self.metric}" + (f"[{self.part}]" if self.part else "")


_NAME = re.compile(
    r"(?P<split>[^@/\[\]]+)(@(?P<masks>[^@/\[\]]+))?/(?P<metric>[^@/\[\]]+)(\[(?P<part>[^\[\]]+)\])?"
)


@cache
def metric_name(name: str) -> MetricName | None:
    """Parse a name such as `test@none/bleu[length:6-10]`; None if it is not `split[@arm]/metric[[slice]]`."""
    match = _NAME.fullmatch(name)
    return MetricName(match["split"], match["masks"], match["metric"], match["part"] or "") if match else None
