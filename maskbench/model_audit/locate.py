"""Finds the module where a broken promise is first seen: the first one to finish whose output moves and must not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from maskbench.model_audit.case import ModelCase
from maskbench.model_audit.inputs import Inputs
from maskbench.model_audit.mode import Mode
from maskbench.model_audit.proofs.registry import Change
from maskbench.model_audit.rounding import difference


def first_broken_module(case: ModelCase, change: Change, limit: float) -> str | None:
    """Return the name of the module, or None if no single module shows the change.

    Looked at are outputs with an axis of the target's length, at columns that the change may not move, or of the source's
    length, at real tokens. Modules finish inner ones first.

    Args:
        change: two inputs, the row and the position of the prediction that moved.
        limit: differences up to this are rounding.
    """
    common = min(change.before.target.length, change.after.target.length)
    before, after = (_outputs(case, inputs, change.mode) for inputs in (change.before, change.after))

    def part(output: Tensor, inputs: Inputs) -> Tensor | None:
        return _kept(output, inputs, change, common)

    return _first_apart(
        case, before, after, lambda one, other: (part(one, change.before), part(other, change.after)), limit
    )


def first_module_without_numbers(case: ModelCase) -> str | None:
    """Return the name of the first module to finish whose output holds NaN or infinity at real positions; None: not known."""
    real = case.inputs.target.real
    try:
        outputs = _outputs(case, case.inputs, case.evaluation)
    except Exception:  # a proof may compute scores where the model itself raises
        return None
    for name, output in outputs.items():
        at_real = output[real] if output.shape[:2] == real.shape else output
        if not bool(at_real.isfinite().all()):
            return name or case.subject.name
    return None


Compute = Callable[[Inputs], Tensor]


def first_module_apart(
    case: ModelCase,
    limit: float,
    modes: tuple[Mode, Mode] | None = None,
    ways: tuple[Compute | None, Compute | None] = (None, None),
) -> str | None:
    """Return the name of the first module whose output differs between two ways to compute the test inputs.

    Args:
        limit: differences up to this are rounding.
        modes: of both; None: evaluation.
        ways: of both; None: `logits`.
    """
    modes, real = modes or (case.evaluation, case.evaluation), case.inputs.target.real
    try:
        one, other = (_outputs(case, case.inputs, mode, way) for mode, way in zip(modes, ways, strict=True))
    except Exception:  # a module may refuse what its hooks see
        return None

    def at_real(output: Tensor) -> Tensor:
        return output[real] if output.shape[:2] == real.shape else output

    return _first_apart(case, one, other, lambda before, after: (at_real(before), at_real(after)), limit)


def first_module_of_step(
    case: ModelCase, inputs: Inputs, piece: tuple[int, int], step: Compute, limit: float
) -> str | None:
    """Return the name of the first module whose output in a step from a cache is not that of the whole pass.

    Args:
        piece: the first column of the step, and its end.
        step: computes the steps before it, and this one; modules are looked at in this one alone.
        limit: differences up to this are rounding.
    """
    start, end = piece
    real = inputs.target.real[:, start:end]
    try:
        whole = _outputs(case, inputs, case.evaluation)
        stepped = _outputs(case, inputs, case.evaluation, step, last=True)
    except Exception:  # a module may refuse what its hooks see
        return None

    def new_columns(found: Tensor, expected: Tensor) -> tuple[Tensor | None, Tensor | None]:
        if found.shape[:2] != real.shape or expected.shape[:2] != inputs.target.real.shape:
            return None, None
        return found[real], expected[:, start:end][real]

    return _first_apart(case, stepped, whole, new_columns, limit)


def _first_apart(
    case: ModelCase,
    one: Mapping[str, Tensor],
    other: Mapping[str, Tensor],
    parts: Callable[[Tensor, Tensor], tuple[Tensor | None, Tensor | None]],
    limit: float,
) -> str | None:
    """Return the name of the first module of which the parts that must agree do not, in the order of `one`.

    Args:
        one: outputs by module, as is `other`.
        parts: returns what is compared of two outputs; None: they cannot be compared.
        limit: differences up to this are rounding.
    """
    for name, output in one.items():
        if name not in other:
            continue
        before, after = parts(output, other[name])
        if before is None or after is None or before.shape != after.shape:
            continue
        # What is no number in both, such as the weights of a row without keys, has not moved.
        if difference(before.nan_to_num(), after.nan_to_num()) > limit:
            return name or case.subject.name
    return None


def _outputs(
    case: ModelCase, inputs: Inputs, mode: Mode, compute: Compute | None = None, *, last: bool = False
) -> dict[str, Tensor]:
    """Return the first output of every module in the order in which modules finish.

    Args:
        last: the last output of every module instead.
    """
    found: dict[str, Tensor] = {}

    def note(name: str) -> Any:
        def noted(_module: nn.Module, _inputs: object, output: Any) -> None:
            tensor = _first_tensor(output)
            if tensor is not None and (last or name not in found):
                # In the order in which modules finish last.
                found.pop(name, None)
                found[name] = tensor.detach().clone()

        return noted

    handles = [
        module.register_forward_hook(note(name)) for name, module in case.subject.module.named_modules()
    ]
    try:
        case.scores(inputs, mode, compute)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _first_tensor(output: Any) -> Tensor | None:
    """Return the first tensor of numbers of a module's output; None where there is none that has a shape."""
    parts = (
        output.values()
        if isinstance(output, dict)
        else output
        if isinstance(output, tuple | list)
        else [output]
    )
    first = next((part for part in parts if isinstance(part, Tensor)), None)
    return None if first is None or first.is_nested or not first.is_floating_point() else first


def _kept(output: Tensor, inputs: Inputs, change: Change, common: int) -> Tensor | None:
    """Return those parts of a module's output that the change may not move; None where they are not known."""
    if output.ndim < 2 or output.shape[0] != inputs.batch:
        return None
    row = output[change.row]
    target, source = inputs.target, inputs.source
    earlier = min(change.position + 1, common)
    columns = target.real[change.row].nonzero().flatten()
    if change.kept is None:
        columns = columns[: _n_kept(change, columns, earlier)]
    else:
        columns = columns[torch.isin(columns, torch.tensor(change.kept))]
    # The last axis, usually the width, is looked at last; a convolution's output has its positions there.
    for axis, size in enumerate(row.shape):
        if source is not None and size == source.length:
            kept = source.real[change.row].nonzero().flatten()
            if size == target.length:  # which of the two it is cannot be told
                kept = kept[torch.isin(kept, columns)]
            return row.index_select(axis, kept)
        if size == target.length:
            return row.index_select(axis, columns)
    if row.ndim == 2 and len(row) in (2 * target.length, 3 * target.length):
        # Two or three streams, one behind the other, such as those of words and of n-grams.
        streams = torch.arange(0, len(row), target.length)[:, None]
        return row.index_select(0, (streams + columns).flatten())
    return None


def _n_kept(change: Change, real: Tensor, earlier: int) -> int:
    """Return how many real columns stay: those up to the moved prediction where later ones were changed."""
    same = change.before.target.length == change.after.target.length
    if same and torch.equal(change.before.target.ids, change.after.target.ids):
        return len(real)
    return int((real < earlier).sum())
