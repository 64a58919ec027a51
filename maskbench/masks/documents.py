"""Several documents in one sequence, kept apart."""

from __future__ import annotations

from jaxtyping import Int
from torch import Tensor

from maskbench.data.vocabulary import SPECIAL_NAMES, UNK
from maskbench.errors import ConfigError
from maskbench.masks.base import ATTENTION_SITES, AttentionMask, MaskMod, StrategyOptions
from maskbench.masks.context import AttentionContext, Sizes
from maskbench.registry import MASKS


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

    def _of_source(self, ctx: AttentionContext) -> Int[Tensor, "batch src"]:
        ids = ctx.request.src_ids
        assert ids is not None  # a request at this site has them
        ends = (ids == self.separator).long()
        return ends.cumsum(1) - ends

    def _of_target(self, ctx: AttentionContext) -> Int[Tensor, "batch so_far"]:
        ids = ctx.request.tgt_ids
        assert ids is not None  # a request at this site has them
        return (ids == self.separator).long().cumsum(1)

    def mask_mod(self, at: DocumentOptions, ctx: AttentionContext) -> MaskMod:
        of_queries = self._of_source(ctx) if self.site == "encoder_self" else self._of_target(ctx)
        of_keys = self._of_target(ctx) if self.site == "decoder_self" else self._of_source(ctx)

        def keep(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
            return of_queries[b, q_idx] == of_keys[b, kv_idx]

        return keep
