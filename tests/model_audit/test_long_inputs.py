"""Faults that only sentences longer than a chunk or a buffer show."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskbench.model_audit import Inputs, ModelSubject, audit_subject

WORDS, LONGEST, CHUNK = 30, 64, 16


class Sums(nn.Module):
    """Scores of the sum of all words up to a position, and of the one before it."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.words, self.head = nn.Embedding(WORDS, 12), nn.Linear(24, WORDS)

    def forward(self, ids: Tensor, real: Tensor) -> Tensor:
        x = torch.where(real[..., None], self.words(ids), 0.0)
        sums, n = x.cumsum(1).tanh(), ids.shape[1]
        if self.fault == "chunks see their end" and n > CHUNK:
            chunks = F.pad(x, (0, 0, 0, -n % CHUNK)).unflatten(1, (-1, CHUNK))
            sums = sums + chunks.mean(2, keepdim=True).expand_as(chunks).flatten(1, 2)[:, :n]
        if self.fault == "mean of a long row" and n > 3 * CHUNK:
            sums = sums + x.mean(1, keepdim=True)
        if self.fault == "reads one ahead at an edge":
            edge = (torch.arange(n) == CHUNK - 1)[:, None]
            sums = sums + torch.where(edge, F.pad(x, (0, 0, 0, 1))[:, 1:], 0.0)
        if self.fault == "scaled by the width":
            sums = sums * (1.0 if n <= CHUNK else 0.9)
        return self.head(torch.cat((sums, x), -1))


class SumsSubject(ModelSubject):
    """How it is called; a cache keeps the words."""

    kind = "decoder"

    def logits(self, inputs: Inputs) -> Tensor:
        return self.module(inputs.target.ids, inputs.target.real)

    def step(self, inputs: Inputs, start: int, state: Any) -> tuple[Tensor, Any]:
        ids = (
            inputs.target.ids[:, start:]
            if state is None
            else torch.cat((state, inputs.target.ids[:, start:]), 1)
        )
        new = inputs.target.length - start
        if self.module.fault == "a buffer of 40":
            ids = ids[:, -40:]
        real = inputs.target.real[:, -ids.shape[1] :]
        return self.module(ids, real)[:, -new:], ids


def subject(fault: str, **how: Any) -> SumsSubject:
    torch.manual_seed(0)
    return SumsSubject(Sums(fault).eval(), vocab_size=WORDS, max_length=LONGEST, **how)


SHORT = ("causality", "truncation", "padding content", "padding amount", "alone", "cached decoding")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (
            "chunks see their end",
            "64 tokens, evaluation: cutting the target after 12 tokens moves the prediction",
        ),
        ("mean of a long row", "cutting the target after 20 tokens"),
        ("reads one ahead at an edge", "cutting the target after 16 tokens moves the prediction at 15"),
        ("scaled by the width", "cutting the target after 16 tokens"),
        ("a buffer of 40", "from position 36 on, scores from the cache differ"),
    ],
)
def test_a_fault_of_long_sentences_is_caught(fault, words):
    assert all(audit_subject(subject(fault), SHORT))
    (found,) = audit_subject(subject(fault), ["long sentences"])
    assert found.passed is False and words in found.sentence


def test_a_sound_model_holds_at_full_length():
    (found,) = audit_subject(subject(""), ["long sentences"])
    assert found.passed is True and found.not_made == ()


def test_a_short_model_is_said_to_have_been_seen_whole():
    (found,) = audit_subject(subject("", padding=()), ["long sentences"])
    assert found.passed is True
    small = subject("")
    small.max_length = 11
    (found,) = audit_subject(small, ["long sentences"])
    assert found.passed is None and found.not_made == (
        "the sentences of the other proofs have all 11 positions",
    )
