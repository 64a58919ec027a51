"""A small annotated split, models around it, and its attention weights sentence by sentence, straight from the layers."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from helpers import plan, sizes, tiny_model
from torch import Tensor

from maskbench.config.schema.experiment import PlacementConfig
from maskbench.data.batches import collate
from maskbench.data.corpus import Ragged, Split
from maskbench.data.vocabulary import EOS, N_SPECIAL
from maskbench.masks.clock import Clock
from maskbench.model import attention
from maskbench.model.transformer import EncoderDecoder

EVAL = Clock.evaluation(5, 10)
LENGTHS = ((7, 5), (4, 8), (6, 3), (9, 6), (5, 2), (3, 9), (2, 4))
"""Source and target tokens of every pair, end marks included."""


def split(*rows: int) -> Split:
    """Pairs of all lengths, or those of `rows`; every third source word is junk, some target words link to nothing."""
    lengths = [LENGTHS[i] for i in rows or range(len(LENGTHS))]
    src = [[N_SPECIAL + (5 * s + 3 * n) % 17 for s in range(n - 1)] + [EOS] for n, _ in lengths]
    tgt = [[N_SPECIAL + (7 * t + m) % 17 for t in range(m - 1)] + [EOS] for _, m in lengths]
    junk = [[int(s % 3 == 2 and s < n - 1) for s in range(n)] for n, _ in lengths]
    links = [
        [t * n + (2 * t + 1) % (n - 1) for t in range(m - 1) if t % 4 != 3] + [m * n - 1] for n, m in lengths
    ]
    texts = [["text"] * len(lengths)] * 2
    ragged = [Ragged.from_rows(part) for part in (src, tgt, junk, links)]
    return Split("test", *ragged[:2], *texts, *ragged[2:])


def placed(site: str, mask: str, **given: Any) -> PlacementConfig:
    """A placement that acts in evaluation; what is no key of a placement is an option."""
    keys = {key: given.pop(key) for key in ("apply", "legality", "unsafe", "heads") if key in given}
    return PlacementConfig.model_validate(
        {"site": site, "mask": mask, "phases": ["train", "eval"], **keys, "options": given}
    )


def model(*placements: PlacementConfig, d_type: torch.dtype = torch.float64) -> EncoderDecoder:
    """One encoder layer, two decoder layers, three heads; dropout that must not act, every parameter random."""
    return tiny_model(plan(*placements, of=sizes(encoder_layers=1)), dropout=0.3).to(d_type)


def alone(built: EncoderDecoder, data: Split, row: int) -> dict[tuple[str, int], tuple[Tensor, Tensor]]:
    """Weights `[heads q kv]` and what was kept of every site and layer, with sentence `row` by itself."""
    seen: list[tuple[Tensor, Tensor]] = []
    original = attention.attention_weights

    def record(scores: Tensor, decision: Any) -> Any:
        weights, some = original(scores, decision)
        rows = weights if some is None else weights.masked_fill(~some, 0.0)
        seen.append((rows[0], decision.keep.expand(weights.shape)[0]))
        return weights, some

    with patch.object(attention, "attention_weights", record), torch.no_grad():
        built.eval().hidden(collate(data, np.array([row])), EVAL)
    order = [("encoder_self", 0), *((site, i) for i in range(2) for site in ("decoder_self", "cross"))]
    return dict(zip(order, seen, strict=True))
