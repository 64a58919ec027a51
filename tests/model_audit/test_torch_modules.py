"""Torch's own modules, and plain modules of a user's: how they are called, and the faults that calls have."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from maskbench.model_audit import audit_subject
from maskbench.model_audit.adapters.torch_modules import (
    Layer,
    TorchAttention,
    TorchDecoder,
    TorchEncoder,
    TorchTransformer,
    width_of,
)
from maskbench.model_audit.case import ModelCallError
from maskbench.model_audit.target import subject_for

# Torch says so where its fast path cannot be taken.
pytestmark = [
    pytest.mark.filterwarnings("ignore:enable_nested_tensor"),
    pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors"),
]
FEW = ["causality", "padding content", "alone", "gradient mode", "reach"]


def broken(subject, proofs=None):
    return {f.proof: f for f in audit_subject(subject, proofs) if f.passed is False}


def seeded(build):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return build().eval()


class Mixes(nn.Linear):
    """A map of vectors that adds the mean over all positions: no mask can hide anything from it."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + x.mean(1, keepdim=True))


class Unmasked(nn.MultiheadAttention):
    """An attention that forgets what is padding among its keys."""

    def forward(self, *vectors: Tensor, key_padding_mask: Tensor | None = None, **further) -> tuple:
        return super().forward(*vectors, **further)


class UnmaskedMemory(nn.TransformerDecoderLayer):
    """A layer that forgets what is padding in its memory."""

    def _mha_block(self, x: Tensor, memory: Tensor, hidden, padding, is_causal: bool = False) -> Tensor:
        return super()._mha_block(x, memory, hidden, None, is_causal)


class LeavesLater(nn.TransformerDecoder):
    """A decoder that does not hand on the mask of later positions."""

    def forward(self, tgt: Tensor, memory: Tensor, tgt_mask: Tensor | None = None, **further) -> Tensor:
        return super().forward(tgt, memory, **further)


def encoder_layer():
    return nn.TransformerEncoderLayer(24, 4, 40, batch_first=True)


def mixing_layer():
    layer = encoder_layer()
    layer.linear1 = Mixes(24, 40)
    return layer


def decoder_layer():
    return nn.TransformerDecoderLayer(24, 4, 40, batch_first=True)


TORCH_PARTS = {
    "decoder": (lambda: nn.TransformerDecoder(decoder_layer(), 2), TorchDecoder, {}),
    "decoder layer": (decoder_layer, TorchDecoder, {}),
    "encoder layer": (encoder_layer, TorchEncoder, {}),
    "causal encoder layer": (encoder_layer, TorchEncoder, {"causal": True}),
    "attention": (lambda: nn.MultiheadAttention(24, 4, batch_first=True), TorchAttention, {}),
    "causal attention": (lambda: nn.MultiheadAttention(24, 4), TorchAttention, {"causal": True}),
}


@pytest.mark.parametrize("part", TORCH_PARTS)
def test_a_part_of_torch_is_found_by_its_class_and_keeps_its_promises(part):
    build, adapter, how = TORCH_PARTS[part]
    subject = subject_for(seeded(build), **how)
    assert type(subject) is adapter
    found = {f.proof: f for f in audit_subject(subject)}
    assert {name: f.sentence for name, f in found.items() if f.passed is False} == {}
    made = {"padding content", "padding amount", "padding gradients", "batch mates", "alone"}
    made |= {"one function, many doors", "training mode", "formats", "reach", "large scores"}
    made |= {"causality", "truncation", "future gradients"} if subject.causal else set()
    made |= {"empty rows"} if adapter is TorchDecoder else set()
    assert {name for name, f in found.items() if f.passed} >= made


FAULTS = {
    "decoder": (lambda: LeavesLater(decoder_layer(), 2), "causality"),
    "decoder layer": (lambda: UnmaskedMemory(24, 4, 40, batch_first=True), "padding content"),
    "encoder layer": (mixing_layer, "padding content"),
    "attention": (lambda: Unmasked(24, 4, batch_first=True), "padding content"),
}


@pytest.mark.parametrize("part", FAULTS)
def test_a_fault_planted_in_a_part_of_torch_is_found(part):
    build, proof = FAULTS[part]
    assert broken(subject_for(seeded(build)), ["causality", "padding content"]).keys() == {proof}


def test_an_attention_to_other_vectors_is_refused():
    with pytest.raises(ValueError, match="keys of width 8"):
        subject_for(nn.MultiheadAttention(24, 4, kdim=8))


@pytest.mark.parametrize(("batch_first", "holds"), [(True, False), (False, True)])
def test_the_fast_path_of_torch_spreads_not_a_number_from_padding_before_causal_tokens(batch_first, holds):
    """A row of the mask without a key gives NaN in the fast path, which needs `batch_first`, and 0 elsewhere."""
    layer = nn.TransformerEncoderLayer(24, 4, 40, batch_first=batch_first)
    subject = subject_for(seeded(lambda: nn.TransformerEncoder(layer, 2)), causal=True, left_padding=True)
    (finding,) = audit_subject(subject, ["padding side"])
    assert finding.passed is holds


