"""Proofs that a model is one function: with and without gradients, in both modes, in every format, and after any use."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from maskbench.model_audit.case import (
    EVALUATION,
    STATISTICS,
    TRAINING,
    UNSEEDED,
    WITH_GRADIENTS,
    ModelCase,
    quiet,
    seeded,
)
from maskbench.model_audit.proofs.registry import ProofResult, model_proof, not_able
from maskbench.model_audit.rounding import ROUNDINGS, difference, largest_score


def _at_real(case: ModelCase, scores: Tensor) -> Tensor:
    return scores[case.inputs.target.real]


@model_proof("gradient mode", "modes")
def gradient_mode(case: ModelCase) -> Iterable[ProofResult]:
    """Are scores the same with and without recording gradients?"""
    without, recorded = (_at_real(case, case.unchanged(mode)) for mode in (EVALUATION, WITH_GRADIENTS))
    moved, limit = difference(without, recorded), case.limit(without)
    said = f"scores differ by {moved:.2g} without gradients" if moved > limit else ""
    yield ProofResult.at_most(moved, limit, said)


@model_proof("training mode", "modes")
def training_mode(case: ModelCase) -> Iterable[ProofResult]:
    """Are the scores of the training mode, without dropout, those of the evaluation?"""
    module = case.subject.module
    if case.keeps_statistics():
        yield ProofResult.skipped(STATISTICS)
        return
    with quiet(module):
        if case.draws(TRAINING):
            yield ProofResult.skipped("the model draws random numbers in training besides dropout")
            return
        train = _at_real(case, case.scores(case.inputs, TRAINING))
        evaluation = _at_real(case, case.scores(case.inputs, WITH_GRADIENTS))
    moved, limit = difference(train, evaluation), case.limit(evaluation)
    said = f"scores differ by {moved:.2g} in training mode without dropout" if moved > limit else ""
    yield ProofResult.at_most(moved, limit, said)


@model_proof("draws", "modes")
def draws(case: ModelCase) -> Iterable[ProofResult]:
    """Is the number of random draws of a training pass the same whatever the tokens are?"""
    if not case.draws(TRAINING):
        yield ProofResult.skipped("a training pass draws nothing")
        return
    if not case.is_seeded():
        yield ProofResult.skipped(UNSEEDED)
        return
    if case.draws_depend_on_tokens():
        detail = "other tokens make a training pass draw more or fewer numbers, as routing does; it is no leak by itself"
        yield ProofResult(False, 1.0, 0.0, detail)
        return
    yield ProofResult.at_most(0.0, 0.0)


@model_proof("evaluation repeats", "modes")
def repeats(case: ModelCase) -> Iterable[ProofResult]:
    """Does an evaluation give the same scores again, in another state of torch's generator?"""
    before = case.unchanged(EVALUATION)
    with case.running(EVALUATION):
        torch.manual_seed(4)
        after = case.subject.logits(case.inputs)
    moved = difference(_at_real(case, after), _at_real(case, before))
    yield ProofResult.at_most(moved, case.limit(before), f"scores move by {moved:.2g}" if moved else "")


@model_proof("formats", "modes")
def formats(case: ModelCase) -> Iterable[ProofResult]:
    """Are scores in float32 and bfloat16 those of float64, up to rounding?"""
    if case.dtype != torch.float64:
        return
    exact = _at_real(case, case.unchanged(EVALUATION))
    for dtype in (torch.float32, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        try:
            other = ModelCase(case.untouched, dtype, case.inputs)
            found = _at_real(case, other.scores(case.inputs, EVALUATION))
        except (RuntimeError, TypeError, ValueError) as error:
            yield not_able(name, error)
            continue
        limit = ROUNDINGS * torch.finfo(dtype).eps * max(1.0, largest_score(exact))
        moved = difference(found.double(), exact)
        yield ProofResult.at_most(moved, limit, f"{name} differs by {moved:.2g}")


@model_proof("implementations", "modes")
def implementations(case: ModelCase) -> Iterable[ProofResult]:
    """Do all kernels of attention give the same scores?"""
    built = case.subject.implementations()
    if not built:
        yield ProofResult.skipped("one implementation of attention is known")
        return
    before = case.unchanged(EVALUATION)
    weights = case.subject.module.state_dict()
    for name, build in built.items():
        try:
            other = build()
            other.module.to(case.dtype).load_state_dict(weights)
            rebuilt = ModelCase(other, case.dtype, case.inputs)
            found = rebuilt.scores(case.inputs, EVALUATION)
        except (RuntimeError, ImportError, NotImplementedError, ValueError) as error:
            yield not_able(name, error)
            continue
        moved = difference(_at_real(case, found), _at_real(case, before))
        # One kernel may compute in a narrower format than the other.
        limit = max(case.limit(before), rebuilt.limit(before))
        yield ProofResult.at_most(moved, limit, f"{name} differs by {moved:.2g}" if moved > limit else name)


@model_proof("no trace", "modes")
def no_trace(case: ModelCase) -> Iterable[ProofResult]:
    """Do evaluating, decoding and switching modes leave a later training pass as it was, bit for bit?"""
    if not case.is_seeded():
        yield ProofResult.skipped(UNSEEDED)
        return
    used = ModelCase(case.untouched, case.dtype, case.inputs)
    fresh = ModelCase(case.untouched, case.dtype, case.inputs)
    module = used.subject.module
    module.train()
    before = copy.deepcopy(_state(module))
    with seeded(3), torch.no_grad():
        module.eval()
        used.subject.logits(used.inputs)
        if used.subject.has_step:
            _scores, state = used.subject.step(
                used.inputs.change("target", used.inputs.target.columns(0, 2)), 0, None
            )
            used.subject.step(used.inputs.change("target", used.inputs.target.columns(0, 3)), 2, state)
        module.train()
    changed = sorted(name for name, value in _differences(before, _state(module)))
    # Not through `running`, which restores the buffers.
    with seeded(3):
        after = used.subject.logits(used.inputs).detach()
    with seeded(3):
        fresh.subject.module.train()
        expected = fresh.subject.logits(fresh.inputs).detach()
    moved = difference(after, expected)
    said = f"a training pass after it differs by {moved:.2g}" if moved else ""
    if changed:
        said += f"{'; ' if said else ''}changed: {', '.join(changed[:5])}"
    yield ProofResult.at_most(moved, 0.0, said)


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
