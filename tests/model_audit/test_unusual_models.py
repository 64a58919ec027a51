"""Models that give no scores, other numbers than scores, or other numbers in every pass: what is said of them."""

from __future__ import annotations

import random
import threading
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from trunk import CachedTrunk, Trunk, TrunkSubject, trunk

from maskbench.model_audit import ModelFinding, ModelSubject, audit_subject, generators
from maskbench.model_audit.case import ModelCallError
from maskbench.model_audit.inputs import Inputs
from maskbench.model_audit.target import subject_for


def audited(subject: ModelSubject, proofs: list[str] | None = None) -> dict[str, ModelFinding]:
    return {finding.proof: finding for finding in audit_subject(subject, proofs)}


def broken(subject: ModelSubject, proofs: list[str] | None = None) -> list[ModelFinding]:
    return [finding for finding in audited(subject, proofs).values() if finding.passed is False]


def spoiled(spoil: Any) -> TrunkSubject:
    return trunk(subject=TrunkSubject, spoil=spoil)


def scored(spoil: Any) -> TrunkSubject:
    return trunk(subject=TrunkSubject, spoil_scores=spoil)


def test_scores_of_minus_infinity_are_scores():
    """Words that are never chosen have them: one word, all but the five best, the word just read."""
    first = torch.tensor([0])
    assert broken(scored(lambda _, scores, ids: scores.index_fill(-1, first, -torch.inf))) == []
    best = scored(lambda _, s, ids: s.where(s >= s.topk(5).values[..., -1:], -torch.inf))
    assert broken(best) == []
    assert broken(scored(lambda _, s, ids: s.scatter(-1, ids[..., None], -torch.inf))) == []


@pytest.mark.parametrize("number", [torch.nan, torch.inf])
def test_a_model_without_numbers_proves_nothing_and_the_first_module_is_named(number):
    found = audited(
        spoiled(lambda _, x, ids: x * number),
        ["causality", "batch mates", "evaluation repeats", "generation"],
    )
    for proof in ("causality", "batch mates", "evaluation repeats"):
        assert found[proof].passed is False
        assert found[proof].sentence == "scores are NaN or infinite, first in the output of norms.2"
    assert found["generation"].passed is None


@pytest.mark.parametrize("number", [torch.nan, torch.inf])
def test_one_output_that_is_no_number_is_enough(number):
    first = torch.tensor([0])
    found = audited(scored(lambda _, scores, ids: scores.index_fill(-1, first, number)), ["batch mates"])
    assert found["batch mates"].sentence == "scores are NaN or infinite, first in the output of Trunk"


def test_whole_numbers_are_compared_but_have_no_gradient():
    found = audited(scored(lambda _, scores, ids: scores.argmax(-1, keepdim=True)))
    assert [finding for finding in found.values() if finding.passed is False] == []
    assert found["causality"].passed is True
    assert found["future gradients"].sentence == "the scores carry no gradient"
    assert (
        "whole numbers" in found["reach"].sentence and "whole numbers" in found["every part works"].sentence
    )
    leaking = scored(lambda _, scores, ids: scores.argmax(-1, keepdim=True) + ids[:, -1:, None])
    assert [finding.proof for finding in broken(leaking, ["causality", "batch mates"])] == ["causality"]


def test_a_gradient_that_is_no_number_is_said_to_be_none():
    """A query without a key: its row of NaN is replaced in the scores, and stays in the gradient."""

    def strict(_: Trunk, x: Tensor, _ids: Tensor) -> Tensor:
        hidden = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(0)
        return x + ((x @ x.mT).masked_fill(hidden, -torch.inf).softmax(-1) @ x).nan_to_num()

    found = audited(spoiled(strict), ["causality", "future gradients"])
    assert found["causality"].passed is True
    assert "has a gradient that is no number in the prediction at 0" in found["future gradients"].sentence


def test_scores_cut_off_from_all_parameters_are_said_to_carry_no_gradient():
    found = audited(scored(lambda _, scores, ids: scores.detach()), ["future gradients", "every part works"])
    assert found["future gradients"].sentence == "the scores carry no gradient"
    assert found["every part works"].passed is False
    frozen = trunk()
    frozen.module.requires_grad_(False)
    assert audited(frozen, ["every part works"])["every part works"].sentence == "no parameter is trained"