@pytest.mark.parametrize("batch_first", [True, False])
def test_a_transformer_of_torch_keeps_its_promises(batch_first):
    module = seeded(lambda: nn.Transformer(24, 4, 2, 2, 40, batch_first=batch_first))
    assert broken(TorchTransformer(module), None) == {}


class WithoutMemoryMask(TorchTransformer):
    """The mistake of many programs: `memory_key_padding_mask` is forgotten."""

    def logits(self, inputs) -> Tensor:
        whole, source = self.module, inputs.of("source")
        n = inputs.target.length
        return whole.inner(
            whole.vectors(source),
            whole.vectors(inputs.target),
            tgt_mask=torch.ones(n, n, dtype=torch.bool).triu(1),
            src_key_padding_mask=~source.real,
            tgt_key_padding_mask=~inputs.target.real,
        )


def test_a_forgotten_memory_mask_is_found_though_the_fast_path_hides_it_in_evaluation():
    module = seeded(lambda: nn.Transformer(24, 4, 2, 2, 40, batch_first=True))
    found = broken(WithoutMemoryMask(module), FEW)
    assert found.keys() == {"padding content", "alone", "gradient mode"}
    assert "source padding" in found["padding content"].sentence
    assert "decoder.layers.0" in found["padding content"].sentence


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_an_encoder_of_torch_keeps_its_promises(causal, whole):
    layer = nn.TransformerEncoderLayer(24, 4, 40, batch_first=True)
    module = seeded(lambda: nn.TransformerEncoder(layer, 2) if whole else layer)
    assert broken(TorchEncoder(module, causal=causal), FEW) == {}


class Mean(nn.Module):
    """Reads the mean of all positions up to its own, or of all."""

    def __init__(self, causal: bool) -> None:
        super().__init__()
        self.map, self.causal = nn.Linear(18, 18), causal

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        mean = x.cumsum(1) / torch.arange(1, x.shape[1] + 1, dtype=x.dtype)[:, None]
        return self.map(x + (mean if self.causal else x.mean(1, keepdim=True))).tanh(), None


def test_a_bare_layer_is_told_from_a_leaking_one():
    assert broken(Layer(Mean(True).eval()), ["causality", "truncation", "reach"]) == {}
    found = broken(Layer(Mean(False).eval()), ["causality", "truncation", "future gradients"])
    assert len(found) == 3
    assert found["causality"].module == "inner.map"


def test_the_width_of_a_layer_is_told_from_its_parts():
    assert width_of(nn.Linear(7, 3)) == 7
    assert width_of(nn.MultiheadAttention(12, 3)) == 12
    assert width_of(nn.ReLU()) is None
    with pytest.raises(ValueError, match="width"):
        Layer(nn.ReLU())


class LastAlone(nn.Module):
    """A decoder that computes the last position alone unless it gets targets, as some small GPTs do."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(30, 18), nn.Linear(18, 30)

    def forward(self, ids: Tensor, targets: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        x = self.words(ids).cumsum(1).tanh()
        return (self.head(x[:, -1:]), None) if targets is None else (self.head(x), torch.zeros(()))


def test_scores_of_another_shape_are_refused():
    class Pooled(LastAlone):
        def forward(self, ids: Tensor) -> Tensor:
            return self.head(self.words(ids).mean(1))

    with pytest.raises(ModelCallError, match="returns scores of shape"):
        list(audit_subject(subject_for(Pooled()), ["causality"]))


class Normed(nn.Module):
    """A causal decoder with a batch norm; it also reads a mean over all positions if `leaks`."""

    def __init__(self, leaks: bool = False, running: bool = True) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(30, 18), nn.Linear(18, 30)
        self.norm, self.leaks = nn.BatchNorm1d(18, track_running_stats=running), leaks

    def forward(self, ids: Tensor) -> Tensor:
        x = self.words(ids)
        x = x + (x.mean(1, keepdim=True) if self.leaks else x.cumsum(1))
        return self.head(self.norm(x.mT).mT.tanh())


def test_batch_norm_mixes_rows_in_training_and_is_blamed_for_nothing_else():
    proofs = ["causality", "batch mates", "training mode"]
    found = {f.proof: f for f in audit_subject(subject_for(seeded(Normed)), proofs)}
    assert [found[name].passed for name in proofs] == [True, False, None]
    assert found["batch mates"].sentence.startswith("training: other words in the other rows move row")
    assert "statistics over all rows" in found["batch mates"].sentence
    assert all(
        "statistics over all rows" in " ".join(found[name].not_made)
        for name in ("causality", "training mode")
    )
    leak = broken(subject_for(seeded(lambda: Normed(leaks=True))), proofs)
    assert leak.keys() == {"causality", "batch mates"} and "evaluation" in leak["causality"].sentence
    # Without running numbers, the rows of an evaluation read one another as well.
    assert "batch mates" in broken(subject_for(seeded(lambda: Normed(running=False))), proofs)
