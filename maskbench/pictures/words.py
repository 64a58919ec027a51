"""What a trained model attends to in one sentence, as a picture with the words beside it."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from maskbench.data.batches import collate
from maskbench.data.corpus import Corpus
from maskbench.decoding import evaluating
from maskbench.masks.clock import Clock
from maskbench.metrics.attended import shares, watching
from maskbench.model.transformer import EncoderDecoder
from maskbench.plain import plain

_LONGEST_WORD = 16
_MOST_WORDS = 40
"""More rows or columns than this nobody reads."""
_CELL, _MARGIN = 0.24, 1.3
"""Inches."""


@dataclass(frozen=True, eq=False)
class Attention:
    """Who looks where in one pair of sentences."""

    weights: npt.NDArray[np.float64]
    """[target tokens, source tokens]: how the query that predicts a target token shares out its attention; every row
    sums to 1, or to 0 where it attends to nothing."""
    predicted: tuple[str, ...]
    """The target tokens, end mark included."""
    read: tuple[str, ...]
    """The source tokens as the model reads them."""


def cross_attention(model: EncoderDecoder, corpus: Corpus, split: str, clock: Clock) -> Attention:
    """Return what the last decoder layer attends to in the first pair of a split, heads averaged, under teacher forcing.

    Args:
        clock: of phase "eval"; the plan decides which masks act then.
    """
    batch = collate(corpus.splits[split], np.zeros(1, dtype=np.int64)).to(model.device)
    seen: list[Tensor] = []

    def watch(site: str, layer: int, weights: Tensor, keep: Tensor) -> None:
        if site == "cross" and layer == model.config.decoder_layers - 1:
            seen.append(shares(weights[0]).mean(0).cpu())

    with evaluating(model):
        _, source = model.read(batch, clock)
        with watching(model, watch):
            model.hidden(batch, clock)
    token = corpus.vocabulary.token
    rows, columns = int(batch.tgt_lengths[0]), int(source.lengths[0])
    return Attention(
        weights=np.asarray(seen[0][:rows, :columns], dtype=np.float64),
        predicted=tuple(map(token, batch.tgt_out[0, :rows].tolist())),
        read=tuple(map(token, source.ids[0, :columns].tolist())),
    )


def png_of(seen: Attention) -> bytes:
    """Return the picture as the bytes of a PNG file: target words go down, source words across, dark is much."""
    from matplotlib.figure import Figure

    shown = seen.weights[:_MOST_WORDS, :_MOST_WORDS]
    rows, columns = shown.shape
    width, height = _CELL * columns + _MARGIN + 0.1, _CELL * rows + _MARGIN + 0.1
    figure = Figure(figsize=(width, height))
    sides = (_MARGIN / width, 0.1 / height, _CELL * columns / width, _CELL * rows / height)
    ax = figure.add_axes(sides)
    ax.imshow(shown, cmap="Blues", vmin=0.0, vmax=1.0, interpolation="nearest", aspect="auto")
    ax.set_xticks(range(columns), _labels(seen.read), rotation=90, fontsize=8)
    ax.set_yticks(range(rows), _labels(seen.predicted), fontsize=8)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # Of letters the font lacks: they are drawn as boxes, and there is nothing to be done about it.
        warnings.simplefilter("ignore")
        figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    return buffer.getvalue()


def _labels(words: Sequence[str]) -> list[str]:
    cut = (w if len(w) <= _LONGEST_WORD else f"{w[: _LONGEST_WORD - 1]}…" for w in map(plain, words))
    # A dollar sign would begin mathematics.
    return [word.replace("$", r"\$") for word in cut][:_MOST_WORDS]
