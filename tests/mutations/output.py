"""Masks on the vocabulary scores and on the loss."""

from __future__ import annotations

from mutations.mutant import family

LOGITS, LOSS, LEXICON = (
    "masks/strategies/outputs/vocabulary_masks.py",
    "masks/strategies/outputs/loss_tokens.py",
    "masks/strategies/outputs/vocabulary_masks.py",
)
T, IN_LOSS, CONFORMS = (
    "masks/strategies/outputs/test_logit_masks.py",
    "masks/strategies/outputs/test_loss_masks.py",
    "masks/strategies/test_conformance.py",
)

OUTPUT = family(
    "output",
    ("polarity", LOGITS, 'return self.get_buffer("keep")', 'return ~self.get_buffer("keep")', T),
    ("polarity", LOGITS, "~bernoulli(word, ratio)", "bernoulli(word, ratio)", T),
    ("specials", LOGITS, "~bernoulli(word, ratio) | (entries < N_SPECIAL)", "~bernoulli(word, ratio)", T),
    ("specials", LOGITS, "(ends >= options.n)", "(ends >= options.n - 1)", T),
    ("legality", LOGITS, " & (ends <= rows)", "", f"{T} {CONFORMS} -k no_repeat"),
    ("off by one", LOGITS, "for back in range(options.n - 1)", "for back in range(options.n - 2)", T),
    ("axes", LOGITS, "own[:, :, None] == earlier[:, None]", "own[:, :1, None] == earlier[:, None]", T),
    ("specials", LOGITS, "always[:N_SPECIAL] = True", "always[:N_SPECIAL] = False", T),
    ("legality", LOGITS, ".masked_fill(~real[..., None], -1)", "", f"{T} {CONFORMS} -k source_vocabulary"),
    (
        "legality",
        LOSS,
        "(ctx.real & ~self._picked(options, ctx))",
        "(~self._picked(options, ctx) | ~ctx.real)",
        IN_LOSS,
    ),
    ("polarity", LOSS, "descending=True", "descending=False", IN_LOSS),
    ("denominator", LEXICON, "2 * counts / (n_src[s] + n_tgt[t])", "2 * counts / n_src[s]", T),
    ("counts", LEXICON, "found = np.unique(row[ordinary]", "found = np.sort(row[ordinary]", T),
    (
        "denominator",
        LOSS,
        "num_to_mask(ctx.real.sum(1, keepdim=True), ",
        "num_to_mask((ctx.real | True).sum(1, keepdim=True), ",
        IN_LOSS,
    ),
    (
        "off by one",
        LOSS,
        "hardest_first.argsort(dim=1) < wanted",
        "hardest_first.argsort(dim=1) <= wanted",
        IN_LOSS,
    ),
)
