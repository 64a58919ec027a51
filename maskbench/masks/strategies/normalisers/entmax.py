"""Entmax: normalisers between the softmax, which weighs every key, and the sparsemax, which drops most.

The alpha-entmax of scores s is p(j) = [1 + u (s(j) - t)]_+ ^ (1 / u) with u = alpha - 1 and the one t for which p sums
to one. For u = 0 it is the softmax (t is then the log-sum-exp), for u = 1 the sparsemax. A key whose score lies 1 / u
or more below t gets exactly 0.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from maskbench.masks.base import ATTENTION_SITES, Normaliser, StrategyOptions
from maskbench.masks.context import AttentionContext, Sizes
from maskbench.masks.schedules import scheduled
from maskbench.masks.softmax import softmax
from maskbench.masks.strategies.scores.gate_functions import clamp_straight_through
from maskbench.registry import MASKS

_ROUNDS = 8
"""Rounds of halving and Newton's step; more change nothing in float64, not even in rows of 300 close scores."""
_SMALLEST = 1e-6
"""Stands for u = 0 where something is divided by u; what comes of it is then not used."""


def _weights_at(z: Tensor, t: Tensor, u: Tensor) -> Tensor:
    """Return p = [1 + u (z - t)]_+ ^ (1 / u)."""
    return ((u * (z - t)).clamp(min=-1.0).log1p() / u).exp()


def _newton_step(z: Tensor, t: Tensor, u: Tensor) -> Tensor:
    """Return how far Newton's step goes from a t at which p sums to at least one."""
    p = _weights_at(z, t, u)
    # The slope is p ^ (1 - u), and 0 where p is.
    slope = p / (1 + u * (z - t)).clamp(min=torch.finfo(p.dtype).tiny)
    return ((p.sum(-1, keepdim=True) - 1) / slope.sum(-1, keepdim=True)).clamp(min=0.0)


def _solve(scores: Float[Tensor, "*rows kv"], u: Float[Tensor, "..."]) -> Float[Tensor, "*rows kv"]:
    """Return the entmax for u in (0, 1].

    The sum over p falls in t and is convex: Newton's step from below never goes too far, and halving keeps it from
    being slow. Only a row's own visible scores count, so padding cannot change the result.
    """
    z = scores - scores.amax(-1, keepdim=True)
    visible = (z > -torch.inf).sum(-1, keepdim=True).to(z.dtype)
    low = torch.zeros_like(visible)
    # There the best key alone has weight 1 / visible, so that all of them sum to at most one.
    high = -torch.expm1(-u * visible.log()) / u
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        enough = _weights_at(z, middle, u).sum(-1, keepdim=True) >= 1
        low, high = torch.where(enough, middle, low), torch.where(enough, high, middle)
        low = torch.minimum(low + _newton_step(z, low, u), high)
    p = _weights_at(z, low, u)
    return p / p.sum(-1, keepdim=True)


