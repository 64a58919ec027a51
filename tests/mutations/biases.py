"""Biases and gates on the scores that are given, or follow from the input."""

from __future__ import annotations

from mutations.mutant import family

ALIBI, RELATIVE, GAUSSIAN, FORGETTING, SELECTIVE = (
    "masks/strategies/scores/position_biases.py",
    "masks/strategies/scores/position_biases.py",
    "masks/strategies/scores/gaussian.py",
    "masks/strategies/scores/content_biases.py",
    "masks/strategies/scores/content_biases.py",
)
T = "masks/strategies/scores/test_biases.py masks/test_soft_masks.py masks/test_input_dependent.py"
SOFT = "masks/test_soft_masks.py"
CONFORMS = "masks/strategies/test_conformance.py"

BIASES = family(
    "biases",
    ("polarity", ALIBI, "-float(options.scale) * slopes", "float(options.scale) * slopes", T),
    ("off by one", ALIBI, "(h + 1) / ctx.n_heads", "h / ctx.n_heads", T),
    (
        "code",
        ALIBI,
        "(2 * (h - power) + 1) / (2 * power)",
        "(2 * (h - power) + 2) / (2 * power)",
        f"{SOFT} -k alibi",
    ),
    ("axes", ALIBI, "(q_idx - kv_idx).abs()", "(q_idx - kv_idx)", T),
    (
        "axes",
        RELATIVE,
        "ctx.request.kv_idx - ctx.request.q_idx[:, None]",
        "ctx.request.q_idx[:, None] - ctx.request.kv_idx",
        T,
    ),
    ("off by one", RELATIVE, "while steps + 1 < wide and (", "while steps < wide and (", T),
    ("layers", RELATIVE, "self.table[ctx.layer]", "self.table[0]", T),
    ("identity", RELATIVE, "nn.Parameter(torch.zeros(", "nn.Parameter(torch.ones(", f"{CONFORMS} -k t5_bias"),
    ("polarity", GAUSSIAN, "return -(off**2)", "return (off**2)", T),
    ("axes", GAUSSIAN, "(kv_idx - q_idx - offsets)", "(kv_idx - q_idx + offsets)", T),
    ("legality", SELECTIVE, "(earlier @ selected)", "(earlier.mT @ selected)", f"{CONFORMS} -k selective"),
    (
        "length",
        GAUSSIAN,
        "return r.q_idx[None, None, :, None]",
        "return r.kv_idx[-1:].expand(len(r.q_idx))[None, None, :, None]",
        f"{CONFORMS} -k localness",
    ),
    (
        "cached",
        FORGETTING,
        'self.cacheable = site != "decoder_self"',
        "self.cacheable = True",
        f"{CONFORMS} -k forgetting",
    ),
    ("specials", SELECTIVE, "(r.kv_idx > 0)", "(r.kv_idx >= 0)", T),
)
