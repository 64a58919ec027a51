"""Worker: translates with maskbench to a given length, and writes weights and sentences for the peers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from protocol import serve, timed
from reference import SPLIT, load, reference_config
from torch import Tensor

from maskbench.data.batches import Ids, collate, plan_evaluation_batches
from maskbench.data.corpus import Split
from maskbench.data.vocabulary import EOS
from maskbench.decoding import beam_search, greedy_search
from maskbench.masks.clock import Clock
from maskbench.masks.context import SourceBatch
from maskbench.model import EncoderDecoder, build_model
from maskbench.model.embedding import sinusoids

STATE: dict[str, Any] = {}
_NEVER = -1e9


def start(
    multi30k: str | None, cache: str, sentences: int, batch_tokens: int, threads: int, beams: list[int]
) -> int:
    """Build the model with random weights and the batches of each beam size; return the number of sentences.

    Args:
        sentences: how many of the test sentences are translated, spread evenly over all lengths.
        batch_tokens: tokens of one batch over all hypotheses of a step, padding included, as in an evaluation;
            the batches are the same for the peers.
    """
    torch.set_num_threads(threads)
    config = reference_config(multi30k, "float32", threads)
    corpus = load(config, cache)
    split = corpus.splits[SPLIT]
    in_order = np.concatenate(plan_evaluation_batches(split, batch_tokens))
    chosen = in_order[np.linspace(0, len(in_order) - 1, min(sentences, len(in_order))).astype(int)]
    batches = {
        beam: [collate(split, ids) for ids in _cut(split, chosen, batch_tokens // beam)] for beam in beams
    }
    STATE.update(model=build_model(config, corpus, 0).eval(), batches=batches)
    return len(chosen)


def _cut(split: Split, ids: Ids, batch_tokens: int) -> list[Ids]:
    """Return the ids in batches of at most `batch_tokens` padded source tokens; ids are sorted by length."""
    found, begin = [], 0
    for end in range(1, len(ids) + 1):
        longest = int(split.src.lengths[ids[begin : end + 1]].max())
        if end == len(ids) or (end + 1 - begin) * longest > batch_tokens:
            found.append(ids[begin:end])
            begin = end
    return found


def export(folder: str) -> None:
    """Write the weights, the position vectors and, by beam size, the batches."""
    model: EncoderDecoder = STATE["model"]
    place = Path(folder)
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    np.savez(place / "weights.npz", positions=sinusoids(512, model.config.d_model).numpy(), **weights)
    found = {
        beam: [
            {
                "sources": [row[:n] for row, n in zip(b.src.tolist(), b.src_lengths.tolist(), strict=True)],
                "targets": [
                    row[:n] for row, n in zip(b.tgt_out.tolist(), b.tgt_lengths.tolist(), strict=True)
                ],
                "length": int(b.src_lengths.max()),
            }
            for b in batches
        ]
        for beam, batches in STATE["batches"].items()
    }
    (place / "batches.json").write_text(json.dumps(found), encoding="utf-8")


@torch.inference_mode()
def scores() -> list[list[float]]:
    """Return the log-likelihood of every target token of the first batch, end mark included, in nats."""
    batch, model = next(iter(STATE["batches"].values()))[0], STATE["model"]
    found = model(batch, Clock.evaluation(0, 1)).log_softmax(-1).gather(2, batch.tgt_out[..., None])[..., 0]
    return [row[:n] for row, n in zip(found.tolist(), batch.tgt_lengths.tolist(), strict=True)]


def translate(beam: int) -> dict[str, Any]:
    """Translate every batch to as many tokens as its longest source has; return seconds and tokens."""
    model: EncoderDecoder = STATE["model"]
    longest, plain = model.max_length, model.logits
    answer: dict[str, Any] = {"tokens": 0}

    def without_end(hidden: Tensor) -> Tensor:
        found = plain(hidden)
        found[..., EOS] = _NEVER
        return found

    # Until the last position no translation may end, and the last position is the length that is wanted.
    model.logits = without_end  # type: ignore[method-assign]
    try:
        with timed(answer):
            for batch in STATE["batches"][beam]:
                model.max_length = int(batch.src_lengths.max())
                source, clock = SourceBatch.of(batch), Clock.evaluation(0, 1)
                if beam == 1:
                    said = greedy_search(model, source, clock, max_length_ratio=model.max_length)
                else:
                    found = beam_search(
                        model, source, clock, beam_size=beam, alpha=0.0, max_length_ratio=model.max_length
                    )
                    said = [best[0].tokens for best in found]
                answer["tokens"] += sum(map(len, said))
    finally:
        model.max_length = longest
        del model.logits
    return answer


if __name__ == "__main__":
    serve(start, export, scores, translate)
