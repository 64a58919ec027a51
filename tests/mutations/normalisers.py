"""What turns scores into weights."""

from __future__ import annotations

from mutations.mutant import family

CONTENT, ENTMAX, UNNORMALISED, INVERTED, SOFTMAX = (
    "masks/strategies/normalisers/topk_threshold.py",
    "masks/strategies/normalisers/entmax.py",
    "masks/strategies/normalisers/softmax_alternatives.py",
    "masks/strategies/normalisers/softmax_alternatives.py",
    "masks/softmax.py",
)
T = "masks/strategies/normalisers/test_normalisers.py"
IN_SOFT = "masks/test_soft_masks.py"
CONFORMS = "masks/strategies/test_conformance.py"
_IN_SIGHT = "visible = keep.expand(scores.shape).sum(-1, keepdim=True)"
_ALL_KEYS = "visible = torch.full_like(scores[..., :1], scores.shape[-1])"

NORMALISERS = family(
    "normalisers",
    ("polarity", CONTENT, "descending=True", "descending=False", IN_SOFT),
    ("off by one", CONTENT, "order[..., : options.k]", "order[..., : options.k + 1]", IN_SOFT),
    ("denominator", CONTENT, "(p * visible >= float(options.share))", "(p >= float(options.share))", T),
    ("length", CONTENT, _IN_SIGHT, _ALL_KEYS, f"{T} {CONFORMS} -k threshold"),
    ("axes", ENTMAX, "slope / slope.sum(-1, keepdim=True)", "slope / slope.sum(-2, keepdim=True)", T),
    (
        "gradient",
        ENTMAX,
        "(_by_alpha_at_fixed_t(p, log_p, u) * along)",
        "(_by_alpha_at_fixed_t(p, log_p, u) * grad)",
        T,
    ),
    (
        "identity",
        ENTMAX,
        "p = torch.where(u == 0, softmax(scores), solved)",
        "p = solved",
        f"{CONFORMS} -k adaptive_entmax",
    ),
    (
        "gradient",
        ENTMAX,
        "1 + clamp_straight_through(self.amount[ctx.layer], 0.0, 1.0)",
        "1 + self.amount[ctx.layer].clamp(0.0, 1.0)",
        T,
    ),
    (
        "layers",
        ENTMAX,
        "clamp_straight_through(self.amount[ctx.layer]",
        "clamp_straight_through(self.amount[0]",
        T,
    ),
    ("legality", INVERTED, "is None else keep & real", "is None else keep", f"{T} {CONFORMS} -k inverted"),
    (
        "off by one",
        INVERTED,
        "are_real(ctx.request.q_idx, lengths)",
        "(ctx.request.q_idx <= lengths[:, None])",
        T,
    ),
    ("legality", SOFTMAX, "value=-math.inf", "value=0.0", "model/test_attention.py"),
    ("sign", UNNORMALISED, "+ options.shift", "- options.shift", T),
    ("empty rows", CONTENT, " | (p == p.amax(-1, keepdim=True))", "", "masks/test_input_dependent.py"),
)
