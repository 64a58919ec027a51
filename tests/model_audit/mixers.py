"""Parts that mix the positions of a sequence causally, each with a cache, and the same parts with a fault by name.

A mixer maps vectors [batch new width] and what it kept of earlier positions (None: none) to vectors of the same shape and
what it keeps. Masks are True where a query may read a key.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH, HEADS = 24, 4


class Heads(nn.Module):
    """Causal attention: grouped keys, rotary positions, a linear bias, a relative bias, a window, or structures."""

    def __init__(
        self,
        fault: str = "",
        *,
        kv_heads: int = HEADS,
        position: str = "",
        window: int = 0,
        prefix: int = 0,
        documents: tuple[int, ...] = (),
        kernel: str = "plain",
        fill: float | None = None,
    ) -> None:
        super().__init__()
        self.fault, self.kv_heads, self.position, self.kernel = fault, kv_heads, position, kernel
        self.window, self.prefix, self.fill = window, prefix, fill
        self.register_buffer("documents", torch.tensor(documents, dtype=torch.long) if documents else None)
        size = WIDTH // HEADS
        self.q, self.o = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.k, self.v = (nn.Linear(WIDTH, kv_heads * size) for _ in range(2))
        self.relative = nn.Embedding(16, HEADS) if position == "relative" else None

    def forward(self, x: Tensor, past: Any, real: Tensor | None) -> tuple[Tensor, Any]:
        """Return the mixed vectors and the keys and values up to now."""
        start = 0 if past is None else past[0].shape[2]

        def heads(y: Tensor, n: int) -> Tensor:
            return y.unflatten(-1, (n, -1)).transpose(1, 2)

        q, k, v = heads(self.q(x), HEADS), heads(self.k(x), self.kv_heads), heads(self.v(x), self.kv_heads)
        if self.position == "rotary":
            q, k = rotated(q, start), rotated(k, 0 if self.fault == "keys turned from 0" else start)
        if past is not None:
            k, v = torch.cat((past[0], k), 2), torch.cat((past[1], v), 2)
        kept = k, v
        if self.fault == "cache of the first row" and past is not None:
            kept = k[:1].expand_as(k), v
        if self.fault == "cache reversed":
            kept = k.flip(2), v
        if self.fault == "groups interleaved":
            k, v = (part.repeat(1, HEADS // self.kv_heads, 1, 1) for part in (k, v))
            if past is None:
                k = k.view(len(k), -1, self.kv_heads, *k.shape[2:]).transpose(1, 2).flatten(1, 2)
        else:
            k, v = (part.repeat_interleave(HEADS // self.kv_heads, 1) for part in (k, v))
        keep = self.readable(x.shape[1], k.shape[2], start, real)
        return self.o(self.mix(q, k, v, keep).transpose(1, 2).flatten(2)), kept

    def readable(self, n: int, kv: int, start: int, real: Tensor | None) -> Tensor:
        """Return which key each query may read, [batch or 1, heads or 1, n, kv]."""
        query, key = start + torch.arange(n)[:, None], torch.arange(kv)
        keep = key <= query
        if self.fault == "no mask within a step" and start:
            keep = torch.ones_like(keep)
        if self.fault == "mask for 8 positions":
            keep = keep | (query >= 8)
        if self.fault == "every tenth token read":
            keep = keep | (key == query + 9)
        if self.fault == "full attention in evaluation" and not self.training:
            keep = torch.ones_like(keep)
        if self.window:
            wide = self.window + (self.fault == "window one too wide")
            keep = keep & (key > query - wide)
        if self.prefix:
            keep = keep | (key < self.prefix + (self.fault == "prefix one too long"))
        if self.documents is not None and self.fault != "documents joined":
            one, other = (torch.bucketize(p, self.documents, right=True) for p in (query, key))
            if self.fault == "documents begin late":
                one, other = (torch.bucketize(p, self.documents) for p in (query, key))
            keep = keep & (one == other)
        keep = keep[None, None]
        if self.fault == "one head sees all":
            keep = keep | (torch.arange(HEADS) == 2)[:, None, None]
        if real is not None and self.fault != "padding forgotten":
            told = ~real if self.fault == "padding inverted" else real
            # A query of padding reads itself: no row is without a key.
            own = key == query
            keep = keep & (told[:, None, None, :kv] | own)
        return keep

    def mix(self, q: Tensor, k: Tensor, v: Tensor, keep: Tensor) -> Tensor:
        """Return the values mixed by attention."""
        if self.kernel == "sdpa":
            return F.scaled_dot_product_attention(q, k, v, attn_mask=keep)
        if self.kernel == "sdpa, bias of minus infinity":
            bias = torch.zeros(keep.shape, dtype=q.dtype).masked_fill(~keep, -math.inf)
            return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        if self.fault == "fast path without a mask" and not torch.is_grad_enabled():
            return F.scaled_dot_product_attention(q, k, v)
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        back = (k.shape[2] - q.shape[2] + torch.arange(q.shape[2]))[:, None] - torch.arange(k.shape[2])
        if self.fault == "distance from the step's start":
            back = torch.arange(q.shape[2])[:, None] - torch.arange(k.shape[2])
        if self.position == "alibi":
            scores = scores - (2.0 ** -torch.arange(1, HEADS + 1))[:, None, None].to(q.dtype) * back.abs()
        if self.relative is not None:
            scores = scores + self.relative(back.clamp(0, 15)).movedim(-1, 0)
        if self.fault == "scale by the length":
            scores = scores * math.log(k.shape[2] + 1)
        if self.fault == "hidden by distance":
            return (scores - 1e3 * (-back).clamp(min=0)).softmax(-1) @ v
        if self.fault == "softmax before the mask":
            weights = scores.softmax(-1) * keep
        elif self.fault == "softmax over queries":
            weights = scores.masked_fill(~keep, -math.inf).softmax(-2).nan_to_num()
        elif self.fault == "bfloat16 without a mask":
            weights = scores.bfloat16().softmax(-1).to(scores.dtype)
        else:
            fill = torch.finfo(scores.dtype).min if self.fill is None else self.fill
            weights = scores.masked_fill(~keep, fill).softmax(-1)
        return weights @ v


def rotated(x: Tensor, start: int) -> Tensor:
    """Return vectors [batch heads n size] turned by angles that grow with the position."""
    half = x.shape[-1] // 2
    angle = (start + torch.arange(x.shape[2]))[:, None] * 0.5 ** torch.arange(half)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x[..., :half], x[..., half:]
    return torch.cat((a * cos - b * sin, a * sin + b * cos), -1)


class Linear(nn.Module):
    """Attention without softmax: sums of keys times values over what came before."""

    def __init__(self, fault: str = "") -> None:
        super().__init__()
        self.fault = fault
        self.q, self.k, self.v = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, x: Tensor, past: Any, _real: Tensor | None) -> tuple[Tensor, Any]:
        """Return the mixed vectors and the two sums."""
        q, k, v = F.elu(self.q(x)) + 1, F.elu(self.k(x)) + 1, self.v(x)
        pairs, keys = (k[..., None] * v[..., None, :]).cumsum(1), k.cumsum(1)
        if past is not None:
            pairs, keys = pairs + past[0], keys + past[1]
        total = keys[:, -1:].expand_as(keys) if self.fault == "divided by the whole sum" else keys
        mixed = torch.einsum("bni,bnij->bnj", q, pairs) / (q * total).sum(-1, keepdim=True)
        kept = pairs[:, -1:], keys[:, -1:]
        if self.fault == "sum not kept":
            kept = pairs[:, -1:], 0.0 * keys[:, -1:]
        return mixed, kept


class Recurrence(nn.Module):
    """A GRU, an LSTM, or its two directions."""

    def __init__(self, cell: type[nn.RNNBase], fault: str = "") -> None:
        super().__init__()
        self.fault = fault
        both = fault == "two directions"
        first = fault != "batch and time swapped"
        self.cell = cell(WIDTH, WIDTH // 2 if both else WIDTH, batch_first=first, bidirectional=both)
        self.last: Any = None

    def forward(self, x: Tensor, past: Any, _real: Tensor | None) -> tuple[Tensor, Any]:
        """Return the states and the last one."""
        if self.fault == "state of the last call" and self.last is not None and len(self.last[0]) == len(x):
            past = self.last[1]
        y, state = self.cell(x, past)
        if self.fault == "state of the last call":
            self.last = len(x), state
            self.last = x.detach(), state.detach()
        if self.fault == "state of another row":
            state = state.roll(1, 1)
        return y, state


class Convolution(nn.Module):
    """A causal convolution with a kernel of 3, whose cache is the last two vectors."""

    def __init__(self, fault: str = "", dilation: int = 1) -> None:
        super().__init__()
        self.fault, self.back = fault, 2 * dilation
        self.conv = nn.Conv1d(WIDTH, WIDTH, 3, dilation=dilation)

    def forward(self, x: Tensor, past: Any, _real: Tensor | None) -> tuple[Tensor, Any]:
        """Return the convolved vectors and the inputs that the next ones need."""
        if self.fault == "padded on both sides":
            padded = F.pad(x.mT, (self.back // 2, self.back // 2)).mT
        else:
            padded = F.pad(x.mT, (self.back, 0)).mT if past is None else torch.cat((past, x), 1)
        keep = padded[:, -self.back :]
        if self.fault == "cache of zeros":
            keep = torch.zeros_like(keep)
        return self.conv(padded.mT).mT, keep


class Filter(nn.Module):
    """A convolution over all earlier positions, computed by a Fourier transform; without a cache."""

    def __init__(self, fault: str = "") -> None:
        super().__init__()
        self.fault = fault
        self.kernel = nn.Parameter(torch.randn(32, WIDTH) / 4)

    def forward(self, x: Tensor, _past: Any, _real: Tensor | None) -> tuple[Tensor, Any]:
        """Return the filtered vectors."""
        n = x.shape[1]
        size = n if self.fault == "circular" else 2 * n
        product = torch.fft.rfft(x, size, 1) * torch.fft.rfft(self.kernel[:n], size, 0)
        return torch.fft.irfft(product, size, 1)[:, :n], None


class Shift(nn.Module):
    """A mixture of each vector and the one before it."""

    def __init__(self, fault: str = "") -> None:
        super().__init__()
        self.fault, self.share, self.map = fault, nn.Parameter(torch.rand(WIDTH)), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor, past: Any, _real: Tensor | None) -> tuple[Tensor, Any]:
        """Return the mixture and the last vector."""
        if self.fault == "wraps around":
            before = x.roll(1, 1)
        elif self.fault == "shifted the other way":
            before = F.pad(x, (0, 0, 0, 1))[:, 1:]
        else:
            first = torch.zeros_like(x[:, :1]) if past is None else past
            before = torch.cat((first, x), 1)[:, :-1]
        return self.map(self.share * x + (1 - self.share) * before), x[:, -1:]


class Decay(nn.Module):
    """A state that decays and takes up every vector, position by position."""

    def __init__(self, fault: str = "") -> None:
        super().__init__()
        self.fault, self.rate, self.take = fault, nn.Parameter(torch.rand(WIDTH)), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor, past: Any, _real: Tensor | None) -> tuple[Tensor, Any]:
        """Return the states and the last one."""
        state = torch.zeros_like(x[:, 0]) if past is None else past
        found = []
        for vector in self.take(x).unbind(1):
            state = self.rate.sigmoid() * state + vector
            found.append(state)
        return torch.stack(found, 1), state


class Experts(nn.Module):
    """Three experts, of which each token chooses one; nothing is mixed unless a fault says so."""

    def __init__(self, fault: str = "") -> None:
        super().__init__()
        self.fault, self.router = fault, nn.Linear(WIDTH, 3)
        self.experts = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, x: Tensor, _past: Any, _real: Tensor | None) -> tuple[Tensor, Any]:
        """Return the experts' answers, weighted by the router."""
        weights = self.router(x).softmax(-1)
        flat, flat_weights = x.flatten(0, 1), weights.flatten(0, 1)
        chosen = flat_weights.argmax(-1)
        found = torch.zeros_like(flat)
        for place, expert in enumerate(self.experts):
            if self.fault == "experts choose tokens":
                taken = flat_weights[:, place].topk(len(flat) // 3).indices
            else:
                taken = (chosen == place).nonzero().flatten()
            if self.fault == "experts are full":
                taken = taken[: len(flat) // 5]
            if self.fault == "experts are full, the last come first":
                taken = taken[-(len(flat) // 5) :]
            found = found.index_add(0, taken, expert(flat[taken]) * flat_weights[taken, place, None])
        return found.view_as(x), None
