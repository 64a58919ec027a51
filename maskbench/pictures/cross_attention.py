"""The cross attention of a model over one sentence pair, and its picture with the words beside it."""

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
from maskbench.decoding import evaluation_mode
from maskbench.masks.clock import Clock
from maskbench.metrics.attention_statistics import attention_shares, watch_attention
from maskbench.model.transformer import EncoderDecoder
from maskbench.text import sanitize

_MAX_WORD_LENGTH = 16
"""Characters of a label; longer words are cut."""
_MAX_WORDS = 40
"""Rows and columns drawn; with more the picture is not readable."""
_CELL, _MARGIN = 0.24, 1.3
"""Inches."""


@dataclass(frozen=True, slots=True, eq=False)
class SentenceAttention:
    """Cross attention over one sentence pair: the last decoder layer, mean of its heads."""

    target_tokens: tuple[str, ...]
    """The reference's tokens, end mark included: row t is the query that predicts token t."""
    source_tokens: tuple[str, ...]
    """The source's tokens as the encoder reads them, end mark included."""
    weights: npt.NDArray[np.float64]
    """Float64[target tokens, source tokens]: shares of a row's attention; a row sums to 1, or to 0 where its query
    attends to nothing."""


def compute_cross_attention(
    model: EncoderDecoder, corpus: Corpus, split: str, sentence: int, clock: Clock
) -> SentenceAttention:
    """Return what the last decoder layer attends to in one sentence pair, heads averaged, under teacher forcing.

    Args:
        sentence: its index in the split.
        clock: of phase "eval"; the model's mask plan decides which masks act then.
    """
    batch = collate(corpus.splits[split], np.array([sentence], dtype=np.int64)).to(model.device)
    last_layer = model.config.decoder_layers - 1
    found: list[Tensor] = []

    def watch(site: str, layer: int, weights: Tensor, keep: Tensor) -> None:
        if site == "cross" and layer == last_layer:
            found.append(attention_shares(weights[0]).mean(0).cpu())

    with evaluation_mode(model):
        _, source = model.read(batch, clock)
        with watch_attention(model, watch):
            model.hidden(batch, clock)
    rows, columns = int(batch.tgt_lengths[0]), int(source.lengths[0])
    return SentenceAttention(
        target_tokens=tuple(map(corpus.vocabulary.token, batch.tgt_out[0, :rows].tolist())),
        source_tokens=tuple(map(corpus.vocabulary.token, source.ids[0, :columns].tolist())),
        weights=np.asarray(found[0][:rows, :columns], dtype=np.float64),
    )


def render_attention_png(attention: SentenceAttention) -> bytes:
    """Return a PNG file: target tokens are rows, source tokens are columns, darker cells have more attention."""
    from matplotlib.figure import Figure

    weights = attention.weights[:_MAX_WORDS, :_MAX_WORDS]
    rows, columns = weights.shape
    width, height = _CELL * columns + _MARGIN + 0.1, _CELL * rows + _MARGIN + 0.1
    figure = Figure(figsize=(width, height))
    sides = (_MARGIN / width, 0.1 / height, _CELL * columns / width, _CELL * rows / height)
    ax = figure.add_axes(sides)
    ax.imshow(weights, cmap="Blues", vmin=0.0, vmax=1.0, interpolation="nearest", aspect="auto")
    ax.set_xticks(range(columns), _labels(attention.source_tokens), rotation=90, fontsize=8)
    ax.set_yticks(range(rows), _labels(attention.target_tokens), fontsize=8)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # matplotlib warns about letters that the font lacks and draws boxes for them.
        warnings.simplefilter("ignore")
        figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    return buffer.getvalue()


def _labels(tokens: Sequence[str]) -> list[str]:
    words = [sanitize(token) for token in tokens[:_MAX_WORDS]]
    cut = [w if len(w) <= _MAX_WORD_LENGTH else f"{w[: _MAX_WORD_LENGTH - 1]}…" for w in words]
    # An unescaped dollar sign starts a formula in matplotlib.
    return [word.replace("$", r"\$") for word in cut]
