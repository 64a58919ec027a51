"""What passes between the model, the plan and the strategies: what is asked, what is known, what is answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskbench.masks.clock import Clock
from maskbench.masks.draws import Draws


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a strategy may know of the model and the vocabulary when it is built."""

    n_heads: int
    d_model: int
    encoder_layers: int
    decoder_layers: int
    vocab_size: int
    max_length: int
    """Positions a table must cover: the longest sequence of any split, or that decoding may reach."""
    id_of: Callable[[str], int | None]
    """The vocabulary id of a token, None where it has none."""

    def layers(self, site: str) -> int:
        """Return how many attention layers `site` has."""
        return self.encoder_layers if site == "encoder_self" else self.decoder_layers


@dataclass(frozen=True, slots=True)
class TokenInput:
    """A batch of token ids on its way into the encoder or the decoder, with what was done to it."""

    ids: Int[Tensor, "batch len"]
    zeroed: Bool[Tensor, "batch len"] | None = None
    """True where the word embedding is replaced by zeros (the position can still be attended to)."""
    picked: Bool[Tensor, "batch len"] | None = None
    """True where some strategy chose the token, whatever it put in its place."""


@dataclass(frozen=True, slots=True)
class TokenContext:
    """What a token mask is told."""

    current: TokenInput
    eligible: Bool[Tensor, "batch len"]
    """Real tokens that are not special and that no earlier strategy picked."""
    positions: Int[Tensor, "len"]
    """Positions of the columns; they do not start at 0 in cached decoding."""
    draws: Draws | None


@dataclass(frozen=True, slots=True)
class AttentionRequest:
    """One attention layer's question: which of these pairs stay, and with what bias?"""

    query: Float[Tensor, "batch heads q d"]
    key: Float[Tensor, "batch heads kv d"]
    x: Float[Tensor, "batch q d_model"]
    q_idx: Int[Tensor, "q"]
    """Positions of the queries: a single one in cached decoding."""
    kv_idx: Int[Tensor, "kv"]
    legal: Bool[Tensor, "#batch 1 #q kv"]
    """Causality and padding; the plan ANDs it to whatever the strategies say."""
    src_lengths: Int[Tensor, "batch"] | None
    """True source lengths; None at `decoder_self`. No strategy ever sees the target's length."""
    examples: Int[Tensor, "batch"]
    clock: Clock


@dataclass(frozen=True, slots=True)
class AttentionContext:
    """What an attention strategy is told: the request, the layer, and its keyed draws."""

    request: AttentionRequest
    site: str
    layer: int
    n_heads: int
    draws: Draws | None

    def indices(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return `(b, h, q_idx, kv_idx)`, each with four axes, ready for a `MaskMod`."""
        r = self.request
        b = torch.arange(len(r.examples), device=r.q_idx.device)
        h = torch.arange(self.n_heads, device=r.q_idx.device)
        return (
            b[:, None, None, None],
            h[None, :, None, None],
            r.q_idx[None, None, :, None],
            r.kv_idx[None, None, None],
        )


Normalise = Callable[[Tensor, Tensor], Tensor]
"""`(scores [b h q kv] with hidden pairs at -inf, keep) -> weights [b h q kv]`."""


@dataclass(frozen=True, slots=True)
class AttentionDecision:
    """The plan's answer to an `AttentionRequest`."""

    keep: Bool[Tensor, "#batch #heads #q kv"]
    """What may be attended to: every strategy's answer and legality."""
    bias: Float[Tensor, "#batch #heads #q #kv"] | None = None
    """The sum of score biases and log-gates, added to the scaled scores."""
    normaliser: Normalise | None = None
    """Turns scores into weights; None is the softmax."""
    head_gate: Float[Tensor, "#batch #heads"] | None = None
    """Weights in [0, 1] that multiply whole heads."""


@dataclass(frozen=True, slots=True)
class LossContext:
    """What a loss mask is told."""

    real: Bool[Tensor, "batch len"]
    """Target tokens, the end mark among them."""
    draws: Draws | None
