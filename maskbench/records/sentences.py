"""What runs kept of single sentences: reading it, and turning sums of it into scores.

A run's sentences/<split>.jsonl holds, for each metric that is made of parts, what every sentence adds
(`maskbench.metrics.sentences`). Sums over any choice of sentences give the metric of that choice.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from maskbench.config.schema.metrics import MetricName, metric_name
from maskbench.errors import MaskbenchError, RunDirectoryError
from maskbench.runs.directory import ExperimentDirectory, RunDirectory

Counts: TypeAlias = npt.NDArray[np.float64]
"""Float64[..., K]: what sentences, or sums of sentences, add to a metric."""

# Sums over sentences and over a whole split round differently.
_CLOSE = {"rel_tol": 1e-6, "abs_tol": 1e-9}
_BLEU_ORDER = 4
_CHRF_ORDER = 6
_WIDTHS = {
    "nll": 2,
    "token_accuracy": 2,
    "exact_match": 2,
    "bleu": 2 + 2 * _BLEU_ORDER,
    "chrf": 3 * _CHRF_ORDER,
}
"""Numbers that a sentence adds, by metric."""

MEANS = ("nll", "token_accuracy", "exact_match")
"""The metrics that are a ratio of two sums: what was counted, and of how many."""


def is_additive(name: MetricName) -> bool:
    """Whether a metric is made of what single sentences add; a slice's sentences are not told apart."""
    return name.metric in _WIDTHS and not name.part


def sentences_file_name(name: MetricName) -> str:
    """Return what the file of a metric's sentences is called by: `test`, or `test@none`."""
    return str(name.whole).partition("/")[0]


def counts_match_value(name: MetricName, counts: Counts, value: float) -> bool:
    """Whether sentences, Float64[N, K], give the metric of the whole."""
    return math.isclose(float(score_counts(name.metric, counts.sum(0))), value, **_CLOSE)


