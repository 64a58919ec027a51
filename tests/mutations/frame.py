"""How the answers of an arm's strategies are combined, and where each of them acts."""

from __future__ import annotations

from mutations.mutant import family

PLAN, PLACED = "masks/plan.py", "masks/placement.py"
RULES = "config/resolve/placement_rules.py"
T = "masks/test_plan.py"
CONFORMS = "masks/strategies/test_conformance.py"
_AND = (
    "keep = placed.keep(options, ctx)\n            decision = replace(decision, keep=decision.keep {} keep)"
)
_SUM = "bias=bias if decision.bias is None else decision.bias + bias)"
_HEAD_GATE = "self.restrict_to_heads(self.strategy.head_gate(options, ctx), {})"
_WITH_SOFTMAX = "placed.restrict_to_heads(strategy.weights(options, scores, keep, ctx), softmax(scores))"

FRAME = family(
    "frame",
    (
        "legality",
        PLAN,
        "decision = AttentionDecision(request.legal, ",
        "decision = AttentionDecision(torch.ones_like(request.legal), ",
        T,
    ),
    ("combination", PLAN, _AND.format("&"), _AND.format("|"), T),
    ("legality", PLAN, "if keep is not None:", "if False:", "masks/strategies/scores/test_learned.py"),
    ("combination", PLAN, _SUM, "bias=bias)", T),
    ("combination", PLAN, "decision.factors * factors", "factors", T),
    (
        "heads",
        PLACED,
        "self.restrict_to_heads(strategy.bias(options, ctx), 0.0)",
        "strategy.bias(options, ctx)",
        T,
    ),
    ("heads", PLACED, _HEAD_GATE.format("1.0"), _HEAD_GATE.format("0.0"), T),
    (
        "heads",
        PLAN,
        _WITH_SOFTMAX,
        "strategy.weights(options, scores, keep, ctx)",
        T,
    ),
    (
        "polarity",
        PLAN,
        "keep is None else keep & allowed",
        "keep is None else keep | allowed",
        "masks/strategies/outputs/test_logit_masks.py",
    ),
    (
        "gold",
        PLAN,
        "keep.scatter(-1, gold.unsqueeze(-1), True)",
        "keep",
        "masks/strategies/outputs/test_logit_masks.py",
    ),
    (
        "combination",
        PLAN,
        "product = weights if product is None else product * weights",
        "product = weights",
        T,
    ),
    (
        "specials",
        PLAN,
        "eligible = are_real(positions, lengths) & (ids >= N_SPECIAL)",
        "eligible = are_real(positions, lengths)",
        "masks/strategies/inputs/test_token_masks.py",
    ),
    (
        "legality",
        PLAN,
        "eligible = are_real(positions, lengths) & (ids >= N_SPECIAL)",
        "eligible = ids >= N_SPECIAL",
        f"{CONFORMS} -k tokens",
    ),
    (
        "combination",
        PLAN,
        "eligible = eligible & ~picked",
        "pass",
        f"{T} masks/strategies/inputs/test_token_masks.py",
    ),
    ("unsafe", RULES, "elif not placement.unsafe and (", "elif False and (", T),
    (
        "off by one",
        PLAN,
        "positions = torch.arange(start, start + ids.shape[1], device=ids.device)",
        "positions = torch.arange(ids.shape[1], device=ids.device)",
        f"{CONFORMS} -k cached and tokens",
    ),
    (
        "off by one",
        PLAN,
        "torch.arange(start, start + x.shape[1], device=x.device)",
        "torch.arange(x.shape[1], device=x.device)",
        f"{CONFORMS} -k cached and feature_dropout",
    ),
    ("phases", PLACED, "clock.phase in self.phases and layer in self.layers", "layer in self.layers", T),
    (
        "layers",
        PLACED,
        "clock.phase in self.phases and layer in self.layers",
        "clock.phase in self.phases",
        T,
    ),
    ("draws", PLACED, "seen[kind] = ordinal + 1", "seen[kind] = ordinal", T),
    ("polarity", PLACED, "keep | ~self._heads.to(keep.device)", "keep & self._heads.to(keep.device)", T),
    (
        "axes",
        PLACED,
        "return self.pattern_cache.get(self.situation(ctx), ctx.request.q_idx, ctx.request.kv_idx, compute)",
        "return self.pattern_cache.get(self.situation(ctx), ctx.request.kv_idx, ctx.request.q_idx, compute).mT",
        "masks/test_pattern_cache.py",
    ),
)
