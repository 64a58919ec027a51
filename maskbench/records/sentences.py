"""Reads the sentence counts that runs recorded, and computes metrics from sums of them.

A run's sentences/<split>.jsonl holds, for each metric that is a function of sums, each sentence's
contribution (`maskbench.metrics.measure.count_sentences`). The sums over any subset of sentences give that
subset's metric.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from maskbench.config.schema.metrics import MetricName, find_metric, is_metric, metric_name
from maskbench.errors import MaskbenchError, RunDirectoryError
from maskbench.runs.directory import ExperimentDirectory, RunDirectory

Counts: TypeAlias = npt.NDArray[np.float64]
"""Float64[..., K]: contributions of sentences, or of sums of sentences, to a metric."""

# Sums over sentences and over a whole split round differently.
_CLOSE = {"rel_tol": 1e-6, "abs_tol": 1e-9}


def is_additive(name: MetricName) -> bool:
    """Whether a metric is a function of sums over sentences; False for a slice of a split."""
    return not name.part and is_metric(name.metric) and name.info.sentence_numbers is not None


def sentences_file_name(name: MetricName) -> str:
    """Return the stem of the file with a metric's sentence counts: `test`, or `test@none`."""
    return str(name.whole).partition("/")[0]


def counts_match_value(name: MetricName, counts: Counts, value: float) -> bool:
    """Whether the sums of the counts, Float64[N, K], give the metric's value on the whole split."""
    return math.isclose(float(score_counts(name.metric, counts.sum(0))), value, **_CLOSE)


def read_counts(run: RunDirectory, name: MetricName) -> Counts | None:
    """Return each sentence's counts for a metric, Float64[N, K]; None if the run did not record them.

    Raises:
        RunDirectoryError: the file is damaged; the message names the damage.
        OSError: the file cannot be read.
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
    if counts.shape != (len(rows), name.info.sentence_numbers) or not np.isfinite(counts).all():
        raise RunDirectoryError(
            f"{file.path} is damaged: {name.metric} should be {name.info.sentence_numbers} finite numbers a sentence"
        )
    if ids != list(range(len(rows))):
        raise RunDirectoryError(f"{file.path} is damaged: its ids should be 0 to {len(rows) - 1}, in order")
    return counts


class SentenceReader:
    """Reads the sentence counts of a table's runs, each file once; unusable files become remarks."""

    def __init__(self, directory: ExperimentDirectory, metric: str) -> None:
        """Set the directory and the metric; no file is read yet.

        Args:
            metric: the compared metric, as `split/metric`.

        Raises:
            ValueError: `metric` does not have that form.
        """
        name = metric_name(metric)
        if name is None:
            raise ValueError(f"{metric} is not split/metric")
        self._directory, self._name = directory, name
        self._read: dict[tuple[str, int], Counts | None] = {}
        self.remarks: list[str] = []
        """One sentence for each file that is left out because it is damaged."""

    @property
    def metric(self) -> str:
        """The metric's name without its split."""
        return self._name.metric

    def paired(
        self, arm: str, baseline: str, values: Mapping[int, tuple[float, float]]
    ) -> tuple[Counts, Counts] | None:
        """Return the counts of both arms, Float64[S, N, K] each; None if a run has no usable counts.

        Args:
            values: seed -> metric of the arm's and of the baseline's finished run, in the order of S.
        """
        own = [self.counts(arm, seed, value) for seed, (value, _) in values.items()]
        others = [self.counts(baseline, seed, value) for seed, (_, value) in values.items()]
        kept = [counts for counts in (*own, *others) if counts is not None]
        if len(kept) < 2 * len(values) or len({counts.shape for counts in kept}) != 1:
            return None
        return np.stack(kept[: len(own)]), np.stack(kept[len(own) :])

    def counts(self, arm: str, seed: int, value: float) -> Counts | None:
        """Return a finished run's counts; None if there are none or they do not give `value`, its metric."""
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
    """Return all lines, parsed in one call (four times as fast as line by line); None if that fails."""
    try:
        rows = json.loads(b"[" + data.rstrip(b"\n").replace(b"\n", b",") + b"]")
    except (ValueError, RecursionError):
        return None
    return rows if all(isinstance(row, dict) for row in rows) else None


def score_counts(metric: str, counts: Counts) -> npt.NDArray[np.float64]:
    """Return the metric of every entry, Float64[...], in its unit; sums over a split give the split's."""
    values: npt.NDArray[np.float64] = find_metric(metric).score_counts(counts)
    return values


def score_sentences(metric: str, counts: Counts) -> npt.NDArray[np.float64]:
    """Return the metric of each single sentence, Float64[N]."""
    values: npt.NDArray[np.float64] = find_metric(metric).score_sentences(counts)
    return values