def read_counts(run: RunDirectory, name: MetricName) -> Counts | None:
    """Return what every sentence of a split adds to a metric, Float64[N, K]; None where the run did not keep that.

    Raises:
        RunDirectoryError: the file is damaged; the message says where.
        OSError: it cannot be read.
    """
    if not is_additive(name):
        return None
    file = run.sentences(sentences_file_name(name))
    rows = _rows(file.path.read_bytes() if file.path.exists() else b"")
    if rows is None:
        rows = file.read()
    if not rows or not all(name.metric in row for row in rows):
        return None
    try:
        counts = np.array([row[name.metric] for row in rows], dtype=np.float64)
        ids = [row["id"] for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise RunDirectoryError(f"{file.path} is damaged: {error}") from error
    if counts.shape != (len(rows), _WIDTHS[name.metric]) or not np.isfinite(counts).all():
        raise RunDirectoryError(
            f"{file.path} is damaged: {name.metric} should be {_WIDTHS[name.metric]} finite numbers a sentence"
        )
    if ids != list(range(len(rows))):
        raise RunDirectoryError(f"{file.path} is damaged: its ids should be 0 to {len(rows) - 1}, in order")
    return counts


class SentenceReader:
    """Reads what the runs of a table kept of a metric's sentences, each file once, and notes what cannot be used."""

    def __init__(self, directory: ExperimentDirectory, metric: str) -> None:
        """Prepare; nothing is read yet.

        Args:
            metric: the compared metric, as `split/metric`.

        Raises:
            ValueError: it does not have that form.
        """
        name = metric_name(metric)
        if name is None:
            raise ValueError(f"{metric} is not split/metric")
        self._directory, self._name = directory, name
        self._read: dict[tuple[str, int], Counts | None] = {}
        self.remarks: list[str] = []
        """A sentence for each file that is left out because something is wrong with it."""

    @property
    def metric(self) -> str:
        """The metric's name without its split."""
        return self._name.metric

    def paired(
        self, arm: str, baseline: str, values: Mapping[int, tuple[float, float]]
    ) -> tuple[Counts, Counts] | None:
        """Return the counts of both arms, Float64[S, N, K] each; None where a run of either kept none that fit.

        Args:
            values: by seed, in order, the metric of the arm's and of the baseline's finished run.
        """
        own = [self.counts(arm, seed, value) for seed, (value, _) in values.items()]
        others = [self.counts(baseline, seed, value) for seed, (_, value) in values.items()]
        kept = [counts for counts in (*own, *others) if counts is not None]
        if len(kept) < 2 * len(values) or len({counts.shape for counts in kept}) != 1:
            return None
        return np.stack(kept[: len(own)]), np.stack(kept[len(own) :])

    def counts(self, arm: str, seed: int, value: float) -> Counts | None:
        """Return `read_counts` of a finished run; None as well where it does not add up to `value`, the run's metric."""
        if (arm, seed) not in self._read:
            self._read[arm, seed] = self._checked(self._directory.run(arm, seed), value)
        return self._read[arm, seed]

    def _checked(self, run: RunDirectory, value: float) -> Counts | None:
        try:
            counts = read_counts(run, self._name)
        except (MaskbenchError, OSError) as error:
            self.remarks.append(f"the numbers of single sentences are left out: {error}")
            return None
        if counts is None or counts_match_value(self._name, counts, value):
            return counts
        self.remarks.append(
            f"the numbers of single sentences of {run.arm}, seed {run.seed}, are left out: "
            f"they do not add up to the run's {self._name}"
        )
        return None


def _rows(data: bytes) -> list[dict[str, Any]] | None:
    """Return all lines, parsed at once, which is four times as fast as one by one; None if that fails."""
    try:
        rows = json.loads(b"[" + data.rstrip(b"\n").replace(b"\n", b",") + b"]")
    except (ValueError, RecursionError):
        return None
    return rows if all(isinstance(row, dict) for row in rows) else None


def score_counts(metric: str, counts: Counts) -> npt.NDArray[np.float64]:
    """Return the metric of every entry, Float64[...], in the metric's own unit.

    For sums over a split that is the metric of the split, by sacreBLEU's formulas with its defaults (BLEU-4 with
    exponential smoothing, chrF2).
    """
    return _SCORES.get(metric, _ratio)(counts)


def score_sentences(metric: str, counts: Counts) -> npt.NDArray[np.float64]:
    """Return the metric of every sentence by itself, Float64[N].

    BLEU is taken over the lengths of n-grams that the translation has ("effective order"): else whatever has fewer
    than four words would be worth nothing.
    """
    return _bleu(counts, effective_order=True) if metric == "bleu" else score_counts(metric, counts)


def _ratio(counts: Counts) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = counts[..., 0] / np.maximum(counts[..., 1], 1)
    return values


def _bleu(counts: Counts, effective_order: bool = False) -> npt.NDArray[np.float64]:
    """Papineni et al. 2002, zero matches of an order counted as 1/2, those of the next as 1/4, and so on."""
    said, wanted = counts[..., 0], counts[..., 1]
    right, total = counts[..., 2 : 2 + _BLEU_ORDER], counts[..., 2 + _BLEU_ORDER :]
    there = total > 0
    halvings = np.cumsum((right == 0) & there, axis=-1)
    smoothed = np.where(right > 0, right, 0.5**halvings)
    logs = np.log(np.where(there, smoothed, 1.0) / np.where(there, total, 1.0))
    order = there.sum(-1) if effective_order else np.full(said.shape, _BLEU_ORDER)
    mean = logs.sum(-1) / np.maximum(order, 1)
    brevity = np.minimum(0.0, 1 - wanted / np.maximum(said, 1))
    some = (right > 0).any(-1) & (there.all(-1) | effective_order)
    return np.where(some, 100 * np.exp(mean + brevity), 0.0)


def _chrf(counts: Counts) -> npt.NDArray[np.float64]:
    """Popović 2015 with recall counting twice, over the orders that both texts have n-grams of."""
    said, wanted, right = (counts[..., part::3] for part in range(3))
    there = (said > 0) & (wanted > 0)
    order = np.maximum(there.sum(-1), 1)
    precision = (np.where(there, right, 0) / np.maximum(said, 1)).sum(-1) / order
    recall = (np.where(there, right, 0) / np.maximum(wanted, 1)).sum(-1) / order
    below = 4 * precision + recall
    return np.where(below > 0, 100 * 5 * precision * recall / np.where(below > 0, below, 1), 0.0)


_SCORES: dict[str, Callable[[Counts], npt.NDArray[np.float64]]] = {"bleu": _bleu, "chrf": _chrf}
