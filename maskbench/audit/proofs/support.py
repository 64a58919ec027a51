"""Proofs that the model's Jacobian is 0 except at the input-output pairs that the masks connect.

The gradient of a prediction with respect to an embedding is exactly 0 if no path connects them, because a
zero weight multiplies every term. One backward pass per position therefore shows all inputs that the
prediction depends on, without trying other tokens. Where the masks leave a path, the gradient should be
non-zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from maskbench.audit.proofs.reach import DecisionRecorder, Reach, compute_reach
from maskbench.audit.proofs.registry import ProofResult, proof
from maskbench.audit.subject import AuditCase
from maskbench.data.padding import real_tokens
from maskbench.masks.clock import Clock
from maskbench.masks.context import SourceBatch
from maskbench.model.transformer import EncoderDecoder
from maskbench.model_audit.jacobian import strongest_gradients
from maskbench.model_audit.rounding import difference

USED = 0.99
"""Share of reachable pairs whose gradient must be non-zero."""
NUDGE = 0.5
"""Size of the change of an embedding that tests whether a gradient outside the reach is a dependence."""

BLOCKS = {
    "target": "decoder inputs into predictions",
    "source": "source tokens into predictions",
    "memory": "source tokens into the encoder's output",
}
"""Description of every block of the Jacobian."""


@dataclass(frozen=True, slots=True)
class ProbedOutputs:
    """Outputs of one forward pass with probes added to the embeddings."""

    memory: Tensor
    predictions: Tensor
    source: SourceBatch


@contextmanager
def add_to_embeddings(side: nn.Module, amount: Tensor) -> Iterator[None]:
    """Within the context, add `amount` to one side's embeddings, after the positions and before any mask."""
    handle = side.register_forward_hook(lambda _module, _inputs, output: output + amount.to(output.dtype))
    try:
        yield
    finally:
        handle.remove()


def forward_with_probes(
    case: AuditCase, model: EncoderDecoder, clock: Clock, probes: dict[str, Tensor]
) -> ProbedOutputs:
    """Run a forward pass with `probes` added to the source and target embeddings."""
    batch = case.batch
    model.eval()
    masked, source = model.read(batch, clock)
    inputs = model.masks.corrupt("decoder_input", batch.tgt_in, batch.tgt_lengths, batch.ids, clock)
    with case.precise():
        with add_to_embeddings(model.encoder.positions, probes["source"]):
            memory = model.encode(masked, source, clock)
        with add_to_embeddings(model.decoder.positions, probes["target"]):
            hidden = model.decode(inputs, memory, source, clock)
        raw = model.logits(hidden)
    raw = raw if raw.dtype.itemsize >= 4 else raw.float()
    return ProbedOutputs(memory, model.masks.gate_logits(raw, clock, batch.ids), source)


def make_zero_probes(case: AuditCase, clock: Clock) -> dict[str, Tensor]:
    """Return zeros `[batch src d_model]` and `[batch tgt d_model]`, by side."""
    batch, like = case.batch, next(case.model.parameters())
    n_src = case.model.read(batch, clock)[0].ids.shape[1]
    return {
        "source": like.new_zeros(len(batch.ids), n_src, case.subject.sizes.d_model),
        "target": like.new_zeros(*batch.tgt_in.shape, case.subject.sizes.d_model),
    }


def jacobian(case: AuditCase, clock: Clock) -> tuple[dict[str, Tensor], SourceBatch]:
    """Return the largest absolute gradient of each output, projected to a number, in each embedding.

    Returns:
        by block, `[batch outputs inputs]`; and the source as read by the encoder.
    """
    return case.once(("jacobian", clock), lambda: _jacobian(case, clock))


def _jacobian(case: AuditCase, clock: Clock) -> tuple[dict[str, Tensor], SourceBatch]:
    probes = {side: zeros.requires_grad_() for side, zeros in make_zero_probes(case, clock).items()}
    out = forward_with_probes(case, case.model, clock, probes)

    target, source = strongest_gradients(out.predictions, [probes["target"], probes["source"]])
    (memory,) = strongest_gradients(out.memory, [probes["source"]])
    return {"target": target, "source": source, "memory": memory}, out.source


def record_reach(case: AuditCase, clock: Clock, source: SourceBatch) -> tuple[Reach, DecisionRecorder]:
    """Return the reach of the masks in one forward pass, and the recorder with the plan's decisions."""
    witness = DecisionRecorder()
    case.plan.observer = witness
    try:
        with torch.no_grad():
            forward_with_probes(case, case.model, clock, make_zero_probes(case, clock))
    finally:
        case.plan.observer = None
    return compute_reach(case.plan, witness.decisions, case.batch, source), witness


