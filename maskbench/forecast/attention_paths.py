"""How the attention layers of an arm will be computed on its longest sentences, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from maskbench.config.schema.experiment import ATTENTION_SITES, RunConfig
from maskbench.data.batches import Batch, collate
from maskbench.data.corpus import Corpus
from maskbench.forecast.trial_steps import ArmName
from maskbench.masks.block_decision import reason_for_dense
from maskbench.masks.clock import Clock
from maskbench.masks.context import SourceBatch
from maskbench.masks.plan import MaskPlan
from maskbench.model.attention import AttentionInputs
from maskbench.model.attention_path import Path, PathRules, may_leave_dense, rules_of
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
    if not may_leave_dense(config.model, corpus.max_length):
        return []
    sizes, split, found = collect_sizes(config, corpus), corpus.splits["train"], []
    plan = MaskPlan(config.masks, seed=seed, streams=config.streams, sizes=sizes).train()
    longest = int((split.src.lengths + split.tgt.lengths).argmax())
    batch = collate(split, np.array([longest]))
    dtype = compute_dtype(config.train.precision, config.model.d_model, pick_device())
    for site in ATTENTION_SITES:
        scene = _scene(site, plan, batch, rules_of(config.model))
        q_len, kv_len = len(scene.q_idx), len(scene.kv_idx)
        if not scene.paths.is_long_enough(q_len, kv_len):
            continue
        # Masks that a layer may have in blocks do not read the content, so it is left out.
        query, key = (torch.zeros(1, sizes.n_heads, n, 0, dtype=dtype) for n in (q_len, kv_len))
        each = []
        for layer in range(sizes.layers(site)):
            path, decided = scene.choose_path(layer, query, key, query[:, 0], drops=config.model.dropout > 0)
            share = None if decided is None else round(decided.share, 4)
            each.append((path, share, reason_for_dense(plan, site, layer, scene.clock)))
        for way in dict.fromkeys(each):
            layers = tuple(layer for layer, own in enumerate(each) if own == way)
            found.append(SitePath(site, layers, q_len, kv_len, *way))
    return found


def _scene(site: str, plan: MaskPlan, batch: Batch, rules: PathRules) -> AttentionInputs:
    """Return what the layers of a site share in the first training step with this batch."""
    src, tgt = torch.arange(batch.src.shape[1]), torch.arange(batch.tgt_in.shape[1])
    return AttentionInputs(
        site,
        plan,
        q_idx=src if site == "encoder_self" else tgt,
        kv_idx=tgt if site == "decoder_self" else src,
        source=SourceBatch.of(batch),
        tgt_ids=None if site == "encoder_self" else batch.tgt_in,
        clock=Clock("train", 0, 1),
        paths=rules,
    )


def attention_entries(attention: Mapping[ArmName, Sequence[SitePath]]) -> list[dict[str, Any]]:
    """Return one JSON object per arm, site and way of computing its layers."""
    return [
        {"panel": panel, "arm": arm, **one.to_json()}
        for (panel, arm), ways in attention.items()
        for one in ways
    ]
