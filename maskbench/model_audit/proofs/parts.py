"""Proof that every part of a model works: parameters that no score depends on, and submodules that never run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from torch import nn

from maskbench.model_audit.case import ModelCase, quiet
from maskbench.model_audit.jacobian import fixed_direction
from maskbench.model_audit.proofs.registry import ProofResult, model_proof


@model_proof("every part works", "parts")
def every_part(case: ModelCase) -> Iterable[ProofResult]:
    """Does every parameter get a gradient, and does every submodule run?"""
    module, inputs = case.subject.module, case.inputs
    if not any(p.requires_grad for p in module.parameters()):
        yield ProofResult.skipped("no parameter is trained")
        return
    ran: set[nn.Module] = set()
    handles = [part.register_forward_hook(lambda m, _i, _o: ran.add(m)) for part in module.modules()]
    module.zero_grad(set_to_none=True)
    try:
        # A layer that training skips by chance runs in evaluation, and some parts run in training alone.
        for mode in (case.training, case.evaluation.with_gradients()):
            with case.running(mode), quiet(module):
                scores = case.subject.logits(inputs)
                if not scores.is_floating_point():
                    yield ProofResult.skipped("the scores are whole numbers, which carry no gradient")
                    return
                # Some libraries refuse gradients in evaluation, and say so by an assertion.
                with contextlib.suppress(*([] if mode.training else [AssertionError])):
                    if scores.requires_grad:
                        projected = scores @ fixed_direction(scores)
                        projected[inputs.target.real].sum().backward()  # type: ignore[no-untyped-call]
    finally:
        for handle in handles:
            handle.remove()
    unreached = [n for n, p in module.named_parameters() if p.requires_grad and p.grad is None]
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
