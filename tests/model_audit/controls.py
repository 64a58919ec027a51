"""Small models that keep every promise, and the same models with one fault each, planted on purpose."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskbench.model_audit.inputs import Inputs
from maskbench.model_audit.subject import ModelSubject

WIDTH, HEADS, WORDS, LONGEST = 24, 3, 40, 40


class Attention(nn.Module):
    """Multi-head attention whose faults are named by a word."""

    def __init__(self, fault: str, causal: bool) -> None:
        super().__init__()
        self.fault, self.causal = fault, causal
        self.q, self.k, self.v, self.o = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: Tensor, memory: Tensor, real: Tensor | None, start: int = 0) -> Tensor:
        def heads(y: Tensor) -> Tensor:
            return y.unflatten(-1, (HEADS, -1)).transpose(1, 2)

        q, k, v = heads(self.q(x)), heads(self.k(memory)), heads(self.v(memory))
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        keep = torch.ones(1, 1, x.shape[1], memory.shape[1], dtype=torch.bool)
        if real is not None and not self.causal:
            keep = keep & self._real(real)[:, None, None]
        if self.causal:
            keep = keep & self._causal(x.shape[1], memory.shape[1], start)
        if self.fault == "fill -5":
            scores = scores + torch.where(keep, 0.0, -5.0)
        elif self.fault == "fill -100":
            scores = scores.masked_fill(~keep, -100.0)
        elif self.fault == "fill -1e4":
            scores = scores + torch.where(keep, 0.0, -1e4)
        elif self.fault == "no guard":
            scores = scores.masked_fill(~keep, -math.inf)
        else:
            scores = scores.masked_fill(~keep, torch.finfo(scores.dtype).min)
        weights = scores.softmax(-1)
        if self.fault == "mask after softmax":
            weights = (scores + torch.where(keep, 0.0, 0.5)).softmax(-1)
        return self.o((weights @ v).transpose(1, 2).flatten(2))

    def _real(self, real: Tensor) -> Tensor:
        if self.fault == "source mask forgotten":
            return torch.ones_like(real)
        if self.fault == "source mask inverted":
            return ~real
        if self.fault == "source mask shifted":
            return torch.cat((torch.ones_like(real[:, :1]), real[:, :-1]), 1)
        return real

    def _causal(self, n: int, kv: int, start: int) -> Tensor:
        query, key = start + torch.arange(n)[:, None], torch.arange(kv)
        if self.fault == "causal mask forgotten" or (self.fault == "no mask in training" and self.training):
            return torch.ones(n, kv, dtype=torch.bool)
        if self.fault == "no mask with gradients" and torch.is_grad_enabled():
            return torch.ones(n, kv, dtype=torch.bool)
        if self.fault == "causal mask transposed":
            return key >= query
        if self.fault == "causal mask shifted":
            return key <= query + 1
        if self.fault == "blind to the first":
            return (key <= query) & ((key > 0) | (query == 0))
        if self.fault == "only itself":
            return key == query
        if self.fault == "window too narrow":
            return (key <= query) & (key > query - 2)
        return key <= query


class Layer(nn.Module):
    """A layer before whose parts stands a norm."""

    def __init__(self, fault: str, causal: bool, cross: bool, norm: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.own = Attention(fault, causal)
        self.cross = Attention(fault, False) if cross else None
        self.norms = nn.ModuleList(norm() for _ in range(3 if cross else 2))
        self.inner, self.outer = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)
        self.dropout = nn.Dropout(0.2)
        self.idle = nn.Linear(WIDTH, WIDTH) if fault == "idle layer" else None

    def forward(
        self, x: Tensor, memory: Tensor | None, real: Tensor | None, past: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        own = self.norms[0](x)
        keys = own if past is None else torch.cat((past, own), 1)
        start = keys.shape[1] - own.shape[1]
        x = x + self.dropout(
            self.own(own, keys, real if memory is None and not self.own.causal else None, start)
        )
        if self.cross is not None and memory is not None:
            x = x + self.dropout(self.cross(self.norms[2](x), memory, real))
        return x + self.dropout(self.outer(F.relu(self.inner(self.norms[1](x))))), keys


class Control(nn.Module):
    """An encoder-decoder, or a decoder alone."""

    def __init__(
        self,
        fault: str = "",
        *,
        source: bool = True,
        norm: str = "layer",
        cell: str = "attention",
        layer_drop: float = 0.0,
    ) -> None:
        super().__init__()
        self.fault, self.cell, self.layer_drop = fault, cell, layer_drop

        def make_norm() -> nn.Module:
            return {"layer": nn.LayerNorm, "rms": nn.RMSNorm, "none": lambda _: nn.Identity()}[norm](WIDTH)

        self.words = nn.Embedding(WORDS, WIDTH)
        self.places = nn.Embedding(LONGEST, WIDTH)
        self.encoder = nn.ModuleList(Layer(fault, False, False, make_norm) for _ in range(2 if source else 0))
        self.decoder = nn.ModuleList(Layer(fault, True, source, make_norm) for _ in range(2))
        self.rnn = nn.GRU(WIDTH, WIDTH, batch_first=True) if cell == "gru" else None
        self.conv = nn.Conv1d(WIDTH, WIDTH, 3) if "conv" in (cell, fault) else None
        self.batch_norm = nn.BatchNorm1d(WIDTH) if fault == "batch norm" else None
        self.head = nn.Linear(WIDTH, WORDS)
        self.spare = nn.Parameter(torch.zeros(3)) if fault == "idle parameter" else None
        self.calls = 0
        self.register_buffer("seen", torch.zeros(()))

    def encode(self, ids: Tensor, real: Tensor) -> Tensor:
        if self.fault == "padding by id":
            real = ids != 0
        x = self.words(ids) + self.places(torch.arange(ids.shape[1]))
        if self.fault == "positions from the end":
            x = self.words(ids) + self.places(torch.arange(ids.shape[1]).flip(0))
        for layer in self.encoder:
            x, _ = layer(x, None, real, None)
        if self.fault == "mean of padding":
            x = x + x.mean(1, keepdim=True)
        if self.fault == "mean of no tokens":
            x = x + (x * real[..., None]).sum(1, keepdim=True) / real.sum(1)[:, None, None]
        if self.fault == "log of the length":
            x = x * real.sum(1).to(x.dtype).log()[:, None, None]
        if self.fault == "source unread":
            x = torch.zeros_like(x) + self.places.weight[0]
        return x

    def decode(
        self, ids: Tensor, memory: Tensor | None, real: Tensor | None, past: list[Any] | None
    ) -> tuple[Tensor, list[Any]]:
        start = 0 if past is None else int(past[0])
        if self.fault == "cache counts from 0":
            start = 0
        if self.fault == "cache one late" and past is not None:
            start += 1
        vectors = self.words(ids)
        if self.fault == "mean of the target":
            vectors = vectors + vectors.mean(1, keepdim=True)
        if self.fault == "mean of the batch":
            vectors = vectors + vectors.mean((0, 1), keepdim=True)
        if self.fault == "conv" and self.conv is not None:
            vectors = vectors + self.conv(F.pad(vectors.mT, (1, 1))).mT
        x = vectors + self.places(start + torch.arange(ids.shape[1]))
        kept: list[Any] = [start + ids.shape[1]]
        before = [None] * 2 if past is None else past[1:]
        if self.cell == "gru" and self.rnn is not None:
            state = None if past is None else before[0]
            x, state = self.rnn(x, state)
            kept.append(state)
        elif self.cell == "conv" and self.conv is not None:
            own = x if past is None else torch.cat((before[0], x), 1)
            x = self.conv(F.pad(own.mT, (2, 0))).mT[:, -ids.shape[1] :]
            kept.append(own)
        else:
            for layer, old in zip(self.decoder, before, strict=True):
                if self.fault == "cache forgets" and old is not None:
                    old = old[:, -2:]
                if self.layer_drop and self.training and torch.rand(()) < self.layer_drop:
                    continue
                x, keys = layer(x, memory, real, old)
                kept.append(keys)
        if self.batch_norm is not None:
            x = self.batch_norm(x.flatten(0, 1)).view_as(x)
        return self._scores(x), kept

    def _scores(self, x: Tensor) -> Tensor:
        if self.fault == "dropout in evaluation":
            x = F.dropout(x, 0.2, training=True)
        if self.fault == "noise":
            x = x + 0.01 * torch.randn_like(x)
        if self.fault == "counts its calls":
            self.calls += 1
            x = x * (1 + 0.01 * self.calls)
        if self.fault == "counts in a buffer":
            self.seen += 1
            x = x * (1 + 0.01 * self.seen)
        if self.fault == "evaluation turns dropout off" and not self.training:
            for part in self.modules():
                if isinstance(part, nn.Dropout):
                    part.p = 0.0
        if self.fault == "half inside":
            x = x.half().to(x.dtype)
        if self.fault == "scale by mode":
            x = x * (1.1 if self.training else 1.0)
        if self.fault == "skips in training" and self.training:
            x = x.detach() * 0 + x.mean() * 0 + self.places.weight[: x.shape[1]]
        if self.fault == "scale by gradients":
            x = x * (1.1 if torch.is_grad_enabled() else 1.0)
        if self.fault == "cut off":
            x = x.detach()
        return self.head(x)


class ControlSubject(ModelSubject):
    """How a control is called."""

    kind = "encoder-decoder"

    def __init__(self, module: Control, **further: Any) -> None:
        super().__init__(
            module, **{"vocab_size": WORDS, "max_length": LONGEST, "name": module.fault or "sound", **further}
        )

    def _memory(self, inputs: Inputs) -> tuple[Tensor | None, Tensor | None]:
        model: Any = self.module
        if inputs.source is None:
            return None, None
        real = inputs.source.real
        return model.encode(inputs.source.ids, real), (
            inputs.source.ids != 0 if model.fault == "padding by id" else real
        )

    def logits(self, inputs: Inputs) -> Tensor:
        model: Any = self.module
        return model.decode(inputs.target.ids, *self._memory(inputs), None)[0]

    def step(self, inputs: Inputs, start: int, state: Any) -> tuple[Tensor, Any]:
        model: Any = self.module
        memory, past = (self._memory(inputs), None) if state is None else state
        scores, past = model.decode(inputs.target.ids[:, start:], *memory, past)
        return scores, (memory, past)

    def doors(self) -> Mapping[str, Callable[[Inputs], Tensor]]:
        model: Any = self.module

        def filled(inputs: Inputs) -> Tensor:
            scores = self.step(inputs, 0, None)[0]
            return scores * 1.01 if model.fault == "another door" else scores

        return {"a cache that is filled": filled}


class ControlDecoder(ControlSubject):
    """A control without a source."""

    kind = "decoder"


def control(fault: str = "", seed: int = 0, *, source: bool = True, **how: Any) -> ControlSubject:
    """A control with the weights of a seed; its target padding follows the tokens and needs no mask."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = Control(fault, source=source, **how)
    if source:
        return ControlSubject(module.eval(), padding=("source", "target"))
    return ControlDecoder(module.eval())


