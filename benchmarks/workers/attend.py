"""Worker: one self-attention layer, forward and backward, with the product's masks or with torch's own attention."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from protocol import peak, reset_peak, resident, serve, timed
from torch import Tensor

from maskbench.config.schema.experiment import ModelConfig, PlacementConfig
from maskbench.masks.clock import Clock
from maskbench.masks.context import Annotations, Sizes, SourceBatch
from maskbench.masks.plan import MaskPlan
from maskbench.model import EncoderDecoder
from maskbench.model.attention import SelfAttention, merge_heads
from maskbench.model.initialise import initialise
from maskbench.training.environment import keep_freed_memory

D_MODEL, HEADS, RADIUS = 256, 8, 32


def prepare(threads: int, as_in_a_run: bool) -> None:
    """Set the threads; `as_in_a_run`: let the allocator keep freed memory, as training does."""
    torch.set_num_threads(threads)
    if as_in_a_run:
        keep_freed_memory()
    # Libraries that load at the first product must not count as the memory of a case.
    _Layer("dense", 16, 1, 0.1)()
    _Layer("sdpa", 16, 1, 0.0)()


def iterate(case: str, length: int, batch: int, dropout: float, count: int) -> dict[str, Any]:
    """Run a case some times; return the seconds."""
    layer = _Layer(case, length, batch, dropout)
    if case in ("window-32", "no-mask"):
        # Training derives the blocks of a mask once for thousands of steps.
        layer.prepare()
    answer: dict[str, Any] = {}
    with timed(answer):
        for _ in range(count):
            layer()
    return answer


def memory(case: str, length: int, batch: int, dropout: float) -> int:
    """Run a case once in a fork of this process; return its peak memory above the start, in bytes."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            layer = _Layer(case, length, batch, dropout)
            reset_peak()
            start = resident()
            layer()
            os.write(write, str(peak() - start).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        found = answer.read()
    os.waitpid(child, 0)
    if not found:
        raise MemoryError(f"{case} at length {length} did not end: not enough memory")
    return int(found)


class _Layer:
    """A layer and its input, without padding; a call is one forward and backward pass."""

    def __init__(self, case: str, length: int, batch: int, dropout: float) -> None:
        masks = [_window()] if case == "window-32" else []
        # Checkouts from before there were other paths compute everything densely, and do not know the key.
        dense = case == "dense" and "attention" in ModelConfig.model_fields
        self._model = _model(masks, length, dropout, {"attention": "dense"} if dense else {})
        self._attention: SelfAttention = self._model.encoder.layers[0].self_attention
        self._x = torch.randn(batch, length, D_MODEL, requires_grad=True)
        self._gradient = torch.randn(batch, length, D_MODEL)
        self._dropout = dropout
        self._run: Callable[[], Tensor] = self._torch if case.startswith("sdpa") else self._product
        self._mask = None
        if case == "sdpa-window":
            at = torch.arange(length)
            self._mask = (at - at[:, None]).abs() <= RADIUS
        self._source = _source(batch, length)

    def __call__(self) -> None:
        torch.autograd.backward(self._run(), self._gradient)
        for parameter in (self._x, *self._attention.parameters()):
            parameter.grad = None

    def prepare(self) -> None:
        """Compute the blocks that later calls keep."""
        with torch.no_grad():
            self._run()

    def _product(self) -> Tensor:
        here = torch.arange(self._x.shape[1])
        clock = Clock("train", 0, 100)
        scene = self._model._scene("encoder_self", here, here, self._source, None, clock)
        out: Tensor = self._attention(self._x, scene, 0)
        return out

    def _torch(self) -> Tensor:
        query, key, value = self._attention.qkv.heads(self._x, HEADS)
        context = F.scaled_dot_product_attention(
            query, key, value, attn_mask=self._mask, dropout_p=self._dropout
        )
        return merge_heads(context, self._attention.output)


def _window() -> PlacementConfig:
    return PlacementConfig(site="encoder_self", mask="window", options={"radius": RADIUS})


def _source(batch: int, length: int) -> SourceBatch:
    ids = torch.full((batch, length), 5)
    lengths = torch.full((batch,), length)
    return SourceBatch(ids, lengths, torch.arange(batch), Annotations())


def _model(
    masks: list[PlacementConfig], length: int, dropout: float, further: dict[str, Any]
) -> EncoderDecoder:
    layers = {"encoder_layers": 1, "decoder_layers": 1}
    sizes = {"d_model": D_MODEL, "n_heads": HEADS, "d_ff": D_MODEL, "dropout": dropout}
    config = ModelConfig.model_validate(layers | sizes | further)
    known = Sizes(HEADS, D_MODEL, 1, 1, 8, length, lambda _: None)
    model = EncoderDecoder(config, MaskPlan(masks, seed=0, streams="a", sizes=known), 8, length)
    initialise(model, 0)
    return model.train()


if __name__ == "__main__":
    serve(prepare, iterate, memory)
