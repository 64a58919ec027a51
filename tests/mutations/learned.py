"""Learned maps, gates and budgets."""

from __future__ import annotations

from mutations.mutant import family

TRANSFORM, DMAN, SPAN, FULL = (
    "masks/strategies/scores/transform.py",
    "masks/strategies/scores/dman.py",
    "masks/strategies/scores/learned_position_gates.py",
    "masks/strategies/scores/learned_position_gates.py",
)
HEAD, GATING, GATES, FEATURES = (
    "masks/strategies/learned_gates.py",
    "masks/strategies/learned_gates.py",
    "masks/strategies/scores/gate_functions.py",
    "masks/strategies/inputs/features.py",
)
T, IN_TRANSFORM, CONFORMS = (
    "masks/strategies/scores/test_learned.py",
    "masks/strategies/scores/test_transform.py",
    "masks/strategies/test_conformance.py",
)
_HELD = "return raw.clamp(low, high).detach() + (raw - raw.detach())"
_SIDES = 't @ base if options.side == "left" else base @ t'
_AMOUNT = "self.amount = nn.Parameter(torch.{}(n_layers, sizes.n_heads))"

LEARNED = family(
    "learned",
    ("axes", TRANSFORM, _SIDES, 'base @ t if options.side == "left" else t @ base', IN_TRANSFORM),
    ("polarity", TRANSFORM, '"causal": j <= i', '"causal": j > i', IN_TRANSFORM),
    (
        "off by one",
        TRANSFORM,
        "(i - j).abs() <= options.radius",
        "(i - j).abs() < options.radius",
        IN_TRANSFORM,
    ),
    (
        "layers",
        TRANSFORM,
        "self.maps[options.stage - 1][layer]",
        "self.maps[options.stage - 1][0]",
        IN_TRANSFORM,
    ),
    ("time", TRANSFORM, "self.maps[options.stage - 1][layer]", "self.maps[-1][layer]", IN_TRANSFORM),
    (
        "length",
        TRANSFORM,
        "[r.q_idx][:, r.kv_idx]",
        "[: len(r.q_idx)][:, : len(r.kv_idx)]",
        f"{CONFORMS} -k cached and transform",
    ),
    ("axes", TRANSFORM, 'mapped.mT if options.side == "left" else mapped', "mapped", IN_TRANSFORM),
    (
        "identity",
        TRANSFORM,
        _AMOUNT.format("zeros"),
        _AMOUNT.format("ones"),
        f"{CONFORMS} -k identity and transform",
    ),
    ("gradient", GATES, _HELD, "return raw.clamp(low, high)", T),
    (
        "axes",
        FULL,
        "self.logits[layer][:, q_idx][:, :, kv_idx]",
        "self.logits[layer].mT[:, q_idx][:, :, kv_idx]",
        T,
    ),
    ("legality", FULL, "counts = np.tril(counts)", "pass", T),
    ("picks", FEATURES, "in (tokens.picked, tokens.zeroed)", "in (tokens.zeroed,)", T),
)
