"""The encoder-decoder Transformer (Vaswani et al. 2017); it calls the arm's plan at every site of a mask.

Axes: batch, src, tgt (lengths), d_model, heads, vocab. Lengths are true lengths in tokens; later columns are
padding, which no real position reads.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from maskbench.config.schema.experiment import ModelConfig, RunConfig
from maskbench.data.batches import Batch
from maskbench.data.corpus import Corpus
from maskbench.masks.clock import Clock
from maskbench.masks.context import Sizes, SourceBatch, TokenInput
from maskbench.masks.corpus_statistics import collect_statistics
from maskbench.masks.plan import MaskPlan
from maskbench.model.attention import AttentionInputs, Watcher
from maskbench.model.attention_path import rules_of
from maskbench.model.blocks import DecoderLayer, EncoderLayer
from maskbench.model.cache import DecoderCache
from maskbench.model.dropout import Dropout
from maskbench.model.embedding import PositionEmbedding, WordEmbeddings
from maskbench.model.initialise import initialise
from maskbench.model.row_groups import RowGroups


class Stack(nn.Module):
    """The encoder or the decoder: position embedding, layers and final norm."""

    def __init__(self, layers: list[nn.Module], config: ModelConfig, max_length: int) -> None:
        super().__init__()
        self.positions = PositionEmbedding(config.positions, max_length, config.d_model)
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(config.d_model)


class EncoderDecoder(nn.Module):
    """The model of one run: its weights and, as `masks`, the plan of its arm."""

    def __init__(self, config: ModelConfig, plan: MaskPlan, vocab_size: int, max_length: int) -> None:
        """Build the model without initial weights; `build_model` also initialises them.

        Args:
            vocab_size: number of entries of the joint vocabulary.
            max_length: number of positions: the maximal length of a source, target or decoded translation.
        """
        super().__init__()
        self.config = config
        self.max_length = max_length
        self.words = WordEmbeddings(vocab_size, config.d_model, config.tied)
        self.encoder = Stack([EncoderLayer(config) for _ in range(config.encoder_layers)], config, max_length)
        self.decoder = Stack([DecoderLayer(config) for _ in range(config.decoder_layers)], config, max_length)
        self.dropout = Dropout(config.dropout)
        self.masks = plan
        self.attention_paths = rules_of(config)
        self.watcher: Watcher | None = None
        """Called with the weights of every attention layer; used by
        `maskbench.metrics.attention_statistics`."""

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.encoder.norm.weight.device

    def encode(
        self, inputs: TokenInput, source: SourceBatch, clock: Clock
    ) -> Float[Tensor, "batch src d_model"]:
        """Return the encoder's output, with the plan's gates at `memory` applied.

        Args:
            inputs: the source tokens after the arm's token masks.
            source: the source after the token masks (`SourceBatch.after`).
        """
        x = self._embed("encoder", inputs, 0, source.examples, clock)
        here = torch.arange(x.shape[1], device=x.device)
        scene = self._scene("encoder_self", here, here, source, None, clock)
        for i, layer in enumerate(self.encoder.layers):
            x = layer(x, scene, i)
        return self.masks.gate_memory(self.encoder.norm(x), clock, source.examples)

    def decode(
        self,
        inputs: TokenInput,
        memory: Float[Tensor, "sentences src d_model"],
        source: SourceBatch,
        clock: Clock,
        cache: DecoderCache | None = None,
    ) -> Float[Tensor, "batch tgt d_model"]:
        """Return the decoder's final states, one per position of `inputs`.

        With a cache, `inputs` holds only the positions that are new since the last call, and the first call
        alone reads `memory`: its keys and values are kept, once for all rows of a sentence.
        """
        start = 0 if cache is None else cache.length
        ids = inputs.ids if cache is None else cache.said(inputs.ids)
        x = self._embed("decoder", inputs, start, source.examples, clock)
        so_far = torch.arange(start + x.shape[1], device=x.device)
        sources = torch.arange(memory.shape[1], device=x.device)
        own = self._scene("decoder_self", so_far[start:], so_far, source, ids, clock)
        groups = None if cache is None else cache.groups
        cross = self._scene("cross", so_far[start:], sources, source, ids, clock, groups)
        for i, layer in enumerate(self.decoder.layers):
            x = layer(x, memory, (own, cross), i, None if cache is None else cache.layers[i])
        if cache is not None:
            cache.length = len(so_far)
        hidden: Tensor = self.decoder.norm(x)
        return hidden

    def logits(self, hidden: Float[Tensor, "*rows d_model"]) -> Float[Tensor, "*rows vocab"]:
        """Return raw vocabulary scores; callers apply gates and logit masks through `masks`."""
        return self.words.logits(hidden)

    def read(self, batch: Batch, clock: Clock) -> tuple[TokenInput, SourceBatch]:
        """Return a batch's source after the arm's token masks, as arguments of `encode`."""
        source = SourceBatch.of(batch)
        masked = self.masks.corrupt("encoder_input", batch.src, batch.src_lengths, batch.ids, clock)
        return masked, source.after(masked)

    def hidden(self, batch: Batch, clock: Clock) -> Float[Tensor, "batch tgt d_model"]:
        """Return the decoder's states under teacher forcing, with token masks on both inputs.

        Select the real tokens from these states to avoid computing the scores of padding.
        """
        src, source = self.read(batch, clock)
        tgt = self.masks.corrupt("decoder_input", batch.tgt_in, batch.tgt_lengths, batch.ids, clock)
        memory = self.encode(src, source, clock)
        return self.decode(tgt, memory, source, clock)

    def forward(self, batch: Batch, clock: Clock) -> Float[Tensor, "batch tgt vocab"]:
        """Return raw vocabulary scores under teacher forcing: scores at t predict `batch.tgt_out[:, t]`."""
        return self.logits(self.hidden(batch, clock))

    def _embed(
        self,
        side: Literal["encoder", "decoder"],
        inputs: TokenInput,
        start: int,
        examples: Int[Tensor, "batch"],
        clock: Clock,
    ) -> Float[Tensor, "batch len d_model"]:
        words = self.words.embed("src" if side == "encoder" else "tgt", inputs)
        stack = self.encoder if side == "encoder" else self.decoder
        placed = stack.positions(words, start)
        x = self.masks.modify_embeddings(f"{side}_input", placed, inputs, clock, examples, start)
        dropped: Tensor = self.dropout(x)
        return dropped

    def _scene(
        self,
        site: str,
        q_idx: Tensor,
        kv_idx: Tensor,
        source: SourceBatch,
        tgt_ids: Tensor | None,
        clock: Clock,
        groups: RowGroups | None = None,
    ) -> AttentionInputs:
        return AttentionInputs(
            site,
            self.masks,
            q_idx,
            kv_idx,
            source,
            tgt_ids,
            clock,
            self.watcher,
            self.attention_paths,
            groups,
        )


def collect_sizes(config: RunConfig, corpus: Corpus) -> Sizes:
    """Return the sizes of a run's model and corpus, for its strategies."""
    model, vocabulary = config.model, corpus.vocabulary
    return Sizes(
        n_heads=model.n_heads,
        d_model=model.d_model,
        encoder_layers=model.encoder_layers,
        decoder_layers=model.decoder_layers,
        vocab_size=len(vocabulary),
        max_length=corpus.max_length,
        id_of=vocabulary.id_of,
        facts=collect_statistics(corpus),
    )


def build_model(config: RunConfig, corpus: Corpus, seed: int) -> EncoderDecoder:
    """Return the initialised model of a run, with its arm's plan."""
    plan = MaskPlan(config.masks, seed=seed, streams=config.streams, sizes=collect_sizes(config, corpus))
    built = EncoderDecoder(config.model, plan, len(corpus.vocabulary), corpus.max_length)
    initialise(built, seed, config.streams)
    return built