def real_pairs(case: AuditCase, source: SourceBatch) -> dict[str, Tensor]:
    """Return, by block, a tensor that is True for outputs of real tokens, not padding."""
    tgt = real_tokens(case.batch.tgt_lengths, case.batch.tgt_in.shape[1])
    src = real_tokens(source.lengths, source.ids.shape[1])
    return {"target": tgt[:, :, None], "source": tgt[:, :, None], "memory": src[:, :, None]}


@proof("support", "reach", "both")
def support(case: AuditCase) -> Iterable[ProofResult]:
    """Is the gradient of every output exactly 0 in every embedding its masks cut it off from?"""
    for clock in case.clocks if case.dtype == torch.float64 else case.clocks[:1]:
        blocks, source = jacobian(case, clock)
        reach, _ = record_reach(case, clock, source)
        real = real_pairs(case, source)
        for name, strength in blocks.items():
            cut_off = real[name] & ~getattr(reach, name)
            yield _outside(case, clock, name, strength, cut_off)


def _outside(case: AuditCase, clock: Clock, name: str, strength: Tensor, cut_off: Tensor) -> ProofResult:
    what = f"{clock.phase}: {BLOCKS[name]}, {int(cut_off.sum())} pairs cut off"
    outside = torch.where(cut_off, strength.nan_to_num(nan=torch.inf), 0.0)
    worst = float(outside.max()) if outside.numel() else 0.0
    limit = case.hidden_rounding(1.0)
    if worst <= limit:
        return ProofResult.at_most(worst, limit, what)
    if not _depends(case, clock, name, outside > limit):
        return ProofResult(True, 0.0, limit, f"{what}; gradients there are a surrogate, nothing moves")
    _, i, j = (outside == outside.max()).nonzero()[0].tolist()
    return ProofResult.at_most(worst, limit, f"{what}; output {i} depends on input {j}")


def _depends(case: AuditCase, clock: Clock, name: str, suspects: Tensor) -> bool:
    """Whether a suspect output changes when the embedding that it has a gradient in changes.

    A learned hard mask has a surrogate gradient (straight-through estimate), which is no dependence.
    """
    side = "target" if name == "target" else "source"
    with torch.no_grad():
        before = forward_with_probes(case, case.model, clock, make_zero_probes(case, clock))
        for j in suspects.any(1).any(0).nonzero().flatten().tolist():
            probes = make_zero_probes(case, clock)
            probes[side][:, j] = NUDGE * torch.linspace(-1, 1, case.subject.sizes.d_model)
            after = forward_with_probes(case, case.model, clock, probes)
            pair = (
                (after.memory, before.memory) if name == "memory" else (after.predictions, before.predictions)
            )
            hit = suspects[:, :, j]
            if difference(pair[0][hit], pair[1][hit]) > case.hidden_rounding(1.0):
                return True
    return False


@proof("reach is used", "reach", "exact")
def reach_is_used(case: AuditCase) -> Iterable[ProofResult]:
    """Do outputs depend on what their masks leave them?"""
    clock = case.subject.evaluation
    blocks, source = jacobian(case, clock)
    reach, witness = record_reach(case, clock, source)
    real = real_pairs(case, source)
    sparse = _thins_out(case, witness)
    for name, strength in blocks.items():
        reachable = real[name] & getattr(reach, name)
        share = float((strength[reachable] != 0).double().mean()) if reachable.any() else 1.0
        detail = f"{BLOCKS[name]}: {share:.1%} of {int(reachable.sum())} reachable pairs are non-zero"
        if sparse:
            yield ProofResult(None, share, None, f"{detail}; {sparse}")
        else:
            yield ProofResult(share >= USED, share, USED, f"{detail}, at least {USED:.0%} asked")


def _thins_out(case: AuditCase, witness: DecisionRecorder) -> str:
    """Return why gradients of reachable pairs may be 0 in this arm; an empty string without a reason."""
    decisions = witness.decisions.values()
    if any(d.normaliser is not None for d in decisions):
        return "a normaliser may give weight 0"
    if any(d.factors is not None or d.head_gate is not None for d in decisions):
        return "weights or heads are multiplied, by 0 too"
    if any(d.bias is not None and not d.bias.isfinite().all() for d in decisions):
        return "a bias is infinite"
    if any(p.site in ("encoder_input", "decoder_input", "memory", "logits") for p in case.plan.placed):
        return "what enters or leaves the attention is multiplied or replaced"
    return ""
