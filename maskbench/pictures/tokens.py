"""Pictures of masks outside attention: on input tokens, on the loss, on vectors and on the vocabulary."""

from __future__ import annotations

import torch
from torch import Tensor

from maskbench.data.vocabulary import EOS, MASK
from maskbench.masks.base import TensorGate
from maskbench.masks.clock import Clock
from maskbench.masks.context import GateContext, LogitContext, TokenInput
from maskbench.masks.placement import PlacedStrategy
from maskbench.masks.plan import MaskPlan
from maskbench.pictures.mask_picture import Grid, Token, TokenRow, TokenState
from maskbench.pictures.sample_pair import SamplePair, keyed_normal, token_text

_DIMENSIONS = 24
"""How many dimensions of a gate on vectors are drawn."""


@torch.no_grad()
def draw_changed_tokens(
    plan: MaskPlan, placed: PlacedStrategy, sample: SamplePair, clock: Clock, label: str
) -> TokenRow:
    """Return the sample sentence after the token masks at the placement's site."""
    ids = sample.src if placed.site == "encoder_input" else sample.tgt
    lengths = torch.tensor([ids.shape[1]])
    found = plan.corrupt(placed.site, ids, lengths, torch.zeros(1, dtype=torch.int64), clock)
    length = int(found.lengths[0]) if found.lengths is not None else ids.shape[1]
    origin = found.origin[0] if found.origin is not None else torch.arange(found.ids.shape[1])
    tokens = [_token(found, ids[0], int(origin[t]), t) for t in range(length)]
    return TokenRow(label, tuple(tokens))


def _token(found: TokenInput, before: Tensor, origin: int, t: int) -> Token:
    now = int(found.ids[0, t])
    picked = found.picked is not None and bool(found.picked[0, t])
    if found.zeroed is not None and bool(found.zeroed[0, t]):
        return Token(token_text(int(before[origin])) if origin >= 0 else token_text(now), "zeroed")
    if origin < 0:
        return Token(token_text(now), "new")
    old = int(before[origin])
    state: TokenState = "kept" if picked else "shown"
    if now != old:
        state = "masked" if now == MASK else "replaced"
    return Token(token_text(old if state == "masked" else now), state)


@torch.no_grad()
def draw_counted_tokens(
    plan: MaskPlan, placed: PlacedStrategy, sample: SamplePair, clock: Clock, label: str
) -> TokenRow:
    """Return the target tokens, marked by whether they count in the loss; their losses are random."""
    gold = torch.cat([sample.tgt[:, 1:], torch.tensor([[EOS]])], 1)
    real = torch.ones(gold.shape, dtype=torch.bool)
    losses = keyed_normal("losses", *gold.shape).abs()
    examples = torch.zeros(1, dtype=torch.int64)
    weights = plan.loss_weights(real, examples, clock, lambda: losses)
    kept = torch.ones(gold.shape) if weights is None else weights
    pairs = zip(gold[0].tolist(), kept[0].tolist(), strict=True)
    return TokenRow(
        label, tuple(Token(token_text(token), "shown" if w > 0 else "left out") for token, w in pairs)
    )


@torch.no_grad()
def draw_gate(placed: PlacedStrategy, sample: SamplePair, clock: Clock) -> Grid:
    """Return a gate's factors [positions, dimensions], relative to the largest."""
    assert isinstance(placed.strategy, TensorGate)
    source = placed.site in ("encoder_input", "memory")
    n = (sample.src if source else sample.tgt).shape[1]
    width = sample.sizes.vocab_size if placed.site == "logits" else sample.sizes.d_model
    examples = torch.zeros(1, dtype=torch.int64)
    context = GateContext(torch.arange(n), placed.draws(clock, examples))
    tensor = keyed_normal("tensor", 1, n, width)
    gate = placed.strategy.gate(placed.options_at(clock, 0, examples), tensor, context)
    factors = gate.expand(1, n, width)[0, :, :_DIMENSIONS].float()
    return Grid("", (factors / factors.max().clamp(min=1.0)).numpy())


@torch.no_grad()
def draw_allowed_vocabulary(plan: MaskPlan, placed: PlacedStrategy, sample: SamplePair, clock: Clock) -> Grid:
    """Return which vocabulary entries may be output [positions, vocabulary]."""
    n = sample.tgt.shape[1]
    lengths = torch.tensor([sample.src.shape[1]])
    context = LogitContext(sample.tgt, torch.arange(n), sample.src, lengths, clock)
    scores = torch.zeros(1, n, sample.sizes.vocab_size)
    left = plan.mask_logits(scores, context, None, torch.zeros(1, dtype=torch.int64))
    return Grid("", (left[0] == 0).float().numpy())
