"""Decoders of many kinds with one fault each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from architectures import DOCUMENTS, PREFIX, WINDOW
from mixers import Convolution, Experts, Filter, Heads, Linear, Recurrence, Shift
from torch import Tensor, nn
from trunk import CachedTrunk, ToldTrunk, Trunk, TrunkSubject, trunk

from maskbench.model_audit import ModelSubject
from maskbench.model_audit.inputs import Inputs

FUTURE = ("causality", "truncation", "future gradients")
CACHE = ("cached decoding", "several tokens a step")


def heads(fault: str, **how: Any) -> tuple[Callable[[], nn.Module], ...]:
    """A layer with a fault, and one without."""
    return partial(Heads, fault, **how), partial(Heads, **how)


def spoiled(change: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., ModelSubject]:
    """A trunk whose vectors are changed, given them and the ids, after the first layer."""
    return partial(trunk, spoil=lambda _trunk, x, ids: change(x, ids))


def spoiled_scores(change: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., ModelSubject]:
    """A trunk whose scores are changed, given them and the ids."""
    return partial(trunk, spoil_scores=lambda _trunk, scores, ids: change(scores, ids))


def passed_through(x: Tensor) -> Tensor:
    """The mean over time as the gradient sees it, and nothing in value."""
    mean = x.mean(1, keepdim=True)
    return x + mean - mean.detach()


def most_chosen(x: Tensor) -> Tensor:
    """Vectors of the four largest positions of a row; the others are 0."""
    size = x.norm(dim=-1)
    return x * (size >= size.topk(min(4, x.shape[1]), 1).values[:, -1:])[..., None]


def quantised(x: Tensor) -> Tensor:
    """Vectors in steps of the largest number of the whole batch."""
    step = x.abs().max() / 127
    return (x / step).round() * step


def row_number(x: Tensor) -> Tensor:
    return x * (1 + 0.1 * torch.arange(len(x)))[:, None, None]


def half_unless_recorded(x: Tensor) -> Tensor:
    return x * (0.9 if torch.is_grad_enabled() else 1.0)


def careless_norm(x: Tensor) -> Tensor:
    """A norm whose squares overflow in float32."""
    large = x * 1e25
    return large / large.square().mean(-1, keepdim=True).sqrt()


FUTURE_READ: Mapping[str, Callable[..., ModelSubject]] = {
    "mask for 8 positions": partial(trunk, *heads("mask for 8 positions")),
    "one distance alone": partial(trunk, *heads("every tenth token read")),
    "one head": partial(trunk, *heads("one head sees all")),
    "softmax before the mask": partial(trunk, *heads("softmax before the mask")),
    "softmax over queries": partial(trunk, *heads("softmax over queries")),
    "linear attention over the whole sum": partial(trunk, partial(Linear, "divided by the whole sum")),
    "two directions": partial(trunk, partial(Recurrence, nn.LSTM, "two directions"), subject=TrunkSubject),
    "convolution on both sides": partial(trunk, partial(Convolution, "padded on both sides")),
    "circular filter": partial(trunk, partial(Filter, "circular"), subject=TrunkSubject),
    "shift that wraps": partial(trunk, partial(Shift, "wraps around")),
    "shift the other way": partial(trunk, partial(Shift, "shifted the other way")),
    "layer norm over time": spoiled(lambda x, _: F.layer_norm(x, x.shape[1:])),
    "group norm over time": spoiled(lambda x, _: F.group_norm(x.mT, 4).mT),
    "sum from the end": spoiled(lambda x, _: x + x.flip(1).cumsum(1).flip(1)),
    "a ten-millionth of the mean": spoiled(lambda x, _: x + 1e-7 * x.mean(1, keepdim=True)),
    "mean in bfloat16": spoiled(lambda x, _: (x + 0.2 * x.mean(1, keepdim=True)).bfloat16().to(x.dtype)),
    "mean in one row": spoiled(lambda x, _: torch.cat((x[:-1], x[-1:] + x[-1:].mean(1, keepdim=True)))),
    "mean of long rows": spoiled(lambda x, _: x + x.mean(1, keepdim=True) * (x.shape[1] > 10)),
    "mean in float32": spoiled(lambda x, _: x + x.mean(1, keepdim=True) * (x.dtype == torch.float32)),
    "softmax over time": spoiled_scores(lambda scores, _: scores.log_softmax(1)),
}
"""Faults that values and gradients show alike."""


class RowsInSteps(ToldTrunk):
    """A told trunk whose steps are told something else than its whole pass."""

    def __init__(self, *words: Any, told: Callable[[Tensor], Tensor | None], **how: Any) -> None:
        super().__init__(*words, **how)
        self.told = told

    def step(self, inputs: Inputs, start: int, state: Any) -> tuple[Tensor, Any]:
        real = inputs.target.real
        return self.module(inputs.target.ids[:, start:], self.told(real) if start else real, state)


def in_steps(told: Callable[[Tensor], Tensor | None]) -> Callable[..., ModelSubject]:
    return partial(
        trunk,
        subject=partial(RowsInSteps, told=told),  # type: ignore[arg-type]
        how={"left_padding": True},
    )


class Greedy(CachedTrunk):
    """A trunk with a generation of its own."""

    def __init__(self, *words: Any, fault: str = "", **how: Any) -> None:
        super().__init__(*words, **how)
        self.fault = fault

    def generate(self, inputs: Inputs, count: int) -> Tensor:
        ids = inputs.target.ids
        if self.fault == "forgets the first token":
            ids = ids[:, 1:]
        scores, state = self.module(ids)
        said: list[Tensor] = []
        for _ in range(count):
            place = -2 if self.fault == "reads one position early" and not said else -1
            said.append(scores[:, place:].argmax(-1)[:, :1])
            if self.fault == "forgets the cache":
                state = [state[0], *([None] * (len(state) - 1))]
            if self.fault == "one row for all":
                said[-1] = said[-1][:1].expand_as(said[-1])
            scores, state = self.module(said[-1], None, state)
        return torch.cat(said, 1)


class Kernels(ToldTrunk):
    """A told trunk with another kernel, which is built anew and given the same weights."""

    def __init__(self, *words: Any, mixers: tuple[Callable[[], nn.Module], ...] = (), **how: Any) -> None:
        super().__init__(*words, **how)
        self.mixers = mixers

    def implementations(self) -> Mapping[str, Callable[[], Any]]:
        return {"the other kernel": lambda: trunk(*self.mixers, subject=ToldTrunk)}


class Doors(TrunkSubject):
    """A trunk with another way to compute its scores."""

    def __init__(self, *words: Any, door: Callable[[Trunk, Tensor], Tensor], **how: Any) -> None:
        super().__init__(*words, **how)
        self.door = door

    def doors(self) -> Mapping[str, Callable[[Inputs], Tensor]]:
        return {"the other door": lambda inputs: self.door(self.module, inputs.target.ids)}  # type: ignore[arg-type]


def made(kind: Callable[..., TrunkSubject], *mixers: Any, **how: Any) -> Callable[..., ModelSubject]:
    """A trunk whose subject takes further arguments."""
    return partial(trunk, *mixers, subject=partial(kind, **how))


def drawing(draw: Callable[[Tensor, Tensor], object]) -> Callable[..., ModelSubject]:
    """A trunk that draws numbers in training, given its vectors and the ids."""

    def spoil(module: Trunk, x: Tensor, ids: Tensor) -> Tensor:
        if module.training:
            draw(x, ids)
        return x

    return partial(trunk, spoil=spoil)


def in_bfloat16(scores: Tensor, others: Tensor) -> Tensor:
    """Other scores where the model computes in bfloat16."""
    return others if scores.dtype == torch.bfloat16 else scores


FAULTS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...], Callable[..., ModelSubject]]] = {
    **{name: (FUTURE, ("batch mates",), build) for name, build in FUTURE_READ.items()},
    "greatest over time": (FUTURE, ("batch mates",), spoiled(lambda x, _: x + x.amax(1, keepdim=True))),
    "four largest positions": (("causality",), ("batch mates",), spoiled(lambda x, _: most_chosen(x))),
    "sorted over time": (("causality", "truncation"), (), spoiled(lambda x, _: x.sort(1).values)),
    "counts equal tokens": (
        ("causality", "truncation"),
        ("future gradients",),
        spoiled(lambda x, ids: x * (1 + 0.1 * (ids == ids[:, -1:]).sum(1))[:, None, None].to(x.dtype)),
    ),
    "forbids the next token": (
        ("causality", "truncation"),
        ("future gradients",),
        spoiled_scores(lambda scores, ids: scores.scatter(-1, ids.roll(-1, 1)[..., None], -torch.inf)),
    ),
    "read by the gradient alone": (
        ("future gradients", "padding gradients"),
        ("causality",),
        spoiled(lambda x, _: passed_through(x)),
    ),
    "scaled by the length": (
        ("truncation", "padding amount", "alone"),
        ("causality", "future gradients"),
        spoiled(lambda x, _: x * x.shape[1] / 10),
    ),
    "places in parts of the length": (
        ("truncation", "padding amount"),
        ("causality",),
        spoiled(lambda x, _: x + (torch.arange(x.shape[1]) / x.shape[1])[:, None].to(x.dtype)),
    ),
    "largest number of the batch": (("batch mates", "alone"), (), spoiled(lambda x, _: quantised(x))),
    "row before": (
        ("batch mates", "batch order"),
        ("causality", "truncation", "future gradients"),
        spoiled(lambda x, _: x + F.pad(x, (0, 0, 0, 0, 1, 0))[:-1]),
    ),
    "first row": (
        ("batch mates", "batch order", "alone"),
        ("causality", "truncation", "future gradients"),
        spoiled(lambda x, _: x + x[:1]),
    ),
    "rows reversed": (
        ("batch order", "batch mates"),
        FUTURE,
        spoiled(lambda x, _: x + x.flip(0)),
    ),
    "number of the row": (
        ("batch order", "alone"),
        ("causality", "batch mates"),
        spoiled(lambda x, _: row_number(x)),
    ),
    "rows sorted and left so": (
        ("batch order", "batch mates"),
        (),
        spoiled(lambda x, ids: x[ids.sum(1).argsort()]),
    ),
    "batch and time swapped": (
        ("batch mates", "batch order", "reach"),
        (),
        partial(trunk, partial(Recurrence, nn.GRU, "batch and time swapped"), subject=TrunkSubject),
    ),
    "experts choose tokens": (
        ("causality", "batch mates"),
        (),
        partial(trunk, Heads, partial(Experts, "experts choose tokens"), subject=TrunkSubject),
    ),
    "experts are full": (
        ("batch mates", "batch order"),
        (),
        partial(trunk, Heads, partial(Experts, "experts are full"), subject=TrunkSubject),
    ),
    "window one too wide": (
        ("declared structure",),
        ("causality", "reach"),
        partial(
            trunk, *heads("window one too wide", window=3), subject=TrunkSubject, how={"may_read": WINDOW}
        ),
    ),
    "prefix one too long": (
        ("declared structure",),
        ("reach",),
        partial(
            trunk,
            *heads("prefix one too long", prefix=4),
            subject=TrunkSubject,
            how={"may_read": PREFIX, "causal": False},
        ),
    ),
    "documents joined": (
        ("declared structure",),
        ("causality", "reach"),
        partial(trunk, *heads("documents joined", documents=(0, 4, 7)), how={"may_read": DOCUMENTS}),
    ),
    "documents begin late": (
        ("declared structure",),
        ("causality",),
        partial(trunk, *heads("documents begin late", documents=(0, 4, 7)), how={"may_read": DOCUMENTS}),
    ),
    "told of padding and forgets it": (
        ("padding side",),
        ("causality", "prompts padded on the left"),
        partial(trunk, *heads("padding forgotten"), subject=ToldTrunk),
    ),
    "reads padding alone": (
        ("padding side",),
        ("causality",),
        partial(trunk, *heads("padding inverted"), subject=ToldTrunk),
    ),
    "places that count padding": (
        ("padding side",),
        ("padding content",),
        partial(
            trunk,
            subject=ToldTrunk,
            spoil=lambda module, x, _: x + module.places.weight[: x.shape[1]],
        ),
    ),
    "steps without a mask": (("prompts padded on the left",), CACHE, in_steps(lambda real: None)),
    "steps with the mask of the first row": (
        ("prompts padded on the left",),
        ("padding side",),
        in_steps(lambda real: real[:1].expand_as(real)),
    ),
    "steps with a mask one late": (
        ("prompts padded on the left",),
        ("padding side",),
        in_steps(lambda real: F.pad(real, (1, 0), value=False)[:, :-1]),
    ),
    "keys turned from 0": (CACHE, FUTURE, partial(trunk, *heads("keys turned from 0", position="rotary"))),
    "keys of the first row": (CACHE, ("batch mates",), partial(trunk, *heads("cache of the first row"))),
    "keys in reversed order": (CACHE, FUTURE, partial(trunk, *heads("cache reversed"))),
    "groups in another order": (CACHE, FUTURE, partial(trunk, *heads("groups interleaved", kv_heads=2))),
    "no mask within a step": (
        ("several tokens a step",),
        ("cached decoding", "causality"),
        partial(trunk, *heads("no mask within a step")),
    ),
    "distances from the step": (
        CACHE,
        FUTURE,
        partial(trunk, *heads("distance from the step's start", position="alibi")),
    ),
    "sum not kept": (CACHE, FUTURE, partial(trunk, partial(Linear, "sum not kept"))),
    "state of another row": (
        CACHE,
        FUTURE,
        partial(trunk, partial(Recurrence, nn.GRU, "state of another row")),
    ),
    "no past for a convolution": (CACHE, FUTURE, partial(trunk, partial(Convolution, "cache of zeros"))),
    **{
        f"generation {fault}": (("generation",), ("cached decoding",), made(Greedy, fault=fault))
        for fault in (
            "forgets the first token",
            "reads one position early",
            "forgets the cache",
            "one row for all",
        )
    },
    **{
        f"another kernel: {fault}": (
            ("implementations",),
            ("causality", "padding side"),
            made(Kernels, mixers=heads(fault), left_padding=True),
        )
        for fault in (
            "fast path without a mask",
            "softmax over queries",
            "one head sees all",
            "padding inverted",
        )
    },
    "vectors without places": (
        ("one function, many doors",),
        ("causality",),
        made(Doors, door=lambda module, ids: module.head(module.norms[0](module.words(ids)))),
    ),
    "scores one late": (
        ("one function, many doors",),
        ("causality",),
        made(Doors, door=lambda module, ids: module(ids)[0].roll(1, 1)),
    ),
    "scores of a row for all": (
        ("one function, many doors",),
        ("causality",),
        made(Doors, door=lambda module, ids: module(ids)[0][:1].expand(len(ids), -1, -1)),
    ),
    "fast path without a mask": (
        ("causality", "gradient mode"),
        ("batch mates",),
        partial(trunk, *heads("fast path without a mask"), subject=TrunkSubject),
    ),
    "scaled without gradients": (
        ("gradient mode",),
        ("causality", "training mode"),
        spoiled(lambda x, _: half_unless_recorded(x)),
    ),
    "full attention in evaluation": (
        ("causality", "training mode"),
        ("gradient mode",),
        partial(trunk, *heads("full attention in evaluation"), subject=TrunkSubject),
    ),
    "random directions": (
        ("evaluation repeats",),
        (),
        spoiled(lambda x, _: x + (x @ torch.randn(x.shape[-1], x.shape[-1], dtype=x.dtype)).sign()),
    ),
    "hidden by distance": (("large scores",), FUTURE, partial(trunk, *heads("hidden by distance"))),
    "turned round in bfloat16": (
        ("formats",),
        FUTURE,
        spoiled_scores(lambda s, _: in_bfloat16(s, s.flip(-1))),
    ),
    "another sign in bfloat16": (("formats",), FUTURE, spoiled_scores(lambda s, _: in_bfloat16(s, -s))),
    "squares that overflow": (("formats",), FUTURE, spoiled(lambda x, _: careless_norm(x))),
}
"""By fault: proofs that must catch it, proofs that must not accuse it, and the model."""

COARSER: Mapping[str, Callable[..., ModelSubject]] = {
    "16 bits inside": spoiled(lambda x, _: x.bfloat16().to(x.dtype)),
    "scores of 16 bits": spoiled_scores(lambda scores, _: scores.half()),
}
"""Models that compute parts of themselves in 16 bits."""

ROUTED: Mapping[str, Callable[..., ModelSubject]] = {
    "draws for some words": drawing(lambda _x, ids: torch.rand(int((ids < 20).sum()))),
    "draws for wrong guesses": drawing(lambda x, ids: F.dropout(x[x.argmax(-1) < 8], 0.1)),
    "Python draws for some words": drawing(
        lambda _x, ids: [__import__("random").random() for word in ids.flatten() if word < 20]
    ),
}
"""Models whose tokens decide how many random numbers training draws."""

WITHOUT_FAULT: Mapping[str, Callable[..., ModelSubject]] = {
    "generation": made(Greedy),
    "implementations": made(Kernels, mixers=(partial(Heads, kernel="sdpa"),) * 2, left_padding=True),
    "one function, many doors": made(Doors, door=lambda module, ids: module(ids)[0]),
    "prompts padded on the left": in_steps(lambda real: real),
    "draws": drawing(lambda x, _ids: torch.rand(len(x))),
}
"""By proof: a model of which it is true, with what the faults above have."""
