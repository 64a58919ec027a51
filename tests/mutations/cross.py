"""What the decoder sees of the source."""

from __future__ import annotations

from mutations.mutant import family

DIAGONAL, BIASES, WAIT_K, ORACLE, CONTEXT = (
    "masks/strategies/attention/diagonal.py",
    "masks/strategies/scores/diagonal_biases.py",
    "masks/strategies/attention/wait_k.py",
    "masks/strategies/attention/annotated.py",
    "masks/context.py",
)
T, IN_WAIT_K, IN_ORACLE = (
    "masks/strategies/attention/test_diagonal.py",
    "masks/strategies/attention/test_wait_k.py",
    "masks/strategies/attention/test_annotated.py",
)
CONFORMS = "masks/strategies/test_conformance.py"
_WHOLE = '(placement.layers, placement.heads) != ("all", "all")'
_K_OF = "(k[b] if isinstance(k, Tensor) else k)"

CROSS = family(
    "cross",
    ("axes", DIAGONAL, "q_idx.double() / ratio", "q_idx.double() * ratio", T),
    ("off by one", DIAGONAL, "(lengths - 1).double()", "lengths.double()", T),
    ("polarity", DIAGONAL, "((kv_idx - centre).abs() <= width)", "((kv_idx - centre).abs() > width)", T),
    ("empty rows", DIAGONAL, " | (kv_idx == (centre + 0.5).floor())", "", T),
    ("sign", BIASES, "(-2 * float(options.sigma) ** 2)", "(2 * float(options.sigma) ** 2)", T),
    ("sign", BIASES, "return -amount[None", "return amount[None", T),
    ("width", BIASES, "sigma = float(options.half_width) / 2", "sigma = float(options.half_width)", T),
    (
        "batch row",
        WAIT_K,
        _K_OF,
        "(k[0] if isinstance(k, Tensor) else k)",
        f"{IN_WAIT_K} {CONFORMS} -k wait_k",
    ),
    ("legality", WAIT_K, "if not wanted <= set()", "if False and not wanted <= set()", IN_WAIT_K),
    ("legality", WAIT_K, _WHOLE, 'placement.layers != "all"', IN_WAIT_K),
    (
        "axes",
        ORACLE,
        "beyond = (q_idx >= rows) | (kv_idx >= columns)",
        "beyond = kv_idx >= columns",
        IN_ORACLE,
    ),
    ("moved", CONTEXT, "junk.gather(1, at) & ~new", "junk.gather(1, at)", IN_ORACLE),
    ("moved", CONTEXT, "links.gather(2, wide) & ~new[:, None]", "links.gather(2, wide)", IN_ORACLE),
    (
        "layers",
        BIASES,
        "clamp_straight_through(self.amount[ctx.layer], 0.0)",
        "clamp_straight_through(self.amount[0], 0.0)",
        T,
    ),
    ("length", BIASES, "* lengths[:, None, None, None]", "* lengths.max()", f"{T} {CONFORMS} -k local_p"),
    (
        "gradient",
        BIASES,
        "clamp_straight_through(self.amount[ctx.layer], 0.0)",
        "self.amount[ctx.layer].clamp(min=0)",
        T,
    ),
    ("polarity", ORACLE, "return ~(marks[", "return (marks[", IN_ORACLE),
    (
        "legality",
        ORACLE,
        "links & real_tokens(lengths, columns)[:, None]",
        "links",
        IN_ORACLE,
    ),
    ("off by one", WAIT_K, "return kv_idx < q_idx +", "return kv_idx <= q_idx +", IN_WAIT_K),
    (
        "legality",
        WAIT_K,
        'if placement.site != "encoder_self" or (placement.layers',
        "if (placement.layers",
        IN_WAIT_K,
    ),
)
