"""How the attention layers of an arm will be computed on its longest sentences, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from maskbench.config.schema.experiment import ATTENTION_SITES, RunConfig
from maskbench.data.batches import Batch, collate
from maskbench.data.corpus import Corpus
from maskbench.forecast.trial_steps import ArmName
from maskbench.masks.block_decision import decide_blocks, reason_for_dense
from maskbench.masks.clock import Clock
from maskbench.masks.context import Annotations, AttentionRequest
from maskbench.masks.plan import MaskPlan
from maskbench.model.attention import legal_pairs
from maskbench.model.attention_path import Path, rules_of
from maskbench.model.transformer import collect_sizes
from maskbench.training.environment import compute_dtype, pick_device


@dataclass(frozen=True, slots=True)
class SitePath:
    """How the first training step with the longest sentence computes one layer."""

    site: str
    layers: tuple[int, ...]
    """The layers that are computed in this way."""
    q_len: int
    """Queries of the longest sentence, in tokens."""
    kv_len: int
    path: Path
    share: float | None
    """Share of all pairs that the blocks contain, in [0, 1]; None on the dense path."""
    reason: str | None
    """Why weights are one matrix although the sentence is long enough; None elsewhere."""

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {**asdict(self), "layers": list(self.layers)}


def forecast_paths(config: RunConfig, corpus: Corpus, seed: int) -> list[SitePath]:
    """Return how training computes each attention site on the longest sentences; empty where all are short."""
    rules, split = rules_of(config.model), corpus.splits["train"]
    sizes = collect_sizes(config, corpus)
    if not rules.is_long_enough(sizes.max_length, sizes.max_length):
        return []
    plan = MaskPlan(config.masks, seed=seed, streams=config.streams, sizes=sizes).train()
    longest = int((split.src.lengths + split.tgt.lengths).argmax())
    batch, clock, found = collate(split, torch.tensor([longest]).numpy()), Clock("train", 0, 1), []
    for site in ATTENTION_SITES:
        request = _request(site, batch, clock, sizes.n_heads)
        q_len, kv_len = len(request.q_idx), len(request.kv_idx)
        if not rules.is_long_enough(q_len, kv_len):
            continue
        each = [_layer_path(plan, site, layer, request, config) for layer in range(sizes.layers(site))]
        for way in dict.fromkeys(each):
            layers = tuple(layer for layer, own in enumerate(each) if own == way)
            found.append(SitePath(site, layers, q_len, kv_len, *way))
    return found


def _layer_path(
    plan: MaskPlan, site: str, layer: int, request: AttentionRequest, config: RunConfig
) -> tuple[Path, float | None, str | None]:
    reason = reason_for_dense(plan, site, layer, request.clock)
    if reason is not None:
        return "dense", None, reason
    rules = rules_of(config.model)

    def legal(q_idx: torch.Tensor, kv_idx: torch.Tensor) -> torch.Tensor:
        return legal_pairs(site, q_idx, kv_idx, request.src_lengths, plan.legality(site))

    decided = decide_blocks(plan, site, layer, request, legal, rows=rules.rows_of(len(request.q_idx)))
    path = rules.choose(
        decided.share,
        drops=config.model.dropout > 0,
        has_bias=decided.has_bias,
        itemsize=compute_dtype(config.train.precision, config.model.d_model, pick_device()).itemsize,
    )
    return path, round(decided.share, 4), None


def _request(site: str, batch: Batch, clock: Clock, n_heads: int) -> AttentionRequest:
    src, tgt = torch.arange(batch.src.shape[1]), torch.arange(batch.tgt_in.shape[1])
    q_idx = src if site == "encoder_self" else tgt
    kv_idx = tgt if site == "decoder_self" else src
    request = AttentionRequest.of_positions(q_idx, kv_idx, batch.ids, clock, n_heads)
    own = site == "decoder_self"
    return replace(
        request,
        src_lengths=None if own else batch.src_lengths,
        src_ids=None if own else batch.src,
        tgt_ids=None if site == "encoder_self" else batch.tgt_in,
        annotations=Annotations() if own else Annotations(batch.junk, batch.links),
    )


def attention_entries(attention: Mapping[ArmName, Sequence[SitePath]]) -> list[dict[str, Any]]:
    """Return one JSON object per arm, site and way of computing its layers."""
    return [
        {"panel": panel, "arm": arm, **one.to_json()}
        for (panel, arm), ways in attention.items()
        for one in ways
    ]
