"""The gradient of every prediction in the vectors of every token, from one forward pass and one backward pass a position."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from maskbench.model_audit.case import ModelCase
from maskbench.model_audit.inputs import Side
from maskbench.model_audit.proofs.registry import ProofResult
from maskbench.model_audit.rounding import largest_score


@contextmanager
def add_probes(
    sides: Mapping[nn.Module, Mapping[int, Side]], batch: int
) -> Iterator[dict[tuple[Side, int], Tensor]]:
    """Within the context, add zeros to the outputs of modules, one probe for each side and width; yields the probes.

    Args:
        sides: for every module, which side an output of a length is.
        batch: number of rows.
    """
    probes: dict[tuple[Side, int], Tensor] = {}

    def add(module: nn.Module, _inputs: object, output: Any) -> Any:
        if not isinstance(output, Tensor) or output.ndim != 3 or output.shape[1] not in sides[module]:
            return output
        # A table of relative positions gives [len len heads].
        if output.shape[0] not in (1, batch):
            return output
        place = sides[module][output.shape[1]], output.shape[2]
        if place not in probes:
            probes[place] = output.new_zeros(batch, *output.shape[1:]).requires_grad_()
        return output + probes[place].to(output.dtype)

    handles = [module.register_forward_hook(add) for module in sides]
    try:
        yield probes
    finally:
        for handle in handles:
            handle.remove()


def strongest_gradients(scores: Tensor, probes: Sequence[Tensor]) -> list[Tensor]:
    """Return, for every probe, the largest absolute gradient of each position's scores in each of its vectors.

    Args:
        scores: `[batch outputs anything]`, projected to one number a position in a fixed direction.
        probes: each `[batch len width]`.

    Returns:
        for every probe `[batch outputs len]`.
    """
    projected = scores @ fixed_direction(scores)
    found: list[list[Tensor]] = [[] for _ in probes]
    for i in range(scores.shape[1]):
        gradients = torch.autograd.grad(
            projected[:, i].sum(), list(probes), retain_graph=True, materialize_grads=True
        )
        for rows, gradient in zip(found, gradients, strict=True):
            rows.append(gradient.abs().amax(-1))
    return [torch.stack(rows, 1) for rows in found]


def fixed_direction(scores: Tensor) -> Float[Tensor, "outputs"]:
    """Return a direction in which scores are projected to one number; no two of its entries are equal."""
    return torch.linspace(0.3, 1.7, scores.shape[-1], device=scores.device, dtype=scores.dtype).cos()


def jacobian(case: ModelCase) -> dict[Side, Tensor] | str:
    """Return, by side, the largest absolute gradient of each prediction in each token's vector, `[batch outputs tokens]`.

    A prediction is projected to one number in a fixed direction. The text is the reason why there is none.
    """

    def ask() -> dict[Side, Tensor] | str:
        try:
            return _jacobian(case)
        except (AssertionError, NotImplementedError) as error:  # the library refuses gradients in evaluation
            return f"gradients cannot be computed: {error}"

    return case.once("jacobian", ask)


def _jacobian(case: ModelCase) -> dict[Side, Tensor] | str:
    inputs, found = case.inputs, case.subject.embeddings()
    lengths: dict[int, Side] = {inputs.of(side).length: side for side in inputs.sides}
    if isinstance(found, Mapping):
        by_module = {
            module: {inputs.of(side).length: side} for side, modules in found.items() for module in modules
        }
    elif len(lengths) < len(inputs.sides):
        return "source and target have the same length, so that vectors of one are not told from those of the other"
    else:
        by_module = {module: lengths for module in found}
    if not by_module:
        return "no module is known whose outputs are the vectors of tokens (`embeddings`)"
    with case.running(case.evaluation.with_gradients()), add_probes(by_module, inputs.batch) as probes:
        scores = case.subject.logits(inputs)
        if not scores.requires_grad:
            return "the scores carry no gradient"
        if not probes:
            return "the vectors of tokens did not pass the modules that `embeddings` names"
        try:
            gradients = strongest_gradients(scores, list(probes.values()))
        except RuntimeError as error:  # such as a checkpoint that allows only `backward`
            return f"no gradient can be computed: {str(error).splitlines()[0]}"
    strongest: dict[Side, Tensor] = {}
    for (side, _width), strength in zip(probes, gradients, strict=True):
        strongest[side] = torch.maximum(strongest[side], strength) if side in strongest else strength
    return strongest


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
