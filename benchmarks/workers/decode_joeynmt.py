"""Worker: translates with JoeyNMT, with maskbench's weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joeynmt.batch import Batch
from joeynmt.model import Model
from joeynmt.search import search
from joeynmt_model import joey_ids, model
from protocol import serve, timed
from torch import Tensor, nn

STATE: dict[str, Any] = {}


def start(folder: str, threads: int) -> None:
    """Build the model with maskbench's weights, and the batches."""
    torch.set_num_threads(threads)
    place = Path(folder)
    with np.load(place / "weights.npz") as file:
        weights = {name: torch.from_numpy(file[name]) for name in file.files}
    built = model(len(weights["words.tables.shared.weight"]), 0.0).eval()
    with torch.no_grad():
        _load(built, weights)
    STATE.update(model=built, batches=json.loads((place / "batches.json").read_text()))


@torch.inference_mode()
def scores() -> list[list[float]]:
    """Return the log-likelihood of every target token of the first batch, end mark included, in nats."""
    batch, built = next(iter(STATE["batches"].values()))[0], STATE["model"]
    source = _sources(batch, built)
    rows = [joey_ids(torch.tensor(row)).tolist() for row in batch["targets"]]
    width = max(map(len, rows))
    inputs = _padded([[built.bos_index, *row[:-1]] for row in rows], width, built.pad_index)
    targets = _padded(rows, width, built.pad_index)
    out, _, _, _ = built._encode_decode(
        src=source.src,
        trg_input=inputs,
        src_mask=source.src_mask,
        src_length=source.src_length,
        trg_mask=(targets != built.pad_index)[:, None],
    )
    found = out.log_softmax(-1).gather(2, targets[..., None])[..., 0].tolist()
    return [row[: len(wanted)] for row, wanted in zip(found, rows, strict=True)]


def translate(beam: int) -> dict[str, Any]:
    """Translate every batch to as many tokens as its longest source has; return seconds and tokens."""
    built: Model = STATE["model"]
    answer: dict[str, Any] = {"tokens": 0}
    with timed(answer):
        for batch in STATE["batches"][str(beam)]:
            length = batch["length"]
            said, _, _ = search(
                model=built,
                batch=_sources(batch, built),
                max_output_length=length,
                beam_size=beam,
                beam_alpha=0.0,
                min_output_length=length,
            )
            answer["tokens"] += int(said.size)
    return answer


def _sources(batch: dict[str, Any], built: Model) -> Batch:
    rows = [joey_ids(torch.tensor(row)).tolist() for row in batch["sources"]]
    lengths = torch.tensor([len(row) for row in rows])
    return Batch(
        src=_padded(rows, int(lengths.max()), built.pad_index),
        src_length=lengths,
        src_prompt_mask=None,
        trg=None,
        trg_prompt_mask=None,
        indices=torch.arange(len(rows)),
        device=torch.device("cpu"),
        pad_index=built.pad_index,
        eos_index=built.eos_index,
        is_train=False,
    )


def _padded(rows: list[list[int]], width: int, pad: int) -> Tensor:
    return torch.tensor([row + [pad] * (width - len(row)) for row in rows])


def _load(built: Model, weights: dict[str, Tensor]) -> None:
    """Copy maskbench's weights; JoeyNMT's projections have biases, which are zero then."""
    shared = weights["words.tables.shared.weight"]
    moved = torch.empty_like(shared)
    moved[joey_ids(torch.arange(len(shared)))] = shared
    built.src_embed.lut.weight.copy_(moved)
    for norm in (m for m in built.modules() if isinstance(m, nn.LayerNorm)):
        norm.eps = 1e-5
    for side, own in (("encoder", built.encoder), ("decoder", built.decoder)):
        own.pe.pe[0, : len(weights["positions"])] = weights["positions"]
        _norm(own.layer_norm, f"{side}.norm", weights)
        for i, layer in enumerate(own.layers):
            here = f"{side}.layers.{i}"
            first, attention = (
                ("layer_norm", "src_src_att") if side == "encoder" else ("x_layer_norm", "trg_trg_att")
            )
            _norm(getattr(layer, first), f"{here}.self_norm", weights)
            qkv = weights[f"{here}.self_attention.qkv.weight"].chunk(3)
            output = weights[f"{here}.self_attention.output.weight"]
            _attention(getattr(layer, attention), (*qkv, output))
            if side == "decoder":
                _norm(layer.dec_layer_norm, f"{here}.cross_norm", weights)
                kv = weights[f"{here}.cross_attention.key_value.weight"].chunk(2)
                ends = [weights[f"{here}.cross_attention.{name}.weight"] for name in ("query", "output")]
                _attention(layer.src_trg_att, (ends[0], *kv, ends[1]))
            _norm(layer.feed_forward.layer_norm, f"{here}.feed_norm", weights)
            for place, name in ((0, "inner"), (3, "outer")):
                linear = layer.feed_forward.pwff_layer[place]
                linear.weight.copy_(weights[f"{here}.feed_forward.{name}.weight"])
                linear.bias.copy_(weights[f"{here}.feed_forward.{name}.bias"])


def _norm(norm: nn.LayerNorm, name: str, weights: dict[str, Tensor]) -> None:
    norm.weight.copy_(weights[f"{name}.weight"])
    norm.bias.copy_(weights[f"{name}.bias"])


def _attention(attention: nn.Module, weights: tuple[Tensor, ...]) -> None:
    for name, weight in zip(("q_layer", "k_layer", "v_layer", "output_layer"), weights, strict=True):
        linear = getattr(attention, name)
        linear.weight.copy_(weight)
        linear.bias.zero_()


if __name__ == "__main__":
    serve(start, scores, translate)
