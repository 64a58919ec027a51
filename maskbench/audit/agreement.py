"""The two ways of applying a mask that hide exactly agree where both are exact: on scores of unit scale."""

from __future__ import annotations

from collections.abc import Iterable

from maskbench.audit.proofs.registry import Verdict, proof
from maskbench.audit.subject import Case, distance
from maskbench.config.schema.experiment import ATTENTION_SITES
from maskbench.masks.base import Normaliser
from maskbench.training.loss import real_tokens

AGREEMENT = 1e-6


@proof("hard and renormalise agree", "rows", "exact")
def hard_and_renormalise_agree(case: Case) -> Iterable[Verdict]:
    """Do hiding before the softmax and dividing by what is left after it give the same scores?"""
    arm = case.subject.arm
    sites = {p.site for p in case.plan.placed if p.site in ATTENTION_SITES}
    normalised = {p.site for p in case.plan.placed if isinstance(p.strategy, Normaliser)}
    if case.plan.is_unsafe or not sites - normalised:
        yield Verdict.skipped("no attention site is masked in one of the two ways")
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
    yield Verdict.at_most(distance(hard, other), AGREEMENT)
