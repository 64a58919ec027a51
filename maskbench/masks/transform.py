"""A learned map of a base mask, D = T . M, done so that it can neither leak nor lose the baseline."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from maskbench.masks.base import ATTENTION_SITES, ScoreGate, StrategyOptions
from maskbench.masks.context import AttentionContext, Sizes
from maskbench.masks.schedules import Strength
from maskbench.registry import MASKS


class TransformOptions(StrategyOptions):
    """The base mask M and the shape of the map T."""

    base: Literal["causal", "window", "full"] = "causal"
    """M as 0 and 1 over positions: `causal` (j <= i), `window` (|i - j| <= radius) or `full`."""
    radius: int = Field(2, ge=0)
    """Radius of the base `window`."""
    map: Literal["linear", "convolution"] = "linear"
    """T is a full matrix over positions, or a kernel over neighbouring ones."""
    side: Literal["left", "right"] = "left"
    """`left`: T . M mixes what queries may see; `right`: M . T mixes the keys. For `convolution`: along queries or keys."""
    kernel: int = Field(3, ge=1, le=31)
    """Width of the convolution, odd."""
    strength: Strength = 1.0
    """Multiplies the log-gate: a `step` schedule gives the stages early, middle and late."""

    @model_validator(mode="after")
    def _odd(self) -> TransformOptions:
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, so that a position is its middle; got {self.kernel}")
        return self


@MASKS.register("transform")
class Transform(ScoreGate):
    """A learned linear or convolutional map of a base mask shapes a soft gate on the attention weights.

    D = T . M (or M . T); log-gate(h, i, j) = -strength * a_h * softplus(-D(i, j)). T starts as the identity and every
    a_h at 0, so step 0 equals the model without it exactly. D is computed at the table's full length and sliced, so it
    knows no sentence's length; what is illegal stays hidden whatever T becomes. Every layer learns a T of its own.
    """

    sites = ATTENTION_SITES
    depends_on = frozenset({"parameters"})
    starts_as_identity = True
    source = "Fan et al. 2021 (mask attention networks, arXiv:2103.13597) for the gate inside the softmax"
    Options = TransformOptions
    example = TransformOptions()

    def __init__(self, options: TransformOptions, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        n_layers, n = sizes.layers(site), sizes.max_length
        i, j = torch.arange(n)[:, None], torch.arange(n)[None]
        patterns = {"causal": j <= i, "window": (i - j).abs() <= options.radius, "full": torch.ones(n, n)}
        self.register_buffer("base", patterns[options.base].float(), persistent=False)
        if options.map == "linear":
            start = torch.eye(n).repeat(n_layers, 1, 1)
        else:
            start = torch.zeros(n_layers, options.kernel)
            start[:, options.kernel // 2] = 1.0
        self.map = nn.Parameter(start)
        self.amount = nn.Parameter(torch.zeros(n_layers, sizes.n_heads))

    def transformed(self, at: TransformOptions, layer: int) -> Float[Tensor, "max_length max_length"]:
        """Return D for one layer, over all positions of the table."""
        base, t = self.get_buffer("base"), self.map[layer]
        with torch.autocast(base.device.type, enabled=False):
            return self._mapped(at, base, t)

    @staticmethod
    def _mapped(at: TransformOptions, base: Tensor, t: Tensor) -> Tensor:
        if at.map == "linear":
            return t @ base if at.side == "left" else base @ t
        along = base.T if at.side == "left" else base
        mapped = F.conv1d(along[:, None], t[None, None], padding=at.kernel // 2)[:, 0]
        return mapped.mT if at.side == "left" else mapped

    def log_gate(self, at: TransformOptions, ctx: AttentionContext) -> Float[Tensor, "1 heads q kv"]:
        r = ctx.request
        # Rows and columns beyond the table cannot be asked for: the table covers what decoding may reach.
        d = self.transformed(at, ctx.layer)[r.q_idx][:, r.kv_idx]
        # Gates stay within [0, 1]: a negative amount acts as 0, but its gradient passes, so it can come back.
        raw = self.amount[ctx.layer]
        amount = raw + (raw.clamp(min=0) - raw).detach()
        return -float(at.strength) * amount[None, :, None, None] * F.softplus(-d)
