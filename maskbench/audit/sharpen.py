"""Models whose attention scores are as large as a trained model's may become, and larger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from maskbench.audit.subject import Case
from maskbench.model.attention import CrossAttention, SelfAttention
from maskbench.model.transformer import EncoderDecoder

FACTOR = 1000.0
"""Multiplies queries and keys each: scores of 0.1 become 100,000."""


@torch.no_grad()
def sharpened(case: Case) -> tuple[EncoderDecoder, float]:
    """Return the case's model with larger scores everywhere, and the largest score on its batch."""
    model = case.build()
    for module in model.modules():
        if isinstance(module, SelfAttention):
            module.qkv.weight[: 2 * module.qkv.in_features] *= FACTOR
        elif isinstance(module, CrossAttention):
            module.query.weight *= FACTOR
            module.key_value.weight[: module.key_value.in_features] *= FACTOR
    with _largest_score(model) as seen:
        case.logits(model, case.batch, case.subject.train)
    return model, max(seen)


@contextmanager
def _largest_score(model: EncoderDecoder) -> Iterator[list[float]]:
    """Inside, the largest scaled score of every self-attention is noted, from the queries and keys it computes."""
    seen: list[float] = []

    def note(layer: SelfAttention) -> Callable[[nn.Module, object, Tensor], None]:
        def noted(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            batch, length, _ = output.shape
            query, key, _value = output.float().view(batch, length, 3, layer.n_heads, -1).unbind(2)
            scores = torch.einsum("bihd,bjhd->bhij", query, key) / query.shape[-1] ** 0.5
            seen.append(float(scores.abs().max()))

        return noted

    layers = [m for m in model.modules() if isinstance(m, SelfAttention)]
    handles = [layer.qkv.register_forward_hook(note(layer)) for layer in layers]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
