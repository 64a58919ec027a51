"""`transform`: a learned map of a base mask, D = T . M, as a gate that starts as the baseline and cannot leak."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from maskbench.masks.base import ATTENTION_SITES, ScoreGate, StrategyOptions
from maskbench.masks.context import AttentionContext, Sizes
from maskbench.masks.schedules import Count, Schedule, Strength
from maskbench.masks.strategies.scores.gate_functions import log_gate
from maskbench.registry import MASKS

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "gelu": F.gelu,
}


class TransformOptions(StrategyOptions):
    """The base mask M and the shape of the map T."""

    base: Literal["zeros", "causal", "window", "full"] = "causal"
    """M as 0 and 1 over positions: `causal` (j <= i), `window` (|i - j| <= radius), `full`, or `zeros`, of which
    every map is zero again: nothing is ever learned or hidden, and the run is the baseline's bit for bit."""
    radius: int = Field(2, ge=0)
    """Radius of the base `window`."""
    map: Literal["linear", "convolution"] = "linear"
    """T is a full matrix over positions, or a kernel over neighbouring ones."""
    side: Literal["left", "right"] = "left"
    """`left`: T . M mixes what queries may see; `right`: M . T mixes the keys. For `convolution`: along queries or keys."""
    kernel: int = Field(3, ge=1, le=31)
    """Width of the convolution, odd."""
    activation: Literal["none", "tanh", "relu", "gelu"] = "none"
    """Applied to every entry of T . M, which makes the map non-linear."""
    hidden: int = Field(0, ge=0, le=64)
    """Units of a small network that takes the activation's place at every entry; 0 is the activation alone. With
    `convolution` the whole is a small convolutional network."""
    stage: Count = 1
    """Which map is in force: `{step: [[0, 1], [0.33, 2], [0.67, 3]]}` learns one for early, middle and late training."""
    strength: Strength = 1.0
    """Multiplies the log-gate."""

    @property
    def stages(self) -> int:
        """How many maps there are."""
        return int(max(self.stage.range())) if isinstance(self.stage, Schedule) else 1

    @model_validator(mode="after")
    def _check_consistency(self) -> TransformOptions:
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, so that a position is its middle; got {self.kernel}")
        if self.base == "full" and self.side == "left":
            raise ValueError(
                "of a full base T . M is the same for every key, which changes no weight; give side: right"
            )
        if self.hidden and self.activation == "none":
            raise ValueError("hidden units need an activation: tanh, relu or gelu")
        if isinstance(self.stage, Schedule) and self.stage.name != "step":
            raise ValueError(
                f"stage moves in steps, such as {{step: [[0, 1], [0.5, 2]]}}, not {self.stage.name}"
            )
        if self.stages > 8 or (not isinstance(self.stage, Schedule) and self.stage != 1):
            raise ValueError("stage is 1, or a step schedule over at most 8 stages that count from 1")
        return self


@MASKS.register("transform")
class Transform(ScoreGate):
    """A learned linear, convolutional or non-linear map of a base mask shapes a soft gate on the attention weights.

    D = f(T . M) or f(M . T); log-gate(h, i, j) = -strength * a_h * softplus(-D(i, j)). T starts as the identity and
    every a_h at 0, so step 0 equals the model without it exactly. D is computed at the table's full length and sliced,
    so it knows no sentence's length; what is illegal stays hidden whatever T becomes. Every layer learns a T of its
    own, and with `stage` another one in every stage of training.
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
        patterns = {
            "zeros": torch.zeros(n, n),
            "causal": j <= i,
            "window": (i - j).abs() <= options.radius,
            "full": torch.ones(n, n),
        }
        self.register_buffer("base", patterns[options.base].float(), persistent=False)
        if options.map == "linear":
            start = torch.eye(n).repeat(n_layers, 1, 1)
        else:
            start = torch.zeros(n_layers, options.kernel)
            start[:, options.kernel // 2] = 1.0
        # One parameter for each stage: what has no gradient is not moved, so a stage that is over stays as it ended.
        self.maps = nn.ParameterList(nn.Parameter(start.clone()) for _ in range(options.stages))
        self.amount = nn.Parameter(torch.zeros(n_layers, sizes.n_heads))
        self.network = _Network(options.hidden) if options.hidden else None

    def transformed(self, options: TransformOptions, layer: int) -> Float[Tensor, "max_length max_length"]:
        """Return D for one layer, over all positions of the table."""
        base, t = self.get_buffer("base"), self.maps[options.stage - 1][layer]
        with torch.autocast(base.device.type, enabled=False):
            mapped = self._apply_map(options, base, t)
            activation = _ACTIVATIONS[options.activation]
            if self.network is None:
                return activation(mapped)
            shaped: Tensor = self.network(mapped, activation)
            return shaped

    @staticmethod
    def _apply_map(options: TransformOptions, base: Tensor, t: Tensor) -> Tensor:
        if options.map == "linear":
            return t @ base if options.side == "left" else base @ t
        along = base.T if options.side == "left" else base
        mapped = F.conv1d(along[:, None], t[None, None], padding=options.kernel // 2)[:, 0]
        return mapped.mT if options.side == "left" else mapped

    def log_gate(self, options: TransformOptions, ctx: AttentionContext) -> Float[Tensor, "1 heads q kv"]:
        r = ctx.request
        # Rows and columns beyond the table cannot be asked for: the table covers what decoding may reach.
        d = self.transformed(options, ctx.layer)[r.q_idx][:, r.kv_idx]
        return self._gate(options, ctx.layer, d)[None]

    def _gate(
        self, options: TransformOptions, layer: int, d: Float[Tensor, "q kv"]
    ) -> Float[Tensor, "heads q kv"]:
        logs = float(options.strength) * log_gate(self.amount[layer][:, None, None], d[None])
        # A map of zeros gates every key alike. The softmax would drop that and keep its rounding errors; and even
        # gradients of zero would, as more numbers in a sum, round the norm that clips the others.
        return torch.zeros_like(logs) if options.base == "zeros" else logs

    @torch.no_grad()
    def picture(self, options: TransformOptions, layer: int, n: int) -> Float[Tensor, "heads n n"]:
        return self._gate(options, layer, self.transformed(options, layer)[:n, :n]).exp()


class _Network(nn.Module):
    """A one-dimensional network at every entry: the sum over units of v * activation(u * x + b)."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.ones(hidden))
        self.offset = nn.Parameter(torch.linspace(-1.0, 1.0, hidden))
        self.share = nn.Parameter(torch.full((hidden,), 1.0 / hidden))

    def forward(
        self, x: Float[Tensor, "n m"], activation: Callable[[Tensor], Tensor]
    ) -> Float[Tensor, "n m"]:
        """Return the network's value at every entry."""
        units = activation(x[..., None] * self.slope + self.offset)
        return (units * self.share).sum(-1)
