"""The gradient of every prediction in the vectors of every token, from one forward pass and one backward pass a position."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from maskbench.model_audit.case import WITH_GRADIENTS, ModelCase
from maskbench.model_audit.inputs import Side
from maskbench.model_audit.proofs.registry import ProofResult
from maskbench.model_audit.rounding import largest_score


@contextmanager
def add_probes(
    modules: list[nn.Module], probes: dict[tuple[int, int], Tensor]
) -> Iterator[set[tuple[int, int]]]:
    """Within the context, add to each module's output the probe of its length and width; yields those that were met."""
    met: set[tuple[int, int]] = set()

    def add(_module: nn.Module, _inputs: object, output: Any) -> Any:
        if not isinstance(output, Tensor) or output.ndim != 3:
            return output
        size = output.shape[1], output.shape[2]
        # A table of relative positions gives [len len heads].
        if size not in probes or output.shape[0] not in (1, len(probes[size])):
            return output
        met.add(size)
        return output + probes[size].to(output.dtype)

    handles = [module.register_forward_hook(add) for module in modules]
    try:
        yield met
    finally:
        for handle in handles:
            handle.remove()


def jacobian(case: ModelCase) -> dict[Side, Tensor] | str:
    """Return, by side, the largest absolute gradient of each prediction in each token's vector, `[batch outputs tokens]`.

    A prediction is projected to one number in a fixed direction. The text is the reason why there is none.
    """
    return case.once("jacobian", lambda: _jacobian(case))


def _jacobian(case: ModelCase) -> dict[Side, Tensor] | str:
    inputs, modules = case.inputs, list(case.subject.embeddings())
    if not modules:
        return "no module is known whose outputs are the vectors of tokens (`embeddings`)"
    widths = {width for module in modules if (width := _width(module)) is not None}
    if not widths:
        return "the width of the vectors of tokens is not known"
    like = next(iter(modules[0].parameters()))
    sides: dict[int, Side] = {inputs.of(side).length: side for side in inputs.sides}
    probes = {
        (length, width): torch.zeros(inputs.batch, length, width, dtype=like.dtype, requires_grad=True)
        for length in sides
        for width in widths
    }
    with case.running(WITH_GRADIENTS), add_probes(modules, probes) as met:
        scores = case.subject.logits(inputs)
        if not scores.requires_grad:
            return "the scores carry no gradient"
        if not met:
            return "the vectors of tokens did not pass the modules that `embeddings` names"
        direction = torch.linspace(0.3, 1.7, scores.shape[-1]).cos().to(scores.dtype)
        sizes = sorted(met)
        found: dict[Side, list[Tensor]] = {sides[length]: [] for length, _ in sizes}
        for i in range(scores.shape[1]):
            try:
                gradients = torch.autograd.grad(
                    (scores[:, i] * direction).sum(),
                    [probes[size] for size in sizes],
                    retain_graph=True,
                    materialize_grads=True,
                )
            except RuntimeError as error:  # such as a checkpoint that allows only `backward`
                return f"no gradient can be computed: {str(error).splitlines()[0]}"
            for side, of_side in found.items():
                parts = [
                    gradient.abs().amax(-1)
                    for (length, _), gradient in zip(sizes, gradients, strict=True)
                    if sides[length] == side
                ]
                of_side.append(torch.stack(parts).amax(0))
    return {side: torch.stack(of_side, 1) for side, of_side in found.items()}


def _width(module: nn.Module) -> int | None:
    """Return the width of a module's output, from the last axis of its first parameter."""
    parameter = next(iter(module.parameters()), None)
    return None if parameter is None or parameter.ndim != 2 else parameter.shape[1]


def gradients_at(
    case: ModelCase, side: Side, pairs: Bool[Tensor, "batch outputs tokens"], what: str
) -> ProofResult:
    """Return whether the gradient of predictions in the vectors of one side's tokens is 0 at some pairs.

    Args:
        what: what the tokens of these pairs are, such as "source padding at".
    """
    found = jacobian(case)
    if isinstance(found, str):
        return ProofResult.skipped(found)
    if side not in found:
        reason = f"the vectors of {side} tokens did not pass the modules that `embeddings` names"
        return ProofResult.skipped(reason)
    strength = found[side]
    outside = torch.where(pairs, strength.nan_to_num(nan=torch.inf), 0.0)
    limit, value = case.limit() * max(1.0, largest_score(strength)), float(outside.max())
    row, t, j = (int(n) for n in torch.unravel_index(outside.argmax(), outside.shape))
    size = f"of {value:.2g}" if math.isfinite(value) else "that is no number"
    detail = f"{what} {j} has a gradient {size} in the prediction at {t} (row {row})"
    return ProofResult.at_most(value, limit, detail if value > limit else side)
