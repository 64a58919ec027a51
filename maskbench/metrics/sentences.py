"""What every sentence adds to a metric, for the metrics that are made of such parts.

The entry of a sentence is what the metric counts of it, so that the sum over any sentences, a resampled test set for
one, gives the metric of those sentences without another pass over the data: a mean over tokens is the first number
divided by the second, BLEU and chrF come from sacreBLEU's counts of n-grams.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from maskbench.metrics.model_outputs import ModelOutputs
from maskbench.metrics.translation import exact_matches, text_statistics

Parts: TypeAlias = list[list[Any]]
"""An entry for every sentence of a split, all of one length."""


def _per_token(values: npt.NDArray[Any], starts: npt.NDArray[np.int64]) -> Parts:
    """Return sums over sentences that begin at `starts`, each with its number of tokens."""
    lengths = np.diff(starts)
    sums = np.add.reduceat(values, starts[:-1]) if len(lengths) else values[:0]
    return [list(entry) for entry in zip(sums.tolist(), lengths.tolist(), strict=True)]


def _nll(outputs: ModelOutputs, split: str) -> Parts:
    return _per_token(outputs.teacher_forced(split).nll, outputs.split(split).tgt.offsets)


def _token_accuracy(outputs: ModelOutputs, split: str) -> Parts:
    return _per_token(
        outputs.teacher_forced(split).correct.astype(np.int64), outputs.split(split).tgt.offsets
    )


def _exact_match(outputs: ModelOutputs, split: str) -> Parts:
    said = outputs.translations(split)
    return [[int(match), 1] for match in exact_matches(said.hypotheses, said.references, outputs.lowercase)]


def _counts_of(metric: str) -> Callable[[ModelOutputs, str], Parts]:
    def counts(outputs: ModelOutputs, split: str) -> Parts:
        said = outputs.translations(split)
        return text_statistics(said.hypotheses, said.references, metric, outputs.lowercase)

    return counts


ADDITIVE: dict[str, Callable[[ModelOutputs, str], Parts]] = {
    "nll": _nll,
    "token_accuracy": _token_accuracy,
    "exact_match": _exact_match,
    "bleu": _counts_of("bleu"),
    "chrf": _counts_of("chrf"),
}
"""How a sentence's entry of each metric is computed:

- `nll`: the sum over its tokens in nats, and their number.
- `token_accuracy`: its tokens that are ranked first, and their number.
- `exact_match`: 1 if the translation is the reference and 0 if not, and 1.
- `bleu`: tokens of the translation and of the reference, matching n-grams and n-grams of the translation, n = 1..4.
- `chrf`: for n = 1..6, n-grams of characters in the translation, in the reference, and in both.
"""


def sentence_parts(outputs: ModelOutputs, split: str, metrics: Iterable[str]) -> list[dict[str, Any]]:
    """Return an entry for each sentence of a split, in its order: `{"id": 3, "nll": [7.25, 6], ...}`.

    The metrics that are no sum over sentences are left out; none of the others takes a pass that computing it did not
    take. Empty if no metric is left.
    """
    wanted = set(metrics)
    parts = {name: entries(outputs, split) for name, entries in ADDITIVE.items() if name in wanted}
    if not parts:
        return []
    return [
        {"id": i, **{name: entries[i] for name, entries in parts.items()}}
        for i in range(len(outputs.split(split)))
    ]
