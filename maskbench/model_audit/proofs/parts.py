"""Proof that every part of a model works: parameters that no score depends on, and submodules that never run."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable

import torch
from torch import nn

from maskbench.model_audit.case import ModelCase, quiet
from maskbench.model_audit.inputs import Inputs, other_words
from maskbench.model_audit.jacobian import fixed_direction
from maskbench.model_audit.proofs.length import long_inputs
from maskbench.model_audit.proofs.registry import ProofResult, model_proof

TRIES = 16
"""Number of times that other words and weights are tried before a part is said not to work."""


@model_proof("every part works", "parts")
def every_part(case: ModelCase) -> Iterable[ProofResult]:
    """Does every parameter get a gradient, and does every submodule run?"""
    module = case.subject.module
    if any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        yield ProofResult.skipped("modules of torch.jit cannot be observed")
        return
    if not any(p.requires_grad for p in module.parameters()):
        yield ProofResult.skipped("no parameter is trained")
        return
    ran: set[nn.Module] = set()
    handles = [part.register_forward_hook(lambda m, _i, _o: ran.add(m)) for part in module.modules()]
    module.zero_grad(set_to_none=True)
    tries = _tries(case)
    try:
        for tried in tries:
            if tried is not case.inputs and not _is_taken(case, tried):
                break
            if not _run_back(case, tried):
                yield ProofResult.skipped("the scores are whole numbers, which carry no gradient")
                return
            unreached = [n for n, p in module.named_parameters() if p.requires_grad and p.grad is None]
            if not unreached:
                break
    finally:
        tries.close()
        for handle in handles:
            handle.remove()
    module.zero_grad(set_to_none=True)
    excused: dict[str, list[str]] = {}
    for part, reason in case.subject.idle_parts().items():
        own = [name for name in unreached if name == part or name.startswith(f"{part}.")]
        if own:
            excused.setdefault(reason, []).append(part)
            unreached = [name for name in unreached if name not in own]
    for reason, parts in excused.items():
        yield ProofResult.skipped(f"{', '.join(parts)}: {reason}")
    names = _by_module(module, unreached, ran)
    said = f"no score depends on {', '.join(names[:5])}" if names else ""
    yield ProofResult.at_most(
        float(len(names)), 0.0, said + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    )


def _tries(case: ModelCase) -> Generator[Inputs]:
    """Yield the test inputs; then longer ones with other words, each with the rows of all matrices moved on.

    Few words reach few experts of many, and at some weights no word reaches all.
    """
    yield case.inputs
    module, inputs = case.subject.module, long_inputs(case.subject)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    try:
        for shift in range(TRIES):
            for side in inputs.sides:
                tokens = inputs.of(side)
                new = other_words(tokens.ids, case.subject.words, shift)
                inputs = inputs.change(side, tokens.with_words(tokens.real, new))
            with torch.no_grad():
                for parameter in module.parameters():
                    if parameter.ndim > 1:
                        parameter.copy_(parameter.roll(1, 0))
            yield inputs
    finally:
        module.load_state_dict(before)


def _is_taken(case: ModelCase, inputs: Inputs) -> bool:
    """Whether the model computes scores of inputs of another length."""
    try:
        case.scores(inputs)
    except Exception:  # whatever a model raises at a length that it does not take
        return False
    return True


def _run_back(case: ModelCase, inputs: Inputs) -> bool:
    """Compute scores in training and in evaluation and their gradients; False where scores are whole numbers, which carry none.

    A layer that training skips by chance runs in evaluation, and some parts run in training alone.
    """
    for mode in (case.training, case.evaluation.with_gradients()):
        with case.running(mode), quiet(case.subject.module):
            scores = case.subject.logits(inputs)
            if not scores.is_floating_point():
                return False
            # Some libraries refuse gradients in evaluation, and say so by an assertion.
            with contextlib.suppress(*([] if mode.training else [AssertionError])):
                if scores.requires_grad:
                    projected = scores @ fixed_direction(scores)
                    projected[inputs.target.real].sum().backward()  # type: ignore[no-untyped-call]
    return True


def _by_module(module: nn.Module, unreached: list[str], ran: set[nn.Module]) -> list[str]:
    """Return the unreached parameters; a submodule that never ran, and of which all are unreached, in their place."""
    found: list[str] = []
    for name in unreached:
        path = name.split(".")
        for depth in range(1, len(path)):
            prefix = ".".join(path[:depth])
            part = module.get_submodule(prefix)
            if isinstance(part, nn.ModuleList | nn.ModuleDict | nn.ParameterList | nn.ParameterDict):
                continue  # containers never run
            own = [f"{prefix}.{n}" for n, p in part.named_parameters() if p.requires_grad]
            if part not in ran and set(own) <= set(unreached):
                name = f"{prefix} (never runs)"
                break
        if name not in found:
            found.append(name)
    return found