def test_a_container_is_not_said_to_never_run():
    found = audited(scored(lambda _, scores, ids: scores.detach()), ["every part works"])
    assert "mixers (never runs)" not in found["every part works"].sentence


IN_TRAINING = ["causality", "padding content", "batch mates", "training mode", "no trace", "draws"]


def test_draws_from_the_generators_of_python_and_numpy_are_the_same_in_every_pass():
    def dropped(module: Trunk, x: Tensor, _ids: Tensor) -> Tensor:
        return x * 0.5 if module.training and random.random() < 0.5 else x

    def noisy(module: Trunk, x: Tensor, _ids: Tensor) -> Tensor:
        return x + torch.from_numpy(np.random.randn(*x.shape)).to(x.dtype) if module.training else x

    states = random.getstate(), np.random.get_state()[1].tolist()
    for spoil in (dropped, noisy):
        found = audited(spoiled(spoil), IN_TRAINING)
        assert [finding for finding in found.values() if finding.passed is False] == []
        assert found["causality"].not_made == ()
        assert "besides dropout" in found["training mode"].sentence
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states


@pytest.mark.parametrize("draw", [lambda: random.random(), lambda: np.random.rand()])
def test_draws_from_the_generators_of_python_and_numpy_in_evaluation_are_found(draw):
    assert broken(spoiled(lambda _, x, ids: x * draw()), ["evaluation repeats"]) != []


def test_a_generator_of_the_model_itself_makes_training_passes_incomparable():
    own = torch.Generator().manual_seed(0)

    def noisy(module: Trunk, x: Tensor, _ids: Tensor) -> Tensor:
        return x + torch.randn(x.shape, generator=own).to(x.dtype) if module.training else x

    found = audited(spoiled(noisy), IN_TRAINING)
    assert [finding for finding in found.values() if finding.passed is False] == []
    assert found["causality"].passed is True
    assert "training: a pass after another gives other scores" in found["causality"].not_made[0]
    assert "two fresh copies differ" in found["no trace"].sentence


def test_a_model_that_counts_its_passes_is_not_said_to_leak():
    class Counting(TrunkSubject):
        passes = 0

        def logits(self, inputs: Inputs) -> Tensor:
            type(self).passes += 1
            return super().logits(inputs) * (1 + 0.01 * self.passes)

    found = audited(trunk(subject=Counting), ["causality", "batch mates", "evaluation repeats"])
    assert found["causality"].passed is None and found["batch mates"].passed is None
    assert found["evaluation repeats"].passed is False


def test_a_model_that_keeps_what_it_read_is_not_said_to_leak():
    def remembered(module: Trunk, x: Tensor, _ids: Tensor) -> Tensor:
        last = getattr(module, "last", None)
        module.last = x.detach()
        return x if last is None or last.shape != x.shape else x + 0.1 * last

    found = audited(spoiled(remembered), ["causality", "evaluation repeats", "no trace"])
    assert [finding.passed for finding in found.values()] == [None, False, False]


def test_random_directions_that_begin_at_one_seed_are_no_other_function_in_another_format():
    def turned(_: Trunk, x: Tensor, _ids: Tensor) -> Tensor:
        torch.manual_seed(0)
        return x @ torch.randn(x.shape[-1], x.shape[-1], dtype=x.dtype)

    assert broken(spoiled(turned)) == []


