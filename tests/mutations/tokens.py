"""Token masks: what is picked, as which units, and what becomes of it; and dropped features."""

from __future__ import annotations

from mutations.mutant import family

TOKENS_, PICKING, UNITS, REPLACING = (
    "masks/strategies/inputs/tokens.py",
    "masks/strategies/inputs/token_selection.py",
    "masks/strategies/inputs/token_units.py",
    "masks/strategies/inputs/token_replacement.py",
)
FIXED, FEATURE, PRESETS, PREFERRING = (
    "masks/strategies/inputs/fixed_length.py",
    "masks/strategies/inputs/features.py",
    "masks/strategies/presets.py",
    "masks/strategies/inputs/selection_order.py",
)
T, IN_UNITS = "masks/strategies/inputs/test_token_masks.py", "masks/strategies/inputs/test_token_units.py"
IN_FIXED, IN_FEATURE, IN_PRESETS = (
    "masks/strategies/inputs/test_fixed_length.py",
    "masks/strategies/inputs/test_feature_dropout.py",
    "masks/strategies/test_presets.py",
)
CONFORMS = "masks/strategies/test_conformance.py"
_OF_REAL = "num_to_mask(eligible.sum(1, keepdim=True), "
_OF_ALL = "num_to_mask(torch.full_like(eligible[:, :1], eligible.shape[1], dtype=torch.int64), "

TOKENS = family(
    "tokens",
    (
        "polarity",
        PICKING,
        "(rank_among(order, eligible) < wanted)",
        "(rank_among(order, eligible) >= wanted)",
        T,
    ),
    (
        "off by one",
        PICKING,
        "(rank_among(order, eligible) < wanted)",
        "(rank_among(order, eligible) <= wanted)",
        T,
    ),
    ("denominator", PICKING, _OF_REAL, _OF_ALL, T),
    ("rounding", PICKING, "(rounding.double() < (wanted", "(rounding.double() >= (wanted", T),
    ("legality", PICKING, "return eligible & bernoulli(word", "return bernoulli(word", T),
    ("legality", PICKING, ".masked_fill(~among, 2**62)", "", f"{T} {CONFORMS} -k padding and tokens"),
    ("polarity", PICKING, "(~priority_mask).long()", "priority_mask.long()", f"{T} {IN_UNITS}"),
    ("off by one", TOKENS_, "<= options.last)", "< options.last)", f"{T} {IN_UNITS}"),
    (
        "specials",
        TOKENS_,
        "ctx.eligible & ~self._visible(options.always_visible, ctx)",
        "ctx.eligible",
        f"{T} {IN_UNITS}",
    ),
    (
        "cached",
        TOKENS_,
        'site == "encoder_input" or not by_word',
        "True",
        f"{T} {IN_UNITS} {CONFORMS} -k word or span",
    ),
    ("law", UNITS, "math.lgamma(n + 1)", "math.lgamma(n)", IN_UNITS),
    ("combination", REPLACING, "else zeroed | to_zero", "else to_zero", T),
    ("legality", FIXED, "taken.masked_fill(columns >= kept, -1)", "taken.clamp(max=5)", IN_FIXED),
    ("axes", UNITS, "chances.flip(0).cumsum(0).flip(0)", "chances.cumsum(0)", IN_UNITS),
    (
        "axes",
        FEATURE,
        'one_for_all = options.granularity == "channel"',
        'one_for_all = options.granularity != "channel"',
        IN_FEATURE,
    ),
    ("rescale", FEATURE, "rest = 1 - torch.as_tensor", "rest = torch.as_tensor", IN_FEATURE),
    ("mix", PRESETS, '{"mask": 0.8, "random": 0.1, "keep": 0.1}', '{"mask": 0.8, "random": 0.2}', IN_PRESETS),
)
