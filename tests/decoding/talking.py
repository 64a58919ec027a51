"""Random models that say many different things, and sentences for them to translate."""

from __future__ import annotations

import torch
from helpers import VOCAB, placement, plan, tiny_model
from torch import Tensor

import maskbench.masks  # noqa: F401  (fills the registry)
from maskbench.data.vocabulary import EOS, PAD
from maskbench.masks.clock import Clock
from maskbench.masks.context import Annotations, Sizes, SourceBatch
from maskbench.masks.plan import MaskPlan
from maskbench.model.transformer import EncoderDecoder
from maskbench.registry import MASKS

EVAL = Clock.evaluation(3, 10)


def example_plan(mask: str, site: str, of: Sizes) -> MaskPlan:
    """The example of a strategy at a site, acting in evaluation too, and what must stand beside it."""
    strategy = MASKS.lookup(mask)
    placed = placement(site, mask, **strategy.example.model_dump(mode="json"))
    return plan(placed.model_copy(update={"phases": ("train", "eval")}), *strategy.example_arm, of=of)


def talking_model(arm: MaskPlan, ending: float = 0.5) -> EncoderDecoder:
    """A random model whose sentences have many different words and end somewhere, sooner the greater `ending`.

    With tied embeddings a random model goes on saying what it read last. Here every token gets another one's score, so
    that it walks through the vocabulary.
    """
    model = tiny_model(arm).eval()
    with torch.no_grad():
        model.decoder.norm.weight.fill_(1.0)
        table = model.words.table("output")
        table.copy_(table / table.norm(dim=1, keepdim=True))
    size = arm.sizes.vocab_size
    honest, other = model.logits, torch.arange(size) * 5 % size
    bonus = torch.zeros(size, dtype=torch.float64)
    bonus[EOS] = ending

    def logits(hidden: Tensor) -> Tensor:
        return honest(hidden)[..., other] + bonus

    model.logits = logits  # type: ignore[method-assign]
    return model


def sentences(
    n: int, seed: int, vocab: int = VOCAB, longest: int = 7, annotated: bool = False
) -> SourceBatch:
    """`n` sources of 1 to `longest` tokens, end mark included, with padding.

    Args:
        annotated: also mark junk and link every target position to a source token.
    """
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, longest + 1, (n,), generator=generator)
    ids = torch.randint(5, vocab, (n, longest), generator=generator)
    columns = torch.arange(longest)
    ids = torch.where(columns < lengths[:, None] - 1, ids, EOS)
    ids = torch.where(columns < lengths[:, None], ids, PAD)
    marks = Annotations()
    if annotated:
        junk = (columns % 3 == 1) & (columns < lengths[:, None] - 1)
        partner = (2 * torch.arange(24) + 1) % lengths[:, None]
        marks = Annotations(junk, partner[:, :, None] == columns)
    return SourceBatch(ids, lengths, torch.arange(n) + 50, marks)


def rows_of(source: SourceBatch, rows: list[int]) -> SourceBatch:
    """Some of the sentences, without the padding that none of them needs."""
    some = source.select(torch.tensor(rows))
    width = int(some.lengths.max())
    junk, links = some.annotations.junk, some.annotations.links
    marks = Annotations(
        None if junk is None else junk[:, :width], None if links is None else links[:, :, :width]
    )
    return SourceBatch(some.ids[:, :width], some.lengths, some.examples, marks)
