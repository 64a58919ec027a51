"""Masks that follow from annotations or marks in the text: `oracle`, `align_window` and `document`.

The first two read the corpus's gold annotations, so they are upper bounds, not usable on real tasks.
"""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor

from maskbench.data.padding import real_tokens
from maskbench.data.vocabulary import SPECIAL_NAMES, UNK
from maskbench.errors import ConfigError
from maskbench.masks.base import ATTENTION_SITES, AttentionMask, MaskMod, StrategyOptions
from maskbench.masks.context import AttentionContext, Sizes
from maskbench.masks.schedules import Radius
from maskbench.registry import MASKS


class OracleOptions(StrategyOptions):
    """The oracle has no options."""


@MASKS.register("oracle")
class Oracle(AttentionMask):
    """Hides exactly the source tokens that the corpus marks as junk, whoever asks.

    keep(i, j) = not junk(j). Placed at `encoder_self` and `cross` both, no junk word has any influence but on the
    positions of the words behind it. Where every token of a source is junk, rows are empty.
    """

    sites = frozenset({"encoder_self", "cross"})
    depends_on = frozenset({"annotation"})
    needs = frozenset({"junk"})
    may_empty_rows = True
    source = "the upper bound for masks against interference; maskbench 2026"
    Options = OracleOptions
    example = OracleOptions()

    def mask_mod(self, options: OracleOptions, ctx: AttentionContext) -> MaskMod:
        junk = ctx.request.annotations.junk
        assert junk is not None  # needs junk: the plan refuses a corpus without
        marks = junk

        def keep(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
            known = kv_idx < marks.shape[1]
            return ~(marks[b, kv_idx.clamp(max=marks.shape[1] - 1)] & known)

        return keep


class AlignWindowOptions(StrategyOptions):
    """How much is seen around the aligned words."""

    width: Radius = 1
    """Greatest distance from a source token that the target token translates."""


@MASKS.register("align_window")
class AlignWindow(AttentionMask):
    """Every target token sees the source tokens it translates, by the gold alignment, and their neighbours.

    keep(t, s) = |s - s'| <= width for some s' linked to the target token predicted at t. A target token without links
    sees everything, and so does every position beyond the reference. In free translation the links are still those of
    the reference, position by position: they fit as long as the translation keeps to it.
    """

    sites = frozenset({"cross"})
    depends_on = frozenset({"annotation"})
    needs = frozenset({"links"})
    source = "Garg et al. 2019 (supervised alignment, arXiv:1909.02074), as a hard mask"
    Options = AlignWindowOptions
    example = AlignWindowOptions(width=0)

    def mask_mod(self, options: AlignWindowOptions, ctx: AttentionContext) -> MaskMod:
        links, lengths = ctx.request.annotations.links, ctx.request.src_lengths
        assert links is not None and lengths is not None  # needs links: the plan refuses a corpus without
        rows, columns = links.shape[1:]
        # Padding has no links, whatever stands in its columns.
        links = links & real_tokens(lengths, columns)[:, None]
        width = min(int(options.width), columns)
        around = F.max_pool1d(links.float(), 2 * width + 1, stride=1, padding=width) > 0
        around = around | ~links.any(-1, keepdim=True)

        def keep(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
            beyond = (q_idx >= rows) | (kv_idx >= columns)
            return beyond | around[b, q_idx.clamp(max=rows - 1), kv_idx.clamp(max=columns - 1)]

        return keep


class DocumentOptions(StrategyOptions):
    """Where a document ends."""

    separator: str
    """The vocabulary entry that ends a document, as the vocabulary writes it."""


@MASKS.register("document")
class Document(AttentionMask):
    """Attention stays within a document: a query sees the keys of its own one only.

    keep(i, j) = d(i) = d(j). In the source, d counts the separators before a position: a separator is the last word of
    the document it ends. A decoder position predicts the word after the one it reads, so there d counts the separator
    it reads as well: having read one, the decoder is in the next document, at `decoder_self` and when it looks for that
    document in the source. A document that the source does not have leaves the row at `cross` empty. Tokens count as
    they are read: a token mask that hides a separator joins two documents.
    """

    sites = ATTENTION_SITES
    depends_on = frozenset({"input"})
    may_empty_rows = True
    source = "Bao et al. 2021 (group attention of G-Transformer, arXiv:2105.14761)"
    Options = DocumentOptions
    example = DocumentOptions(separator=".")

    def __init__(self, options: DocumentOptions, sizes: Sizes, site: str) -> None:
        super().__init__(options, sizes, site)
        found = UNK if options.separator == SPECIAL_NAMES[UNK] else sizes.id_of(options.separator)
        if found is None:
            raise ConfigError(
                f"document: the vocabulary has no entry {options.separator!r}; "
                "give one as the vocabulary writes it (with BPE, a piece of a word)"
            )
        self.separator = found
        self.may_empty_rows = site == "cross"

    def _source_documents(self, ctx: AttentionContext) -> Int[Tensor, "batch src"]:
        ids = ctx.request.src_ids
        assert ids is not None  # a request at this site has them
        ends = (ids == self.separator).long()
        return ends.cumsum(1) - ends

    def _target_documents(self, ctx: AttentionContext) -> Int[Tensor, "batch so_far"]:
        ids = ctx.request.tgt_ids
        assert ids is not None  # a request at this site has them
        return (ids == self.separator).long().cumsum(1)

    def mask_mod(self, options: DocumentOptions, ctx: AttentionContext) -> MaskMod:
        query_documents = (
            self._source_documents(ctx) if self.site == "encoder_self" else self._target_documents(ctx)
        )
        key_documents = (
            self._target_documents(ctx) if self.site == "decoder_self" else self._source_documents(ctx)
        )

        def keep(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
            return query_documents[b, q_idx] == key_documents[b, kv_idx]

        return keep
