"""Worker: translates with CTranslate2, with maskbench's weights converted to its Transformer specification."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
from ctranslate2.specs import common_spec, transformer_spec
from protocol import serve, timed

LAYERS, HEADS = 3, 8
SPECIAL = ("<blank>", "<s>", "</s>", "<unk>")
"""Its names of maskbench's ids 0 to 3."""
STATE: dict[str, Any] = {}


def start(folder: str, compute_type: str, threads: int) -> str:
    """Convert the model, load it in a number format, read the batches; return the format in use."""
    place = Path(folder)
    converted = place / "ctranslate2"
    if not converted.exists():
        _convert(place, converted)
    STATE["translator"] = ctranslate2.Translator(
        str(converted), device="cpu", compute_type=compute_type, inter_threads=1, intra_threads=threads
    )
    batches = json.loads((place / "batches.json").read_text())
    for batch in chain.from_iterable(batches.values()):
        for side in ("sources", "targets"):
            batch[side] = [[_token(n) for n in row] for row in batch[side]]
    STATE["batches"] = batches
    return str(STATE["translator"].compute_type)


def scores() -> list[list[float]]:
    """Return the log-likelihood of every target token of the first batch, end mark included, in nats."""
    batch = next(iter(STATE["batches"].values()))[0]
    targets = [row[:-1] for row in batch["targets"]]
    return [list(found.log_probs) for found in STATE["translator"].score_batch(batch["sources"], targets)]


def translate(beam: int) -> dict[str, Any]:
    """Translate every batch to as many tokens as its longest source has; return seconds and tokens."""
    answer: dict[str, Any] = {"tokens": 0}
    with timed(answer):
        for batch in STATE["batches"][str(beam)]:
            length = batch["length"]
            found = STATE["translator"].translate_batch(
                batch["sources"],
                beam_size=beam,
                length_penalty=0,
                min_decoding_length=length,
                max_decoding_length=length,
                max_input_length=0,
                # The end mark and these are never chosen by maskbench either.
                suppress_sequences=[["<blank>"], ["<s>"], [_token(4)]],
            )
            answer["tokens"] += sum(len(one.hypotheses[0]) for one in found)
    return answer


def _token(number: int) -> str:
    return SPECIAL[number] if number < len(SPECIAL) else str(number)


def _convert(place: Path, to: Path) -> None:
    with np.load(place / "weights.npz") as file:
        weights = {name: file[name] for name in file.files}
    spec = transformer_spec.TransformerSpec.from_config(
        (LAYERS, LAYERS), HEADS, pre_norm=True, activation=common_spec.Activation.RELU
    )
    words, positions = weights["words.tables.shared.weight"], weights["positions"]
    for side, own in (("encoder", spec.encoder), ("decoder", spec.decoder)):
        own.scale_embeddings = True
        embeddings = own.embeddings[0] if side == "encoder" else own.embeddings
        embeddings.weight = words
        own.position_encodings.encodings = positions
        _norm(own.layer_norm, f"{side}.norm", weights)
        for i, layer in enumerate(own.layer):
            here = f"{side}.layers.{i}"
            _norm(layer.self_attention.layer_norm, f"{here}.self_norm", weights)
            layer.self_attention.linear[0].weight = weights[f"{here}.self_attention.qkv.weight"]
            layer.self_attention.linear[1].weight = weights[f"{here}.self_attention.output.weight"]
            if side == "decoder":
                _norm(layer.attention.layer_norm, f"{here}.cross_norm", weights)
                for place_, name in enumerate(("query", "key_value", "output")):
                    layer.attention.linear[place_].weight = weights[f"{here}.cross_attention.{name}.weight"]
            _norm(layer.ffn.layer_norm, f"{here}.feed_norm", weights)
            for linear, name in ((layer.ffn.linear_0, "inner"), (layer.ffn.linear_1, "outer")):
                linear.weight = weights[f"{here}.feed_forward.{name}.weight"]
                linear.bias = weights[f"{here}.feed_forward.{name}.bias"]
    spec.decoder.projection.weight = words
    names = [_token(n) for n in range(len(words))]
    spec.register_source_vocabulary(names)
    spec.register_target_vocabulary(names)
    spec.validate()
    spec.optimize(quantization=None)
    to.mkdir()
    spec.save(str(to))


def _norm(norm: Any, name: str, weights: dict[str, Any]) -> None:
    norm.gamma, norm.beta = weights[f"{name}.weight"], weights[f"{name}.bias"]


if __name__ == "__main__":
    serve(start, scores, translate)
