"""Proofs that a model is one function: with and without gradients, in both modes, in every format, and after any use."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.spectral_norm import SpectralNorm

from maskbench.model_audit.case import SEED, ModelCase, quiet
from maskbench.model_audit.changes import with_other_mates
from maskbench.model_audit.comparable import (
    DIFFERENT_AGAIN,
    STATISTICS,
    draws_depend_on_tokens,
    draws_numbers,
    is_repeatable,
    keeps_statistics,
)
from maskbench.model_audit.generators import seeded
from maskbench.model_audit.inputs import Inputs
from maskbench.model_audit.proofs.registry import ProofResult, model_proof, not_able
from maskbench.model_audit.proofs.ways import compare_ways
from maskbench.model_audit.rounding import (
    ROUNDINGS,
    NarrowestFormat,
    by,
    difference,
    largest_score,
    without_fills,
)


def _at_real(case: ModelCase, scores: Tensor) -> Tensor:
    return scores[case.inputs.target.real]


@model_proof("gradient mode", "modes", needs="repeats")
def gradient_mode(case: ModelCase) -> Iterable[ProofResult]:
    """Are scores the same with and without recording gradients?"""
    for mode in case.subject.settled_modes:
        both = mode, mode.with_gradients()
        without, recorded = map(case.unchanged, both)
        yield compare_ways(case, without, recorded, mode.name, " without gradients", modes=both)


@model_proof("training mode", "modes", needs="repeats")
def training_mode(case: ModelCase) -> Iterable[ProofResult]:
    """Are the scores of the training mode, without dropout, those of the evaluation?"""
    module = case.subject.module
    if keeps_statistics(case):
        yield ProofResult.skipped(STATISTICS)
        return
    if any(_iterates_a_norm(part) for part in module.modules()):
        yield ProofResult.skipped("the model improves its spectral norm in every training pass")
        return
    with quiet(module):
        train, again = (case.scores(case.inputs, case.training) for _ in range(2))
        apart = difference(_at_real(case, train), _at_real(case, again))
        if draws_numbers(case, case.training) or apart > case.limit(_at_real(case, train)):
            yield ProofResult.skipped("the model draws random numbers in training besides dropout")
            return
        both = case.evaluation.with_gradients(), case.training
        evaluation = case.scores(case.inputs, both[0])
        yield compare_ways(case, evaluation, train, "", " in training mode without dropout", modes=both)


def _iterates_a_norm(part: nn.Module) -> bool:
    """Whether a module computes a spectral norm, which a training pass brings nearer to its limit."""
    return isinstance(part, _SpectralNorm) or any(
        isinstance(hook, SpectralNorm) for hook in part._forward_pre_hooks.values()
    )


COARSER = "coarser"
"""Verdict on a model that computes in a narrower format than that of its weights, and is as exact as that format."""
ROUTED = "routed"
"""Verdict on a model whose tokens decide how many random numbers training draws."""


@model_proof("draws", "modes")
def draws(case: ModelCase) -> Iterable[ProofResult]:
    """Is the number of random draws of a training pass the same whatever the tokens are?"""
    if not draws_numbers(case, case.training):
        yield ProofResult.skipped("a training pass draws nothing")
        return
    if not is_repeatable(case, case.training):
        yield ProofResult.skipped(DIFFERENT_AGAIN)
        return
    if draws_depend_on_tokens(case, case.training):
        detail = "other tokens make a training pass draw more or fewer numbers, as routing does; it is no leak by itself"
        yield ProofResult(True, detail=detail, verdict=ROUTED)
        return
    yield ProofResult.at_most(0.0, 0.0)


@model_proof("evaluation repeats", "modes")
def repeats(case: ModelCase) -> Iterable[ProofResult]:
    """Does an evaluation give the same scores again, in another state of the generators of random numbers?"""

    def compute(inputs: Inputs) -> Tensor:
        with seeded(4):
            return case.subject.outputs(inputs)

    before = case.unchanged(outputs=True)
    after = case.scores(case.inputs, case.subject.repeated, compute)
    moved, limit = (
        difference(_at_real(case, after), _at_real(case, before)),
        case.limit(before, same_shape=True),
    )
    yield ProofResult.at_most(moved, limit, f"scores move {by(moved)}" if moved else "")
    if not is_repeatable(case, case.evaluation):
        yield ProofResult(False, detail=f"evaluation: {DIFFERENT_AGAIN}")


@model_proof("formats", "modes", needs="no draws")
def formats(case: ModelCase) -> Iterable[ProofResult]:
    """Are scores in float32 and bfloat16 those of float64, up to rounding?"""
    if case.dtype != torch.float64:
        return
    exact = _at_real(case, case.unchanged())
    for dtype in (torch.float32, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        try:
            other = ModelCase(case.untouched, dtype, case.inputs)
            with other.running_as_it_is(case.evaluation), NarrowestFormat() as seen:
                found = _at_real(case, without_fills(other.subject.logits(case.inputs).detach().cpu()))
        except (RuntimeError, TypeError, ValueError) as error:
            yield not_able(name, error)
            continue
        computed = max(seen.dtype, dtype, key=lambda one: torch.finfo(one).eps)
        # In 16 bits, a rounding of every number of a few layers may sum to half of the largest score; a choice may turn on it.
        roundings = ROUNDINGS if computed == torch.float32 else ROUNDINGS // 4
        limit = roundings * torch.finfo(computed).eps * max(1.0, largest_score(exact))
        found = found.double()
        # Rounding may decide which output is never chosen.
        moved = difference(found.where(~exact.isneginf(), exact), exact.where(~found.isneginf(), found))
        answer = ProofResult.at_most(moved, limit, f"{name} differs {by(moved)}")
        if answer.passed and computed.itemsize < dtype.itemsize:
            said = f"parts of {name} weights are computed in {str(computed).removeprefix('torch.')}"
            answer = replace(answer, detail=f"{answer.detail}: {said}", verdict=COARSER)
        yield answer


@model_proof("implementations", "modes", needs="repeats")
def implementations(case: ModelCase) -> Iterable[ProofResult]:
    """Do all kernels of attention give the same scores?"""
    built = case.subject.implementations()
    if not built:
        yield ProofResult.skipped("one implementation of attention is known")
        return
    before = case.unchanged()
    weights = case.subject.module.state_dict()
    for name, build in built.items():
        try:
            other = build()
            other.module.to(case.dtype).load_state_dict(weights)
            rebuilt = ModelCase(other, case.dtype, case.inputs)
            found = rebuilt.scores(case.inputs)
        except Exception as error:  # whatever a kernel that is not there raises
            yield not_able(name, error)
            continue
        moved = difference(_at_real(case, found), _at_real(case, before))
        # One kernel may compute in a narrower format than the other.
        limit = max(case.limit(before), rebuilt.limit(before))
        yield ProofResult.at_most(moved, limit, f"{name} differs {by(moved)}" if moved > limit else name)


@model_proof("no trace", "modes")
def no_trace(case: ModelCase) -> Iterable[ProofResult]:
    """Do evaluating, decoding and switching modes leave a later training pass as it was, bit for bit?"""
    used = ModelCase(case.untouched, case.dtype, case.inputs)
    fresh, other = (ModelCase(case.untouched, case.dtype, case.inputs) for _ in range(2))
    module = used.subject.module
    used.subject.set_mode(case.training)
    before = copy.deepcopy(_state(module))
    others = with_other_mates(used.inputs, -1, used.subject.words)
    with seeded(SEED), torch.no_grad():
        used.subject.set_mode(case.evaluation)
        # Other sentences: what a model keeps of the first ones that it sees differs then.
        used.subject.logits(others)
        used.subject.logits(used.inputs.cloned())
        if used.subject.has_step:
            _scores, state = used.subject.step(
                used.inputs.change("target", used.inputs.target.columns(0, 1)), 0, None
            )
            used.subject.step(used.inputs.change("target", used.inputs.target.columns(0, 2)), 1, state)
        with contextlib.suppress(Exception):  # another proof says what a generation raises
            used.subject.generate(used.inputs.change("target", used.inputs.target.columns(0, 2)), 2)
        used.subject.set_mode(case.training)
    changed = sorted(name for name, value in _differences(before, _state(module)))
    # Not through `running`, which restores the buffers.
    after, expected, again = (_training_pass(one) for one in (used, fresh, other))
    if difference(expected, again):
        yield ProofResult.skipped(
            "training passes of two fresh copies differ, though all generators start at one seed"
        )
        return
    moved = difference(after, expected)
    said = f"a training pass after it differs {by(moved)}" if moved else ""
    if changed:
        said += f"{'; ' if said else ''}changed: {', '.join(changed[:5])}"
    # State that changes no training pass is told, and no broken promise.
    yield replace(
        ProofResult.at_most(moved, 0.0, said), verdict="holds, with a trace" if changed and not moved else ""
    )


def _training_pass(case: ModelCase) -> Tensor:
    """Return the scores of a training pass that starts from the buffers as they are."""
    case.subject.set_mode(case.training)
    with seeded(SEED):
        return case.subject.logits(case.inputs).detach()


def _state(module: nn.Module) -> dict[str, object]:
    """Return parameters, buffers and plain attributes of every submodule, by name."""
    found: dict[str, object] = dict(module.state_dict())
    for name, part in module.named_modules():
        for key, value in vars(part).items():
            if isinstance(value, bool | int | float | str | Tensor) and not key.startswith("_"):
                found[f"{name}.{key}".lstrip(".")] = value
    return found


def _differences(before: dict[str, object], after: dict[str, object]) -> Iterator[tuple[str, object]]:
    for name in before.keys() | after.keys():
        one, other = before.get(name), after.get(name)
        if isinstance(one, Tensor) and isinstance(other, Tensor):
            same = one.shape == other.shape and torch.equal(one, other)
        else:
            same = one is other or (type(one) is type(other) and one == other)
        if not same:
            yield name, other
