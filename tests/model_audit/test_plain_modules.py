"""Modules of all habits are called as they want to be, and what cannot be told is refused with the reason."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskbench.model_audit import audit_subject
from maskbench.model_audit.adapters.plain import PlainDecoder, PlainEncoderDecoder
from maskbench.model_audit.adapters.torch_modules import Layer
from maskbench.model_audit.target import subject_for

PROOFS = ["causality", "truncation", "reach", "long sentences"]


class Decoder(nn.Module):
    """Words and learned positions; the table of positions may be the larger one."""

    def __init__(self, words: int = 30, places: int = 50) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(words, 10), nn.Embedding(places, 10)
        self.head = nn.Linear(10, words)

    def vectors(self, ids: Tensor) -> Tensor:
        return (self.words(ids) + self.places(torch.arange(ids.shape[1]))).cumsum(1).tanh()

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.vectors(ids))


class WithLoss(Decoder):
    """Computes the last position alone unless it gets targets, of which it takes a view."""

    def forward(self, ids: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        x = self.vectors(ids)
        if targets is None:
            return self.head(x[:, -1:]), None
        scores = self.head(x)
        return scores, F.cross_entropy(scores.view(-1, scores.shape[-1]), targets.view(-1))


class Buffered(Decoder):
    """Its length is limited by a buffer alone."""

    def __init__(self, longest: int) -> None:
        super().__init__()
        self.register_buffer("mask", torch.ones(longest, longest).tril())

    def forward(self, ids: Tensor) -> Tensor:
        n = ids.shape[1]
        mask = self.mask[:n, :n]
        assert len(mask) == n, f"at most {len(self.mask)} tokens"
        return self.head(mask @ self.words(ids).tanh())


class Indexed(Decoder):
    """Words are rows of a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.linspace(-1, 1, 300).view(30, 10).sin())
        del self.words, self.places

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.table[ids].cumsum(1).tanh())


class OneHot(Indexed):
    """Words are one-hot vectors."""

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(F.one_hot(ids, 30).to(self.table.dtype) @ self.table).cumsum(1)


class Pair(Decoder):
    """An encoder-decoder with a vocabulary for each side."""

    def __init__(self) -> None:
        super().__init__(words=40)
        self.source_words = nn.Embedding(20, 10)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        return self.head(self.vectors(target) + self.source_words(source).tanh().mean(1, keepdim=True))


@pytest.mark.parametrize(
    ("module", "kind", "vocabulary", "longest"),
    [
        (Decoder(), PlainDecoder, 30, 48),
        (Decoder(words=80, places=300), PlainDecoder, 80, 192),
        (Decoder(words=10, places=8), PlainDecoder, 10, 8),
        (Decoder(words=5, places=40), PlainDecoder, 5, 32),
        (WithLoss(), PlainDecoder, 30, 48),
        (Buffered(9), PlainDecoder, 30, 9),
        (Indexed(), PlainDecoder, 30, 192),
        (OneHot(), PlainDecoder, 30, 192),
        (Pair(), PlainEncoderDecoder, 20, 48),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_a_module_is_called_with_what_it_takes_and_holds(module, kind, vocabulary, longest):
    subject = subject_for(module.eval())
    assert isinstance(subject, kind)
    assert sum(subject.words) == vocabulary and subject.max_length == longest
    found = list(audit_subject(subject, PROOFS))
    assert [finding.sentence for finding in found if finding.passed is False] == []
    assert found[0].passed is True


def test_a_leak_is_found_in_each_of_them():
    class Leaking(WithLoss):
        def vectors(self, ids: Tensor) -> Tensor:
            return super().vectors(ids) + self.words(ids).mean(1, keepdim=True)

    found = {finding.proof: finding for finding in audit_subject(subject_for(Leaking().eval()), PROOFS)}
    assert not found["causality"] and not found["truncation"]


def test_a_trial_leaves_the_module_as_it_was():
    class Counting(Decoder):
        calls = 0

        def forward(self, ids: Tensor) -> Tensor:
            self.calls += 1
            return super().forward(ids)

    module = Counting()
    subject_for(module)
    assert module.calls == 0 and module.training


def test_what_is_given_is_not_guessed():
    subject = subject_for(Decoder().eval(), vocab_size=12, max_length=20)
    assert sum(subject.words) == 12 and subject.max_length == 20


def test_wrappers_are_taken_off():
    inner = Decoder().eval()
    assert subject_for(nn.DataParallel(inner)).module is inner
    assert subject_for(torch.compile(inner, backend="eager")).module is inner


def test_a_layer_reads_vectors_though_it_has_no_table():
    class Sums(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.map = nn.Linear(12, 12)

        def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
            return self.map(x).cumsum(1)

    subject = subject_for(Sums())
    assert isinstance(subject, Layer) and subject.call_note == "called with vectors [batch, length, 12]"


def test_it_is_said_how_a_module_is_called_and_what_is_left_out():
    class Optional(Decoder):
        def forward(self, ids: Tensor, attention_mask: Tensor | None = None, past: object = None) -> Tensor:
            return super().forward(ids)

    note = subject_for(Optional()).call_note
    assert note == "called with ids, up to 48 tokens; held to be causal; not passed: attention_mask, past"


def refused(forward) -> str:
    class Odd(Decoder):
        pass

    Odd.forward = forward
    with pytest.raises(ValueError) as raised:
        subject_for(Odd())
    return str(raised.value)


def test_calls_that_cannot_be_told_are_refused_with_the_reason():
    assert "has to be called with a, b, c" in refused(lambda self, a, b, c: a)
    assert "has to be called with ids, attention_mask" in refused(lambda self, ids, attention_mask: ids)
    assert "has to be called with ids, positions" in refused(lambda self, ids, positions: ids)
    assert "takes *args" in refused(lambda self, *ids: ids)
    assert "needs causal" in refused(lambda self, ids, *, causal: ids)
    assert "ModelSubject" in refused(lambda self: None)
