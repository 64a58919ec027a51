"""Proofs on attention weights: rows sum to 1, hidden pairs weigh 0, empty rows give finite results."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from maskbench.audit.plans import RecordedDecision
from maskbench.audit.proofs.registry import ProofResult, proof
from maskbench.audit.subject import AuditCase
from maskbench.config.schema.experiment import ATTENTION_SITES
from maskbench.data.padding import real_tokens
from maskbench.masks.base import Normaliser
from maskbench.masks.context import AttentionDecision, AttentionRequest
from maskbench.model.attention import attention_weights
from maskbench.model_audit.rounding import difference


def recompute_weights(request: AttentionRequest, decision: AttentionDecision) -> Tensor:
    """Return the attention weights of a request under the plan's decision, `[batch heads q kv]`."""
    scores = request.query @ request.key.transpose(-1, -2) * request.query.shape[-1] ** -0.5
    scores = scores if scores.dtype.itemsize >= 4 else scores.float()
    scores = scores if decision.bias is None else scores + decision.bias
    return attention_weights(scores.clone(), decision)[0].detach()


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """The attention weights of one layer in one forward pass."""

    of: RecordedDecision
    weights: Tensor

    def __str__(self) -> str:
        return f"{self.of.request.clock.phase}: {self.of.site}, layer {self.of.layer}"


def record_weights(case: AuditCase) -> list[LayerWeights]:
    """Return the attention weights of every layer with a mask, in training and evaluation; cached."""

    def record() -> list[LayerWeights]:
        with case.plan.recording() as notes:
            for clock in case.clocks:
                case.logits(case.model, case.batch, clock)
        return [LayerWeights(note, recompute_weights(note.request, note.decision)) for note in notes]

    return case.once("rows", record)


def worst_row(off: Iterable[tuple[Tensor, LayerWeights]]) -> tuple[float, str] | None:
    """Return the largest entry of all tensors and the name of its layer; NaN is inf. None if empty."""
    found = [(float(amount.nan_to_num(nan=torch.inf).max()), str(rows)) for amount, rows in off]
    return max(found, key=lambda one: one[0]) if found else None


@proof("rows sum to one", "rows", "both")
def rows_sum_to_one(case: AuditCase) -> Iterable[ProofResult]:
    """Does every row of attention weights that may see something sum to one?"""
    exempt = {p.site for p in case.plan.placed if not p.strategy.rows_sum_to_one}
    looked_at = [r for r in record_weights(case) if r.of.site not in exempt and r.of.decision.apply != "raw"]
    worst = worst_row(((r.weights.sum(-1) - 1).abs() * _sees_something(r.of), r) for r in looked_at)
    if worst is None:
        reason = (
            "it is declared that they do not" if exempt else "no attention site is masked, or all are raw"
        )
        yield ProofResult.skipped(reason)
    else:
        yield ProofResult.at_most(worst[0], 1e-10 if case.dtype == torch.float64 else 1e-5, worst[1])


def _sees_something(one: RecordedDecision) -> Tensor:
    """Return True on rows with a key left; everywhere if `apply` is neither `hard` nor `renormalise`."""
    exact = one.decision.apply in ("hard", "renormalise")
    return one.decision.keep.any(-1) if exact else torch.ones_like(one.decision.keep.any(-1))


@proof("hidden weights", "rows", "both")
def hidden_weights(case: AuditCase) -> Iterable[ProofResult]:
    """Is the weight of every hidden pair exactly 0?"""

    def off(rows: LayerWeights) -> Tensor:
        keep = rows.of.decision.keep
        # A row without keys is unmasked before the softmax and multiplied by zero after it.
        return rows.weights.abs() * (~keep & keep.any(-1, keepdim=True))

    worst = worst_row((off(rows), rows) for rows in record_weights(case))
    yield (
        ProofResult.skipped("no attention site is masked")
        if worst is None
        else ProofResult.at_most(worst[0], 0.0, worst[1])
    )


@proof("empty rows", "rows", "both")
def empty_rows(case: AuditCase) -> Iterable[ProofResult]:
    """Are scores and the gradients of all parameters finite when queries have nothing to attend to?"""
    for clock in case.clocks:
        model, plan = case.model.eval(), case.plan
        model.zero_grad(set_to_none=True)
        with plan.emptied(), case.precise():
            raw = model(case.batch, clock)
        raw = plan.gate_logits(raw if raw.dtype.itemsize >= 4 else raw.float(), clock, case.batch.ids)
        real = real_tokens(case.batch.tgt_lengths, raw.shape[1])
        bad = int((~raw[real].isfinite()).sum())
        loss, penalty = raw[real].log_softmax(-1).square().mean(), plan.penalty()
        torch.autograd.backward([loss] if penalty is None else [loss, penalty])
        broken = [
            n for n, p in model.named_parameters() if p.grad is not None and not p.grad.isfinite().all()
        ]
        model.zero_grad(set_to_none=True)
        detail = f"{clock.phase}: {bad} scores not finite" if bad else clock.phase
        if broken:
            detail += f": gradient not finite in {', '.join(broken[:3])}"
        yield ProofResult.at_most(float(bad + len(broken)), 0.0, detail)


AGREEMENT = 1e-6
"""Largest allowed difference of float64 logits between `hard` and `renormalise`."""


@proof("hard and renormalise agree", "rows", "exact")
def hard_and_renormalise_agree(case: AuditCase) -> Iterable[ProofResult]:
    """Do hiding before the softmax and dividing by what is left after it give the same scores?"""
    arm = case.subject.arm
    sites = {p.site for p in case.plan.placed if p.site in ATTENTION_SITES}
    normalised = {p.site for p in case.plan.placed if isinstance(p.strategy, Normaliser)}
    if case.plan.is_unsafe or not sites - normalised:
        yield ProofResult.skipped("no attention site is masked in one of the two ways")
        return
    clock = case.subject.train
    models = [
        case.build([p.model_copy(update={"apply": how}) if p.site in sites - normalised else p for p in arm])
        for how in ("hard", "renormalise")
        if how == "renormalise" or case.renormalises()
    ]
    real = real_tokens(case.batch.tgt_lengths, case.batch.tgt_in.shape[1])
    first = case.model if len(models) == 1 else models[0]
    hard, other = (case.logits(model, case.batch, clock)[real] for model in (first, models[-1]))
    yield ProofResult.at_most(difference(hard, other), AGREEMENT)
