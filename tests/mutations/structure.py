"""Patterns over positions, documents, and masks that are made of others."""

from __future__ import annotations

from mutations.mutant import family

WINDOWS, STRUCTURE_, SPARSE, DRAWN = (
    "masks/strategies/attention/windows.py",
    "masks/strategies/attention/basic_patterns.py",
    "masks/strategies/attention/sparse.py",
    "masks/strategies/attention/sampled_patterns.py",
)
HEADS, DOCUMENTS, COMPOSE, PARTS = (
    "masks/strategies/attention/per_head_patterns.py",
    "masks/strategies/attention/annotated.py",
    "masks/strategies/attention/boolean.py",
    "masks/strategies/attention/composite.py",
)
T, IN_SPARSE, IN_HEADS = (
    "masks/strategies/attention/test_basic_patterns.py",
    "masks/strategies/attention/test_sparse.py",
    "masks/strategies/attention/test_heads.py",
)
IN_DOCUMENTS, IN_COMPOSE, IN_WAIT_K = (
    "masks/strategies/attention/test_documents.py",
    "masks/strategies/attention/test_compose.py",
    "masks/strategies/attention/test_wait_k.py",
)
CONFORMS = "masks/strategies/test_conformance.py"

STRUCTURE = family(
    "structure",
    ("polarity", WINDOWS, "inside & (ahead >= -left)", "inside & (ahead < -left)", T),
    ("axes", WINDOWS, "ahead = kv_idx - q_idx", "ahead = q_idx - kv_idx", T),
    ("off by one", WINDOWS, "inside & (ahead <= right)", "inside & (ahead < right)", T),
    (
        "dilation",
        WINDOWS,
        "((kv_idx - q_idx) % options.dilation == 0)",
        "(kv_idx % options.dilation == 0)",
        T,
    ),
    ("axes", WINDOWS, "(kv_idx < int(options.sinks))", "(q_idx < int(options.sinks))", T),
    ("legality", WINDOWS, " and options.sinks in (0, 1)", "", f"{T} {IN_WAIT_K}"),
    (
        "density",
        WINDOWS,
        "max(0, n - 1 - sink - left)",
        "max(0, n - sink - left)",
        f"{CONFORMS} -k density and window",
    ),
    ("polarity", STRUCTURE_, "return kv_idx <= q_idx", "return kv_idx >= q_idx", T),
    ("axes", STRUCTURE_, "(kv_idx < int(options.prefix))", "(q_idx < int(options.prefix))", T),
    (
        "empty rows",
        COMPOSE,
        "len(parts) > 1 or parts[0].may_empty_rows",
        "parts[0].may_empty_rows",
        IN_COMPOSE,
    ),
    (
        "bank",
        PARTS,
        "all(p.sliceable for p in parts)",
        "any(p.sliceable for p in parts)",
        f"{IN_COMPOSE} {CONFORMS} -k bank or corner",
    ),
    (
        "combination",
        SPARSE,
        "(q_idx < first) | (kv_idx < first)",
        "(q_idx < first) & (kv_idx < first)",
        IN_SPARSE,
    ),
    (
        "diagonal",
        DRAWN,
        "return stays | (q_idx == kv_idx) if options.diagonal else stays",
        "return stays",
        f"{IN_SPARSE} {T}",
    ),
    ("heads", DRAWN, "b[0] + head * 2**16", "b[0] + 0 * head", f"{IN_SPARSE} {T}"),
    (
        "layers",
        DRAWN,
        "(ctx.layer + 1 if options.per_layer else 0)",
        "(1 if options.per_layer else 0)",
        f"{IN_SPARSE} {T}",
    ),
    (
        "length",
        HEADS,
        '"cross": {"self", "previous", "next", "last", "right"}',
        '"cross": {"next", "last", "right"}',
        f"{IN_HEADS} {CONFORMS} -k positional_heads",
    ),
    ("heads", HEADS, "[head % given for head", "[head * given // n_heads for head", IN_HEADS),
    ("heads", HEADS, "[:, h if patterns[k].shape[1] > 1 else 0]", "[:, 0]", f"{IN_HEADS} {IN_COMPOSE}"),
    (
        "combination",
        COMPOSE,
        "reduce(or_, self.part_patterns(options, ctx))",
        "reduce(and_, self.part_patterns(options, ctx))",
        IN_COMPOSE,
    ),
    (
        "combination",
        COMPOSE,
        "_combine(self.part_mask_mods(options, ctx), and_)",
        "_combine(self.part_mask_mods(options, ctx), or_)",
        IN_COMPOSE,
    ),
    ("draws", PARTS, "ctx.draws.part(i)", "ctx.draws", IN_COMPOSE),
    (
        "polarity",
        COMPOSE,
        "h, q_idx, kv_idx: ~part(b, h, q_idx, kv_idx)",
        "h, q_idx, kv_idx: part(b, h, q_idx, kv_idx)",
        IN_COMPOSE,
    ),
    ("polarity", COMPOSE, "return ~pattern", "return pattern", IN_COMPOSE),
    ("off by one", DOCUMENTS, "return ends.cumsum(1) - ends", "return ends.cumsum(1)", IN_DOCUMENTS),
    (
        "empty rows",
        DOCUMENTS,
        'self.may_empty_rows = site == "cross"',
        "self.may_empty_rows = False",
        IN_DOCUMENTS,
    ),
    (
        "legality",
        COMPOSE,
        "return all(part.strategy.is_causal(part.options) for part in options.of)",
        "return any(part.strategy.is_causal(part.options) for part in options.of)",
        IN_COMPOSE,
    ),
    ("length", DRAWN, "h, row, column).masked_fill(~candidate, 2**32)", "h, row, column)", IN_SPARSE),
)
