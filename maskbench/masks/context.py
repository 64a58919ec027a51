"""Data classes that the model, the plan and the strategies exchange: requests, contexts and decisions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskbench.config.schema.experiment import SMALL_FILL, Application
from maskbench.data.batches import Batch
from maskbench.masks.clock import Clock
from maskbench.masks.corpus_statistics import CorpusStatistics
from maskbench.masks.random_draws import Draws


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of the model, the vocabulary and the corpus; passed to a strategy's constructor."""

    n_heads: int
    d_model: int
    encoder_layers: int
    decoder_layers: int
    vocab_size: int
    max_length: int
    """Number of positions: the longest sequence of any split, and the longest that decoding may reach."""
    id_of: Callable[[str], int | None]
    """Returns the vocabulary id of a token, None for a token outside the vocabulary."""
    facts: CorpusStatistics = field(default_factory=CorpusStatistics)
    """Statistics of the training split."""

    def layers(self, site: str) -> int:
        """Return the number of attention layers of `site`."""
        return self.encoder_layers if site == "encoder_self" else self.decoder_layers


@dataclass(frozen=True, slots=True)
class TokenInput:
    """Token ids of an encoder or decoder input, with a record of what the token masks changed."""

    ids: Int[Tensor, "batch len"]
    zeroed: Bool[Tensor, "batch len"] | None = None
    """True where the word embedding is replaced by zeros (other positions can still attend to it)."""
    picked: Bool[Tensor, "batch len"] | None = None
    """True where a token mask picked the token, also if the id stayed the same."""
    lengths: Int[Tensor, "batch"] | None = None
    """True lengths after changes (at `encoder_input` only); None where no strategy changed them."""
    origin: Int[Tensor, "batch len"] | None = None
    """Original column of each column, -1 for a new column; None where no column moved."""

    def rearranged(
        self, columns: Int[Tensor, "batch new_len"], lengths: Int[Tensor, "batch"], fill: int
    ) -> TokenInput:
        """Return the input with columns moved, dropped or added; `zeroed`, `picked` and `origin` move along.

        Args:
            columns: for every column of the result the present column to copy, -1 for a new token.
            lengths: true lengths of the result.
            fill: the id of new tokens.
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
    """Gold annotations of a batch, for oracle strategies; None where the corpus has none."""

    junk: Bool[Tensor, "batch src"] | None = None
    """True on source tokens that the corpus marks as junk."""
    links: Bool[Tensor, "batch tgt src"] | None = None
    """True where the target token predicted at t translates source token s."""

    def moved(self, origin: Int[Tensor, "batch len"]) -> Annotations:
        """Return the annotations after source columns moved; a new token is neither junk nor linked.

        Args:
            origin: `TokenInput.origin`.
        """
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
    """The source side of a batch, as encoder and decoder use it."""

    ids: Int[Tensor, "batch src"]
    lengths: Int[Tensor, "batch"]
    """True lengths in tokens; later columns are padding."""
    examples: Int[Tensor, "batch"]
    """Example ids; random masks use them as counters."""
    annotations: Annotations = field(default_factory=Annotations)

    @classmethod
    def of(cls, batch: Batch) -> SourceBatch:
        """Return the source side of a batch, before any mask."""
        return cls(batch.src, batch.src_lengths, batch.ids, Annotations(batch.junk, batch.links))

    def after(self, masked: TokenInput) -> SourceBatch:
        """Return the source with the ids, lengths and annotations it has after the token masks."""
        annotations = self.annotations if masked.origin is None else self.annotations.moved(masked.origin)
        lengths = self.lengths if masked.lengths is None else masked.lengths
        return SourceBatch(masked.ids, lengths, self.examples, annotations)

    def select(self, rows: Int[Tensor, "kept"]) -> SourceBatch:
        """Return these sentences of the batch, in this order."""
        junk, links = self.annotations.junk, self.annotations.links
        kept = Annotations(None if junk is None else junk[rows], None if links is None else links[rows])
        return SourceBatch(self.ids[rows], self.lengths[rows], self.examples[rows], kept)


@dataclass(frozen=True, slots=True)
class TokenContext:
    """Input of a token mask."""

    current: TokenInput
    eligible: Bool[Tensor, "batch len"]
    """True at real tokens that are not special and that no earlier strategy picked."""
    positions: Int[Tensor, "len"]
    """Positions of the columns; they do not start at 0 in cached decoding."""
    draws: Draws | None
    lengths: Int[Tensor, "batch"]
    """True lengths in tokens; later columns are padding. Must not be read at `decoder_input`."""
    examples: Int[Tensor, "batch"] | None = None
    """Example ids, to name a sentence in an error message."""


@dataclass(frozen=True, slots=True)
class AttentionRequest:
    """Input of `MaskPlan.decide_attention`: queries, keys, positions and what is known of the batch."""

    query: Float[Tensor, "batch heads q d"]
    keys: Float[Tensor, "sentences heads kv d"]
    """Keys of every sentence; `key` has those of every row."""
    x: Float[Tensor, "batch q d_model"]
    q_idx: Int[Tensor, "q"]
    """Positions of the queries; one position in cached decoding."""
    kv_idx: Int[Tensor, "kv"]
    """Positions of the keys."""
    legal: Bool[Tensor, "#batch 1 #q kv"]
    """True at pairs that causality and padding allow; the plan ANDs it with the strategies' masks."""
    src_lengths: Int[Tensor, "batch"] | None
    """True source lengths in tokens; None at `decoder_self`. Strategies never get target lengths."""
    examples: Int[Tensor, "batch"]
    clock: Clock
    src_ids: Int[Tensor, "batch src"] | None = None
    """Source tokens after the token masks; None at `decoder_self`."""
    tgt_ids: Int[Tensor, "batch so_far"] | None = None
    """Decoder inputs up to the last query; None at `encoder_self`. A query may use those up to its
    position."""
    annotations: Annotations = field(default_factory=Annotations)
    sentence: Int[Tensor, "batch"] | None = None
    """Index of each row's sentence in `keys`, where hypotheses of a sentence share them; None: row i has keys i."""

    @property
    def key(self) -> Float[Tensor, "batch heads kv d"]:
        """Keys of every row; copied where rows share them."""
        return self.keys if self.sentence is None else self.keys.index_select(0, self.sentence)

    @classmethod
    def of_positions(
        cls,
        q_idx: Int[Tensor, "q"],
        kv_idx: Int[Tensor, "kv"],
        examples: Int[Tensor, "batch"],
        clock: Clock,
        n_heads: int,
    ) -> AttentionRequest:
        """Return a request without content, for patterns that read positions only; all pairs are legal."""
        batch, q, kv = len(examples), len(q_idx), len(kv_idx)
        query = torch.zeros(batch, n_heads, q, 0, device=q_idx.device)
        key = torch.zeros(batch, n_heads, kv, 0, device=q_idx.device)
        legal = torch.ones(1, 1, q, kv, dtype=torch.bool, device=q_idx.device)
        return cls(query, key, query.new_zeros(batch, q, 0), q_idx, kv_idx, legal, None, examples, clock)


