"""Worker: JoeyNMT's training loop on the reference model and data, one update at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from joeynmt.builders import build_gradient_clipper, build_optimizer
from joeynmt.datasets import PlaintextDataset
from joeynmt.tokenizers import BasicTokenizer
from joeynmt_model import model
from protocol import serve, timed

STATE: dict[str, Any] = {}


def start(folder: str, batch_tokens: int, threads: int, dropout: float) -> None:
    """Read the training pairs and build the model, the optimiser and the batches."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    place = Path(folder)
    built = model(json.loads((place / "vocabulary.json").read_text()), dropout)
    built.loss_function = ("crossentropy", 0.1)
    settings = {
        "optimizer": "adamw",
        "adam_betas": [0.9, 0.98],
        "learning_rate": 1e-3,
        "clip_grad_val": None,
        "clip_grad_norm": 1.0,
    }
    words = built.src_vocab
    sides = ("src", "tgt")
    data = PlaintextDataset(
        path=str(place / "train"),
        src_lang="src",
        trg_lang="tgt",
        split="train",
        has_trg=True,
        has_prompt=dict.fromkeys(sides, False),
        tokenizer={side: BasicTokenizer(level="word") for side in sides},
        sequence_encoder={side: partial(words.sentences_to_ids) for side in sides},
    )
    STATE["batches"] = _endless(
        data.make_iter(
            batch_size=batch_tokens,
            batch_type="token",
            shuffle=True,
            pad_index=words.pad_index,
            eos_index=words.eos_index,
        )
    )
    STATE["model"] = built.train()
    STATE["optimiser"] = build_optimizer(settings, built.parameters())
    STATE["clip"] = build_gradient_clipper(settings)


def steps(count: int) -> dict[str, Any]:
    """Take updates as `TrainManager.train_and_validate` does; return their target tokens and seconds."""
    built, optimiser = STATE["model"], STATE["optimiser"]
    answer: dict[str, Any] = {"tokens": 0}
    with timed(answer):
        for _ in range(count):
            batch = next(STATE["batches"])
            batch.sort_by_src_length()
            loss, _, _, correct = built(return_type="loss", **vars(batch))
            normalised = batch.normalize(loss, normalization="tokens", n_gpu=0, n_accumulation=1)
            normalised.backward()
            normalised.item()
            correct.item()
            STATE["clip"](parameters=built.parameters())
            optimiser.step()
            built.zero_grad()
            answer["tokens"] += int(batch.ntokens)
    return answer


def _endless(batches: Any) -> Iterator[Any]:
    while True:
        yield from batches


if __name__ == "__main__":
    serve(start, steps)