def test_a_checkpoint_without_a_gradient_of_inputs_is_said_and_no_leak():
    def checkpointed(module: Trunk, x: Tensor, _ids: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return module.norms[0](x)
        return torch.utils.checkpoint.checkpoint(module.norms[0], x, use_reentrant=True)

    found = audited(spoiled(checkpointed), ["causality", "future gradients", "every part works"])
    assert [finding.passed for finding in found.values()] == [True, None, True]
    assert "use_reentrant" in found["future gradients"].sentence


class OnlyTogether(TrunkSubject):
    """A model that reads later tokens and cannot take a row alone."""

    def logits(self, inputs: Inputs) -> Tensor:
        if inputs.batch == 1:
            raise IndexError("one row")
        return super().logits(inputs)


def test_a_model_that_raises_for_smaller_inputs_is_still_audited():
    subject = trunk(subject=OnlyTogether, spoil=lambda _, x, ids: x + x.mean(1, keepdim=True))
    found = audited(subject, ["causality", "alone"])
    assert "moves the prediction at" in found["causality"].sentence
    assert "IndexError: one row" in found["alone"].sentence


def test_a_model_that_cannot_be_called_is_refused_before_any_proof():
    class Raising(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.head = nn.Embedding(30, 8), nn.Linear(8, 30)

        def forward(self, ids: Tensor) -> Tensor:
            assert ids.shape[1] <= 8, "at most 8 tokens"
            return self.head(self.words(ids).cumsum(1))

    with pytest.raises(
        ModelCallError, match=r"Raising cannot be called with ids \[3, 11\]: AssertionError: at most 8"
    ):
        audited(subject_for(Raising().eval(), max_length=64), ["causality", "reach"])
    assert broken(subject_for(Raising().eval())) == []


def test_a_cache_that_takes_one_token_a_step_is_said_to():
    class OneByOne(CachedTrunk):
        def step(self, inputs: Inputs, start: int, state: Any) -> tuple[Tensor, Any]:
            if inputs.target.length - start > 1:
                raise NotImplementedError("one token a step")
            return super().step(inputs, start, state)

    found = audited(trunk(subject=OneByOne), ["cached decoding", "several tokens a step", "no trace"])
    assert [finding.passed for finding in found.values()] == [True, None, True]
    assert "NotImplementedError: one token a step" in found["several tokens a step"].sentence


@pytest.mark.parametrize("room", [3, 10])
def test_a_model_with_room_for_few_rows_is_audited(room):
    class Narrow(TrunkSubject):
        def logits(self, inputs: Inputs) -> Tensor:
            if inputs.batch > room:
                raise ValueError(f"room for {room} rows")
            return super().logits(inputs)

    few = ["causality", "reach", "declared structure", "batch mates"]
    assert broken(trunk(subject=Narrow), few) == []
    leaking = trunk(subject=Narrow, spoil=lambda _, x, ids: x + x.mean(1, keepdim=True))
    assert [finding.proof for finding in broken(leaking, few)] == ["causality"]


def test_a_large_table_of_relative_positions_is_no_table_of_words():
    def related(module: Trunk, x: Tensor, _ids: Tensor) -> Tensor:
        place = torch.arange(x.shape[1])
        bias = module.relative(place[:, None] - place + 20)[..., 0]
        return x + bias.tril() @ x + module.narrow(_ids) @ module.widen

    subject = trunk(subject=TrunkSubject, spoil=related)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        subject.module.relative, subject.module.narrow = nn.Embedding(60, 3), nn.Embedding(50, 5)
        subject.module.widen = nn.Parameter(torch.randn(5, 24))
    found = audited(subject, ["future gradients", "causality"])
    assert [finding.passed for finding in found.values()] == [True, True]

    def leaking(module: Trunk, x: Tensor, ids: Tensor) -> Tensor:
        return related(module, x, ids) + (module.narrow(ids) @ module.widen).roll(-1, 1)

    subject.module.spoil = leaking
    assert audited(subject, ["future gradients"])["future gradients"].passed is False


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
@pytest.mark.parametrize(
    "normed",
    [
        nn.utils.weight_norm,
        nn.utils.spectral_norm,
        nn.utils.parametrizations.weight_norm,
        nn.utils.parametrizations.spectral_norm,
    ],
)
def test_weights_that_are_computed_are_copied(normed):
    subject = trunk(subject=TrunkSubject)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        normed(subject.module.inner[0])
    assert broken(subject, [*IN_TRAINING, "evaluation repeats", "every part works", "formats"]) == []


def test_a_model_that_cannot_be_copied_is_refused():
    subject = trunk()
    subject.module.lock = threading.Lock()
    with pytest.raises(ValueError, match="Trunk cannot be copied"):
        audited(subject)


def test_lengths_that_are_too_short_are_refused():
    with pytest.raises(ValueError, match="at most 3 tokens"):
        audited(trunk(how={"max_length": 3}))
    assert broken(trunk(how={"max_length": 4})) == []


def test_a_leak_is_found_though_the_model_computes_in_16_bits():
    """Rounding to bfloat16 moves scores by more than the leak does."""

    def spoil(_: Trunk, x: Tensor, _ids: Tensor) -> Tensor:
        return (x + 0.02 * x.mean(1, keepdim=True)).bfloat16().to(x.dtype)

    found = audited(trunk(spoil=spoil), ["causality", "truncation", "future gradients", "cached decoding"])
    assert [finding.passed for finding in found.values()] == [False] * 4


class HalfHidden(nn.Module):
    """Attention whose scores and softmax are computed in float32; what is hidden is only made unlikely."""

    def __init__(self, fill: float) -> None:
        super().__init__()
        self.words, self.maps, self.fill = nn.Embedding(30, 16), nn.Linear(16, 48), fill
        self.head = nn.Linear(16, 30)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.02)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.words(ids)
        query, key, value = self.maps(x).float().chunk(3, -1)
        hidden = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool).triu(1)
        weights = (query @ key.mT).masked_fill(hidden, self.fill).softmax(-1, dtype=torch.float32)
        return self.head(x + (weights @ value).to(x.dtype))