CAUGHT_BY = {
    "causal mask forgotten": ("causality", "truncation", "future gradients", "cached decoding"),
    "causal mask transposed": ("causality", "truncation", "future gradients"),
    "causal mask shifted": ("causality", "truncation", "future gradients"),
    "mean of the target": ("causality", "truncation", "future gradients", "cached decoding"),
    "conv": ("causality", "truncation", "future gradients"),
    "fill -5": ("causality", "padding content", "padding gradients"),
    "no mask in training": ("causality", "training mode"),
    "no mask with gradients": ("causality", "gradient mode"),
    "source mask forgotten": ("padding content", "padding amount", "padding gradients", "alone"),
    "source mask inverted": ("padding content", "padding gradients", "reach"),
    "source mask shifted": ("padding content", "padding gradients", "alone"),
    "padding by id": ("padding content",),
    "mean of padding": ("padding content", "padding amount", "alone"),
    "positions from the end": ("padding amount", "alone"),
    "mean of the batch": ("batch mates", "alone"),
    "batch norm": ("batch mates",),
    "cache forgets": ("cached decoding", "several tokens a step"),
    "cache counts from 0": ("cached decoding", "several tokens a step"),
    "cache one late": ("cached decoding", "several tokens a step"),
    "scale by gradients": ("gradient mode",),
    "scale by mode": ("training mode",),
    "skips in training": ("training mode",),
    "dropout in evaluation": ("evaluation repeats",),
    "noise": ("evaluation repeats",),
    "counts its calls": ("no trace",),
    "counts in a buffer": ("no trace",),
    "evaluation turns dropout off": ("no trace",),
    "another door": ("one function, many doors",),
    "source unread": ("reach", "every part works"),
    "only itself": ("reach",),
    "blind to the first": ("reach",),
    "fill -100": ("large scores",),
    "fill -1e4": ("large scores",),
    "no guard": ("empty rows",),
    "mean of no tokens": ("empty rows",),
    "log of the length": ("empty rows",),
    "idle layer": ("every part works",),
    "idle parameter": ("every part works",),
    "cut off": ("every part works",),
}
"""Faults, and proofs that must catch them."""
