"""Random drops in the attention."""

from __future__ import annotations

from mutations.mutant import family

DROPS_ = "masks/strategies/attention_dropout.py"
T = "masks/strategies/test_drops.py"
_ROWS = 'rows = queries if options.unit == "element" else torch.zeros_like(queries[:1])'

DROPS = family(
    "drops",
    ("polarity", DROPS_, "stays = ~below(random_words_per_head(", "stays = below(random_words_per_head(", T),
    ("rescale", DROPS_, "stays.to(r.query.dtype) / (1 - float(options.rate))", "stays.to(r.query.dtype)", T),
    ("axes", DROPS_, _ROWS, "rows = queries", T),
    ("off by one", DROPS_, "for back in range(options.span)\n", "for back in range(options.span + 1)\n", T),
    ("rate", DROPS_, "begins = 1 - (1 - options.rate) ** (1 / options.span)", "begins = options.rate", T),
    ("layers", DROPS_, "(ctx.layer + 1) * 2**16", "2**16", T),
    ("heads", DROPS_, "(groups[:, None, None] + 1) * 2**16", "(0 * groups[:, None, None] + 1) * 2**16", T),
    ("legality", DROPS_, "(stays & real).any", "stays.any", T),
    ("empty rows", DROPS_, " | (words == words.amax(-1, keepdim=True))", "", T),
    (
        "denominator",
        DROPS_,
        "(ctx.n_heads / stays.sum(-1, keepdim=True))",
        "(1 / stays.float().mean(0, keepdim=True).mean(-1, keepdim=True))",
        T,
    ),
)