def test_a_small_leak_is_found_though_the_model_computes_parts_in_float32():
    proofs = ["causality", "truncation", "future gradients", "long sentences"]
    assert {f.proof for f in broken(subject_for(HalfHidden(-10.0).eval()), proofs)} == set(proofs)
    assert broken(subject_for(HalfHidden(-torch.inf).eval()), proofs) == []


class Experts(nn.Module):
    """One expert of many for every token."""

    def __init__(self, idle: bool = False) -> None:
        super().__init__()
        self.words, self.gate, self.head = nn.Embedding(40, 12), nn.Linear(12, 24), nn.Linear(12, 40)
        self.experts = nn.ModuleList(nn.Linear(12, 12) for _ in range(24))
        self.spare = nn.Linear(12, 12) if idle else None

    def forward(self, ids: Tensor) -> Tensor:
        x = self.words(ids).cumsum(1)
        chosen = self.gate(x).softmax(-1)
        out = torch.zeros_like(x)
        for place in chosen.argmax(-1).unique().tolist():
            here = (chosen.argmax(-1) == place)[..., None]
            out = out + here * chosen[..., place : place + 1] * self.experts[place](x)
        return self.head(x + out)


def test_an_expert_that_no_word_chose_is_not_said_to_be_idle():
    torch.manual_seed(1)
    assert broken(subject_for(Experts().eval()), ["every part works"]) == []
    torch.manual_seed(1)
    (found,) = broken(subject_for(Experts(idle=True).eval()), ["every part works"])
    assert found.sentence == "no score depends on spare (never runs)"


def test_a_model_that_draws_in_evaluation_is_blamed_for_nothing_else():
    class Dropping(Indexless):
        def mixed(self, x: Tensor) -> Tensor:
            return torch.nn.functional.dropout(x, 0.3, training=True)

    assert {f.proof for f in broken(subject_for(Dropping().eval()))} == {"evaluation repeats"}


def test_a_model_that_counts_its_calls_is_blamed_for_nothing_else():
    class Counting(Indexless):
        calls = 0

        def mixed(self, x: Tensor) -> Tensor:
            self.calls += 1
            return x * (1 + 0.01 * self.calls)

    assert {f.proof for f in broken(subject_for(Counting().eval()))} == {"evaluation repeats", "no trace"}


class Indexless(nn.Module):
    """A causal model with a place for something unusual."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(30, 12), nn.Linear(12, 30)

    def mixed(self, x: Tensor) -> Tensor:
        return x

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.mixed(self.words(ids).cumsum(1).tanh()))


@pytest.mark.parametrize("spoil", [lambda s: s.flip(-1), lambda s: -s, lambda s: s.roll(1, 1)], ids=range(3))
def test_another_function_in_bfloat16_is_found(spoil):
    class Otherwise(Indexless):
        def forward(self, ids: Tensor) -> Tensor:
            scores = super().forward(ids)
            return spoil(scores) if scores.dtype == torch.bfloat16 else scores

    (found,) = broken(subject_for(Otherwise().eval()), ["formats"])
    assert found.sentence.startswith("bfloat16 differs by")
    assert broken(subject_for(Indexless().eval()), ["formats"]) == []


def test_generators_of_devices_are_seeded_and_given_back(monkeypatch):
    """There is no device here; torch's functions for them stand in for one."""
    device = [torch.tensor([5, 6], dtype=torch.uint8)]
    seeds, given_back = [], []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: device)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", given_back.append)
    with generators.seeded(11):
        assert seeds == [11] and given_back == []
        assert generators.states()[-1] == bytes([5, 6])
    assert given_back == [device]