class _Entmax(torch.autograd.Function):
    """Entmax with the derivatives of the solution, not of the steps that lead to it."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, alpha: Tensor) -> Tensor:
        u = alpha - 1
        solved = _solve(scores, u.clamp(min=_SMALLEST))
        p = torch.where(u == 0, softmax(scores), solved)
        ctx.save_for_backward(p, u)
        return p

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        p, u = ctx.saved_tensors
        log_p = p.masked_fill(p == 0, 1.0).log()
        slope = (log_p * (1 - u)).exp().masked_fill(p == 0, 0.0)
        share = slope / slope.sum(-1, keepdim=True)
        along = grad - (share * grad).sum(-1, keepdim=True)
        by_scores = slope * along if ctx.needs_input_grad[0] else None
        by_alpha = None
        if ctx.needs_input_grad[1]:
            by_alpha = (_by_alpha_at_fixed_t(p, log_p, u) * along).sum_to_size(u.shape)
        return by_scores, by_alpha


def _by_alpha_at_fixed_t(p: Tensor, log_p: Tensor, u: Tensor) -> Tensor:
    """Return dp / d alpha while t stands still: p log(p)^2 r(y), r(y) = (1 - y - exp(-y)) / y^2, y = u log p.

    At u = 0 that is -p log(p)^2 / 2, so alpha can move away from the softmax.
    """
    y = u * log_p
    near = y > -0.2
    safe = y.masked_fill(near, -1.0)
    # p exp(-y) is p ^ (1 - u); exp(-y) by itself would overflow.
    far = (p * (1 - safe) - (log_p - safe).exp()) / safe**2
    series = sum((-1) ** (k + 1) * y**k / math.factorial(k + 2) for k in range(10))
    return log_p**2 * torch.where(near, p * series, far)


def entmax(scores: Float[Tensor, "*rows kv"], alpha: Float[Tensor, "..."]) -> Float[Tensor, "*rows kv"]:
    """Return the alpha-entmax over the last axis, differentiable in both arguments.

    Args:
        scores: hidden keys at -inf get exactly 0; every row has a visible one.
        alpha: in [1, 2], broadcastable to `scores` with a last axis of 1; at 1 the softmax, bit for bit.
    """
    found: Tensor = _Entmax.apply(scores, alpha.to(scores.dtype))  # type: ignore[no-untyped-call]
    return found


Alpha: TypeAlias = scheduled(False, 1.0, 2.0)  # type: ignore[valid-type]
"""From 1, the softmax, to 2, the sparsemax; or a schedule."""


class EntmaxOptions(StrategyOptions):
    """How sparse the weights are."""

    alpha: Alpha = 1.5
    """1 is the softmax, 2 the sparsemax; what lies between drops fewer keys."""


@MASKS.register("entmax")
class Entmax(Normaliser):
    """Keys whose score lies far enough below the best get exactly no weight, however many they are.

    weights(j) = [1 + (alpha - 1) (s(j) - t)]_+ ^ (1 / (alpha - 1)), t such that the row sums to one. Unlike the k best
    keys, how many stay depends on how clear the scores are, and the weights are continuous in the scores.
    """

    sites = ATTENTION_SITES
    depends_on = frozenset({"input"})
    source = "Peters et al. 2019 (sparse sequence-to-sequence models, arXiv:1905.05702)"
    Options = EntmaxOptions
    example = EntmaxOptions()

    def weights(
        self,
        options: EntmaxOptions,
        scores: Float[Tensor, "batch heads q kv"],
        keep: Bool[Tensor, "#batch #heads #q #kv"],
        ctx: AttentionContext,
    ) -> Float[Tensor, "batch heads q kv"]:
        alpha = float(options.alpha)
        return softmax(scores) if alpha == 1 else entmax(scores, scores.new_tensor(alpha))


class AdaptiveEntmaxOptions(StrategyOptions):
    """Nothing to set: every head finds its own alpha."""


@MASKS.register("adaptive_entmax")
class AdaptiveEntmax(Normaliser):
    """Every head of every layer learns how sparse it is, between the softmax and the sparsemax.

    weights = entmax with alpha_h = 1 + a_h, a_h kept within [0, 1] (its gradient passes at the ends). Every a_h starts
    at 0, which is the softmax, so step 0 equals the model without it exactly; the paper has alpha = 1 + sigmoid(a).
    """

    sites = ATTENTION_SITES
    depends_on = frozenset({"input", "parameters"})
    starts_as_identity = True
    source = "Correia et al. 2019 (adaptively sparse transformers, arXiv:1909.00015)"
    Options = AdaptiveEntmaxOptions
    example = AdaptiveEntmaxOptions()

    def __init__(self, options: AdaptiveEntmaxOptions, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        self.amount = nn.Parameter(torch.zeros(sizes.layers(site), sizes.n_heads))

    def weights(
        self,
        options: AdaptiveEntmaxOptions,
        scores: Float[Tensor, "batch heads q kv"],
        keep: Bool[Tensor, "#batch #heads #q #kv"],
        ctx: AttentionContext,
    ) -> Float[Tensor, "batch heads q kv"]:
        return entmax(scores, 1 + clamp_straight_through(self.amount[ctx.layer], 0.0, 1.0)[:, None, None])
