"""What passes between the model, the plan and the strategies: what is asked, what is known, what is answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskbench.config.schema.experiment import Application
from maskbench.data.batches import Batch
from maskbench.masks.clock import Clock
from maskbench.masks.corpus_statistics import CorpusStatistics
from maskbench.masks.random_draws import Draws


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
    facts: CorpusStatistics = field(default_factory=CorpusStatistics)
    """What is known of the corpus."""

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
    lengths: Int[Tensor, "batch"] | None = None
    """True lengths, where a strategy changed them (at `encoder_input` only); None where none did."""
    origin: Int[Tensor, "batch len"] | None = None
    """The column each column had before any strategy acted, -1 where it is new; None where nothing moved."""

    def rearranged(
        self, columns: Int[Tensor, "batch new_len"], lengths: Int[Tensor, "batch"], fill: int
    ) -> TokenInput:
        """Return the input with its columns moved, dropped or added; what was known of them moves along.

        Args:
            columns: for every new column the present one it shows, -1 for a new token, which gets the id `fill`.
            lengths: true lengths afterwards.
        """
        new, at = columns < 0, columns.clamp(min=0)

        def moved(values: Tensor, otherwise: int) -> Tensor:
            return values.gather(1, at).masked_fill(new, otherwise)

        before = torch.arange(self.ids.shape[1], device=columns.device).expand_as(self.ids)
        return TokenInput(
            moved(self.ids, fill),
            None if self.zeroed is None else moved(self.zeroed, False),
            None if self.picked is None else moved(self.picked, True),
            lengths,
            moved(before if self.origin is None else self.origin, -1),
        )


@dataclass(frozen=True, slots=True)
class Annotations:
    """Gold knowledge about a batch, for oracle strategies; None where the corpus gives none."""

    junk: Bool[Tensor, "batch src"] | None = None
    """True on source tokens that the corpus marks as junk."""
    links: Bool[Tensor, "batch tgt src"] | None = None
    """True where the target token predicted at t translates source token s."""

    def moved(self, origin: Int[Tensor, "batch len"]) -> Annotations:
        """Return the annotations of sources whose columns were moved; a new token is neither junk nor linked."""
        at, new = origin.clamp(min=0), origin < 0
        junk, links = self.junk, self.links
        if junk is not None:
            junk = junk.gather(1, at) & ~new
        if links is not None:
            wide = at[:, None].expand(-1, links.shape[1], -1)
            links = links.gather(2, wide) & ~new[:, None]
        return Annotations(junk, links)


@dataclass(frozen=True, slots=True)
class SourceBatch:
    """The source side of a batch, as the encoder reads it and the decoder looks back at it."""

    ids: Int[Tensor, "batch src"]
    lengths: Int[Tensor, "batch"]
    """True lengths; what lies beyond is padding."""
    examples: Int[Tensor, "batch"]
    """Example ids, which key random masks."""
    annotations: Annotations = field(default_factory=Annotations)

    @classmethod
    def of(cls, batch: Batch) -> SourceBatch:
        """Return a batch's source side before any mask."""
        return cls(batch.src, batch.src_lengths, batch.ids, Annotations(batch.junk, batch.links))

    def after(self, masked: TokenInput) -> SourceBatch:
        """Return the source as it stands after the token masks."""
        annotations = self.annotations if masked.origin is None else self.annotations.moved(masked.origin)
        lengths = self.lengths if masked.lengths is None else masked.lengths
        return SourceBatch(masked.ids, lengths, self.examples, annotations)

    def select(self, rows: Int[Tensor, "kept"]) -> SourceBatch:
        """Return only these sentences of the batch, in this order."""
        junk, links = self.annotations.junk, self.annotations.links
        kept = Annotations(None if junk is None else junk[rows], None if links is None else links[rows])
        return SourceBatch(self.ids[rows], self.lengths[rows], self.examples[rows], kept)


@dataclass(frozen=True, slots=True)
class TokenContext:
    """What a token mask is told."""

    current: TokenInput
    eligible: Bool[Tensor, "batch len"]
    """Real tokens that are not special and that no earlier strategy picked."""
    positions: Int[Tensor, "len"]
    """Positions of the columns; they do not start at 0 in cached decoding."""
    draws: Draws | None
    lengths: Int[Tensor, "batch"]
    """True lengths; what lies beyond is padding. Not to be read at `decoder_input`."""
    examples: Int[Tensor, "batch"] | None = None
    """Example ids, to name a sentence in a message."""


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
    src_ids: Int[Tensor, "batch src"] | None = None
    """Source tokens as the encoder read them; None at `decoder_self`."""
    tgt_ids: Int[Tensor, "batch so_far"] | None = None
    """Decoder inputs up to the last query, None at `encoder_self`. A query may use those at and before its position."""
    annotations: Annotations = field(default_factory=Annotations)

    @classmethod
    def of_positions(
        cls,
        q_idx: Int[Tensor, "q"],
        kv_idx: Int[Tensor, "kv"],
        examples: Int[Tensor, "batch"],
        clock: Clock,
        n_heads: int,
    ) -> AttentionRequest:
        """Return the question about positions alone, for patterns that read nothing else; all pairs are legal."""
        batch, q, kv = len(examples), len(q_idx), len(kv_idx)
        query = torch.zeros(batch, n_heads, q, 0, device=q_idx.device)
        key = torch.zeros(batch, n_heads, kv, 0, device=q_idx.device)
        legal = torch.ones(1, 1, q, kv, dtype=torch.bool, device=q_idx.device)
        return cls(query, key, query.new_zeros(batch, q, 0), q_idx, kv_idx, legal, None, examples, clock)


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
    factors: Float[Tensor, "#batch #heads #q #kv"] | None = None
    """Multiplies the weights after the normaliser; rows then need not sum to one."""
    head_gate: Float[Tensor, "#batch #heads"] | None = None
    """Multiplies whole heads, after the values."""
    apply: Application = "hard"
    """How `keep` is applied to the scores."""


@dataclass(frozen=True, slots=True)
class GateContext:
    """What a gate on embeddings, the memory or the vocabulary scores is told."""

    positions: Int[Tensor, "len"]
    """Positions of the columns; they do not start at 0 in cached decoding."""
    draws: Draws | None


@dataclass(frozen=True, slots=True)
class LogitContext:
    """What a logit mask is told."""

    prefix: Int[Tensor, "batch so_far"]
    """Decoder inputs up to the last row: what row t may use is `prefix[:, : position(t) + 1]`."""
    positions: Int[Tensor, "len"]
    """Positions of the rows that are asked about; the last ones of `prefix`."""
    src_ids: Int[Tensor, "batch src"]
    """Source tokens before any token mask."""
    src_lengths: Int[Tensor, "batch"]
    clock: Clock
    draws: Draws | None = None

    def with_draws(self, draws: Draws | None) -> LogitContext:
        """Return the context with a placement's draws."""
        return replace(self, draws=draws)


@dataclass(frozen=True, slots=True)
class LossContext:
    """What a loss mask is told."""

    real: Bool[Tensor, "batch len"]
    """Target tokens, the end mark among them."""
    draws: Draws | None
    losses: Callable[[], Float[Tensor, "batch len"]]
    """Computes every real token's negative log-likelihood, in nats and without gradient; zeros on padding."""
