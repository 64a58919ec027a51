"""The answer of a proof that computes the scores of the test inputs in two ways, which must give the same numbers."""

from __future__ import annotations

from torch import Tensor

from maskbench.model_audit.case import ModelCase
from maskbench.model_audit.locate import Compute, first_module_apart
from maskbench.model_audit.mode import Mode
from maskbench.model_audit.proofs.registry import ProofResult
from maskbench.model_audit.rounding import by, difference


def compare_ways(
    case: ModelCase,
    before: Tensor,
    after: Tensor,
    what: str,
    end: str = "",
    *,
    modes: tuple[Mode, Mode] | None = None,
    ways: tuple[Compute | None, Compute | None] = (None, None),
) -> ProofResult:
    """Return whether two scores of the test inputs are the same at real positions, and if not the first module that differs.

    Args:
        before: `[batch len outputs]`, as is `after`.
        what: names the comparison; a broken promise says after it how far scores differ, and `end`.
        modes: in which both were computed; None: evaluation.
        ways: how both were computed; None: `logits`.
    """
    real = case.inputs.target.real
    moved, limit = difference(after[real], before[real]), case.limit(before[real])
    if moved <= limit:
        return ProofResult(True, moved, limit, what)
    said = f"{what}{': ' if what else ''}scores differ {by(moved)}{end}"
    return ProofResult(False, moved, limit, said, module=first_module_apart(case, limit, modes, ways))