@dataclass(frozen=True, slots=True)
class AttentionContext:
    """Input of an attention strategy: the request, the site, the layer and the placement's draws."""

    request: AttentionRequest
    site: str
    layer: int
    n_heads: int
    draws: Draws | None

    def indices(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return `(b, h, q_idx, kv_idx)`, each with four broadcastable axes, as arguments of a `MaskMod`."""
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
    """Output of `MaskPlan.decide_attention`: everything that changes one attention layer."""

    keep: Bool[Tensor, "#batch #heads #q kv"]
    """True at pairs that may be attended to: legality AND every mask."""
    bias: Float[Tensor, "#batch #heads #q #kv"] | None = None
    """Sum of score biases and log-gates; attention adds it to the scaled scores."""
    normaliser: Normalise | None = None
    """Computes weights from scores; None: the softmax."""
    factors: Float[Tensor, "#batch #heads #q #kv"] | None = None
    """Attention multiplies the weights by these after the normaliser; rows then need not sum to 1."""
    head_gate: Float[Tensor, "#batch #heads"] | None = None
    """Attention multiplies each head's output by these."""
    apply: Application = "hard"
    """How `keep` is applied to the scores."""
    fill: float = SMALL_FILL
    """Score of hidden pairs where `apply` is "small_fill"."""


@dataclass(frozen=True, slots=True)
class GateContext:
    """Input of a gate on the embeddings, the memory or the vocabulary scores."""

    positions: Int[Tensor, "len"]
    """Positions of the columns; they do not start at 0 in cached decoding."""
    draws: Draws | None


@dataclass(frozen=True, slots=True)
class LogitContext:
    """Input of a logit mask."""

    prefix: Int[Tensor, "batch so_far"]
    """Decoder inputs up to the last row; row t may use `prefix[:, : position(t) + 1]`."""
    positions: Int[Tensor, "len"]
    """Positions of the rows of scores to mask; the last ones of `prefix`."""
    src_ids: Int[Tensor, "batch src"]
    """Source tokens before any token mask."""
    src_lengths: Int[Tensor, "batch"]
    clock: Clock
    draws: Draws | None = None

    def with_draws(self, draws: Draws | None) -> LogitContext:
        """Return the same context with these draws."""
        return replace(self, draws=draws)


@dataclass(frozen=True, slots=True)
class LossContext:
    """Input of a loss mask."""

    real: Bool[Tensor, "batch len"]
    """True at target tokens and their end mark, False at padding."""
    draws: Draws | None
    losses: Callable[[], Float[Tensor, "batch len"]]
    """Returns every real token's negative log-likelihood in nats, without gradient; 0 at padding."""
