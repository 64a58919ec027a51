"""Proofs that learned masks start as the identity and that all their parameters get gradients."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from maskbench.audit.proofs.registry import ProofResult, proof
from maskbench.audit.subject import AuditCase
from maskbench.config.schema.experiment import TrainConfig
from maskbench.masks.plan import MaskPlan
from maskbench.model.attention_path import DENSE_ONLY
from maskbench.model_audit.rounding import difference
from maskbench.training.objective import Objective


def learned_placements(plan: MaskPlan) -> list[int]:
    """Return the indices of the placements that have parameters."""
    return [i for i, placed in enumerate(plan.placed) if list(placed.strategy.parameters())]


@proof("identity at the start", "gradients", "both")
def identity_at_the_start(case: AuditCase) -> Iterable[ProofResult]:
    """Is the model with an untrained learned mask, bit for bit, the model without it?"""
    places = learned_placements(case.plan)
    if not places:
        yield ProofResult.skipped("nothing is learned")
        return
    fresh = case.build(moved=False)
    without = [p for i, p in enumerate(case.subject.arm) if i not in places]
    plain = case.build(without, moved=False)
    # Long sentences may be computed in blocks without the learned mask and as one matrix with it, which rounds
    # differently; the promise is the mask's.
    fresh.attention_paths = plain.attention_paths = DENSE_ONLY
    for clock in case.clocks:
        moved = difference(
            case.logits(fresh, case.batch, clock, dropout=clock.phase == "train"),
            case.logits(plain, case.batch, clock, dropout=clock.phase == "train"),
        )
        yield ProofResult.at_most(moved, 0.0, clock.phase)


@proof("learned parameters learn", "gradients", "own")
def learned_parameters_learn(case: AuditCase) -> Iterable[ProofResult]:
    """Does every learned parameter of a mask get a gradient, at the start or once its gate has opened?"""
    if not learned_placements(case.plan):
        yield ProofResult.skipped("nothing is learned")
        return
    start, later = (_gradients(case, moved=moved) for moved in (False, True))
    strongest = {name: max(start[name], later[name]) for name in start}
    still = [name for name, value in strongest.items() if value == 0.0]
    detail = f"{len(strongest)} parameters" if not still else f"no gradient ever in {', '.join(still)}"
    yield ProofResult(not still, min(strongest.values()), 0.0, f"{detail}; must be above")
    opening = max(start.values())
    yield ProofResult(opening > 0, opening, 0.0, "the strongest gradient at the start; must be above")


def _gradients(case: AuditCase, *, moved: bool) -> dict[str, float]:
    """Return the largest absolute gradient entry per mask parameter, computed as in training, no dropout."""
    model = case.build(moved=moved).float().eval()
    vocabulary = case.subject.sizes.vocab_size
    objective = Objective(model, TrainConfig(), vocabulary, torch.float32, case.subject.device)
    objective.backward(case.batch, case.subject.train)
    return {
        name: 0.0 if parameter.grad is None else float(parameter.grad.abs().max())
        for name, parameter in model.masks.named_parameters()
    }
