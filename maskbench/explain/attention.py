"""Where the last decoder layer of a finished run looks while it predicts a reference, word by word."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from maskbench.config.schema.experiment import RunConfig
from maskbench.data.batches import collate
from maskbench.data.corpus import Corpus
from maskbench.decoding import evaluating
from maskbench.errors import RunDirectoryError
from maskbench.masks.clock import Clock
from maskbench.metrics.attended import shares, watching
from maskbench.model.lent import lent_plans, under
from maskbench.model.transformer import EncoderDecoder, build_model
from maskbench.runs.checkpoint import best
from maskbench.runs.directory import RunDirectory
from maskbench.training.stalls import Stalls, averaged_weights


@dataclass(frozen=True, slots=True, eq=False)
class Attention:
    """Cross attention over one sentence."""

    words: tuple[str, ...]
    """The reference's tokens, end mark included: row t is the query that predicts token t."""
    sources: tuple[str, ...]
    """The source's tokens as the encoder reads them, end mark included."""
    weights: npt.NDArray[np.float64]
    """Float64[words, sources]: shares of a row's attention, the mean of the heads of the last decoder layer."""


def finished_model(run: RunDirectory, config: RunConfig, corpus: Corpus) -> tuple[EncoderDecoder, Clock]:
    """Return the model that a finished run was measured with, and where its schedules stood.

    Raises:
        RunDirectoryError: the run is not finished, or its checkpoints are gone or damaged.
    """
    result, logged = run.result(), run.metrics.read()
    if result is None or not logged:
        raise RunDirectoryError(f"{run.path} is not finished")
    model = build_model(config, corpus, run.seed)
    averaged = result.get("averaged_steps") or []
    best(run.checkpoints).load_into(model)
    if averaged:
        model.load_state_dict(averaged_weights(run.checkpoints, averaged), strict=True)
    total = int(logged[-1]["step"])
    return model, Clock.evaluation(total, total, Stalls(config.train.select, logged).by(total))


def cross_attention(
    run: RunDirectory, config: RunConfig, corpus: Corpus, split: str, sentence: int, masks: str | None = None
) -> Attention:
    """Return what a run's model attends to in one sentence, under teacher forcing, so that any two runs can be compared.

    Args:
        sentence: its place in the split.
        masks: the arm whose masks are lent to the model; None: its own.

    Raises:
        RunDirectoryError: the model cannot be loaded.
    """
    model, clock = finished_model(run, config, corpus)
    lent = None if masks is None else lent_plans(config, corpus, run.seed)[masks]
    data = corpus.splits[split]
    batch = collate(data, np.array([sentence], dtype=np.int64))
    watcher = _LastLayer()
    with evaluating(model), nullcontext() if lent is None else under(model, lent), watching(model, watcher):
        _, source = model.read(batch, clock)
        model.hidden(batch, clock)
    vocabulary, length = corpus.vocabulary, int(source.lengths[0])
    return Attention(
        words=tuple(vocabulary.token(token) for token in data.tgt[sentence].tolist()),
        sources=tuple(vocabulary.token(token) for token in source.ids[0, :length].tolist()),
        weights=watcher.weights[: len(data.tgt[sentence]), :length],
    )


class _LastLayer:
    """Keeps what the last decoder layer to run looks at, heads averaged."""

    def __init__(self) -> None:
        self.weights: npt.NDArray[np.float64] = np.zeros((0, 0))

    def __call__(self, site: str, layer: int, weights: Tensor, keep: Tensor) -> None:
        if site == "cross":
            self.weights = shares(weights[0]).mean(0).cpu().numpy()
