"""Teacher-forced scores: predictions of each gold target token, given the gold tokens before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from maskbench.data.batches import Batch, collate, plan_evaluation_batches
from maskbench.data.corpus import Split
from maskbench.data.padding import real_tokens
from maskbench.data.vocabulary import UNK
from maskbench.decoding import evaluation_mode
from maskbench.masks.clock import Clock
from maskbench.model.transformer import EncoderDecoder

BATCH_TOKENS = 4096
"""Maximal number of tokens of an evaluation batch, padding included."""


@dataclass(frozen=True, slots=True, eq=False)
class TeacherForcedScores:
    """The model's scores of N gold target tokens, end marks included, sentence after sentence."""

    gold: npt.NDArray[np.int64]
    """Int64[N]: ids of the gold tokens."""
    predicted: npt.NDArray[np.int64]
    """Int64[N]: ids of the tokens ranked first."""
    nll: npt.NDArray[np.float64]
    """Float64[N]: negative log-likelihood of the gold tokens, in nats."""
    confidence: npt.NDArray[np.float64]
    """Float64[N]: probability of the tokens ranked first, 0 to 1."""

    @property
    def is_unknown(self) -> npt.NDArray[np.bool_]:
        """Bool[N]: True where the gold token is the mark for words that the vocabulary does not have."""
        return np.equal(self.gold, UNK)

    @property
    def gold_first(self) -> npt.NDArray[np.bool_]:
        """Bool[N]: True where the gold token, which may be the mark for unknown words, is ranked first."""
        return np.equal(self.predicted, self.gold)

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Bool[N]: True where the gold token is ranked first and is a word of the vocabulary or the end mark.

        A model that predicts the mark for unknown words has not said the word that stands there.
        """
        return self.gold_first & ~self.is_unknown

    def select(self, where: npt.NDArray[np.bool_]) -> TeacherForcedScores:
        """Return the scores of the tokens where `where`, Bool[N], is True."""
        return TeacherForcedScores(
            self.gold[where], self.predicted[where], self.nll[where], self.confidence[where]
        )


def score_teacher_forced(
    model: EncoderDecoder,
    data: Split,
    clock: Clock,
    batch_tokens: int = BATCH_TOKENS,
    *,
    only: npt.NDArray[np.int64] | None = None,
) -> TeacherForcedScores:
    """Return the model's scores of every target token of a split, each given the gold tokens before it.

    Without label smoothing and logit masks; gates on the scores are part of the model and are applied.

    Args:
        clock: of phase "eval"; the plan decides which masks act then.
        only: score just these sentences, Int64[M], as one batch; None: all.
    """
    n = len(data.tgt.values)
    found = TeacherForcedScores(
        data.tgt.values.astype(np.int64), np.empty(n, np.int64), np.empty(n), np.empty(n)
    )
    with evaluation_mode(model):
        for ids in plan_evaluation_batches(data, batch_tokens) if only is None else [only]:
            batch = collate(data, ids).to(model.device)
            real = real_tokens(batch.tgt_lengths, batch.tgt_out.shape[1])
            logits = _scores(model, batch, clock, real)
            logits = logits.float() if logits.dtype.itemsize < 4 else logits
            starts, lengths = data.tgt.offsets[ids], data.tgt.lengths[ids]
            places = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())
            # NumPy's argmax takes a seventh of the time of torch's on a CPU; both return the first of equal scores.
            found.predicted[places] = logits.cpu().numpy().argmax(-1)
            found.nll[places] = F.cross_entropy(logits, batch.tgt_out[real], reduction="none").cpu().numpy()
            found.confidence[places] = logits.softmax(-1).amax(-1).cpu().numpy()
    if only is None:
        return found
    asked = np.zeros(n, dtype=np.bool_)
    for sentence in only:
        asked[data.tgt.offsets[sentence] : data.tgt.offsets[sentence + 1]] = True
    return found.select(asked)


def _scores(model: EncoderDecoder, batch: Batch, clock: Clock, real: Tensor) -> Float[Tensor, "rows vocab"]:
    """Return the vocabulary scores of the real tokens, before the softmax."""
    hidden = model.hidden(batch, clock)
    if model.masks.is_empty("logits"):
        return model.logits(hidden[real])
    return model.masks.gate_logits(model.logits(hidden), clock, batch.ids)[real]
