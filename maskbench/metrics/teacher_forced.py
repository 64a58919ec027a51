"""How well the model predicts each gold target token, given the gold ones before it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from maskbench.data.batches import Batch, collate, evaluation_batches
from maskbench.data.corpus import Corpus
from maskbench.decoding import evaluating
from maskbench.masks.clock import Clock
from maskbench.model.transformer import EncoderDecoder

BATCH_TOKENS = 4096
"""Padded tokens of an evaluation batch."""


def teacher_forced(
    model: EncoderDecoder, corpus: Corpus, split: str, clock: Clock, batch_tokens: int = BATCH_TOKENS
) -> dict[str, float]:
    """Return `nll` and `token_accuracy` of a split.

    Both count every real target token, the end mark included. `nll` is in nats per token, without label smoothing and
    without logit masks (gates on the scores are part of the model and act); `token_accuracy` is the share of tokens that are ranked first.

    Args:
        clock: of phase "eval"; the plan decides which masks act then.
    """
    data = corpus.splits[split]
    nll, correct, n_tokens = 0.0, 0, 0
    with evaluating(model):
        for ids in evaluation_batches(data, batch_tokens):
            batch = collate(data, ids).to(model.device)
            columns = torch.arange(batch.tgt_out.shape[1], device=model.device)
            real = columns < batch.tgt_lengths[:, None]
            gold = batch.tgt_out[real]
            logits = _scores(model, batch, clock, real)
            logits = logits.float() if logits.dtype.itemsize < 4 else logits
            # Summed in float64: a split has more tokens than float32 can count the nats of.
            nll += F.cross_entropy(logits, gold, reduction="none").double().sum().item()
            correct += int((logits.argmax(-1) == gold).sum())
            n_tokens += len(gold)
    return {"nll": nll / n_tokens, "token_accuracy": correct / n_tokens}


def _scores(model: EncoderDecoder, batch: Batch, clock: Clock, real: Tensor) -> Float[Tensor, "rows vocab"]:
    """Return the vocabulary scores of the real tokens."""
    hidden = model.hidden(batch, clock)
    if model.masks.is_empty("logits"):
        return model.logits(hidden[real])
    return model.masks.gated_logits(model.logits(hidden), clock, batch.ids)[real]
