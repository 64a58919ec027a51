"""Attention, the ways of applying a mask, the model's reading of its plan, decoding and the objective."""

from __future__ import annotations

from mutations.mutant import family

APPLY, ATTENTION, CACHE = "model/attention.py", "model/attention.py", "model/cache.py"
TRANSFORMER, DECODING, OBJECTIVE = (
    "model/transformer.py",
    "decoding/decoding_state.py",
    "training/objective.py",
)
T = "model/test_attention.py model/test_application.py"
GREEDY, BEST, GROUPS = "decoding/greedy.py", "decoding/best_tokens.py", "model/row_groups.py"
IN_BEST = "decoding/test_best_tokens.py"
IN_TRANSFORMER, IN_DECODING = "model/test_transformer.py", "decoding/test_greedy.py"
IN_OBJECTIVE = "training/test_training_objective.py"

DROPOUT, IN_DROPOUT = "model/dropout.py", "model/test_dropout.py"

MODEL = family(
    "model",
    ("polarity", DROPOUT, "draws < _INT16_MIN", "draws >= _INT16_MIN", IN_DROPOUT),
    (
        "dropout",
        "model/feed_forward.py",
        "within.mul_(ctx.factor)",
        "pass",
        "model/test_feed_forward.py -k bit_by_bit",
    ),
    (
        "axes",
        "model/feed_forward.py",
        "grad.sum(0)",
        "grad.mean(0)",
        "model/test_feed_forward.py -k bit_by_bit",
    ),
    ("polarity", APPLY, "scores.masked_fill_(~keep, -math.inf)", "scores.masked_fill_(keep, -math.inf)", T),
    ("empty rows", APPLY, "keep = keep | ~nonempty_rows", "pass", T),
    ("polarity", APPLY, "weights = softmax(scores) * keep", "weights = softmax(scores) * ~keep", T),
    ("mode", APPLY, "weights = weights / kept_mass.masked_fill(kept_mass == 0, 1.0)", "pass", T),
    ("mode", APPLY, "softmax(scores * keep)", "softmax(scores.masked_fill(~keep, -math.inf))", T),
    ("mode", APPLY, "masked_fill(~keep, decision.fill)", "masked_fill(~keep, -math.inf)", T),
    (
        "factors",
        APPLY,
        "weights * decision.factors.to(weights.dtype)",
        "weights",
        f"{T} masks/strategies/test_drops.py",
    ),
    ("off by one", ATTENTION, "kv_idx <= q_idx[:, None]", "kv_idx < q_idx[:, None]", T),
    ("axes", ATTENTION, "(kv_idx <= q_idx[:, None])", "(kv_idx[:, None] <= q_idx)", f"{T} {IN_TRANSFORMER}"),
    (
        "legality",
        TRANSFORMER,
        "return masked, source.after(masked)",
        "return masked, source",
        "masks/strategies/inputs/test_fixed_length.py masks/strategies/inputs/test_token_masks.py",
    ),
    (
        "rows",
        CACHE,
        "self.tokens = self.tokens[rows]",
        "self.tokens = self.tokens[: len(rows)]",
        IN_TRANSFORMER,
    ),
    ("polarity", GREEDY, "ends = ~ended & (", "ends = (", IN_DECODING),
    ("rows", CACHE, "sentence = self.groups.sentence[rows]", "sentence = rows", "model/test_cache.py"),
    ("off by one", GROUPS, "here - first[sentence[order]]", "here", "model/test_row_groups.py"),
    ("ties", BEST, "values[:, k - 1] <= peaks[:, k]", "values[:, k - 1] < peaks[:, k]", IN_BEST),
    (
        "source",
        DECODING,
        "self.original.ids, self.original.lengths",
        "self.source.ids, self.source.lengths",
        "masks/strategies/outputs/test_logit_masks.py",
    ),
    ("denominator", OBJECTIVE, "nll / (len(seen) * batch.n_tokens)", "nll / batch.n_tokens", IN_OBJECTIVE),
    ("view", OBJECTIVE, "[clock, replace(clock, view=1)]", "[clock, clock]", IN_OBJECTIVE),
    (
        "gold",
        OBJECTIVE,
        "context, batch.tgt_out, batch.ids)",
        "context, None, batch.ids)",
        IN_OBJECTIVE,
    ),
    ("sign", ATTENTION, "scores = scores + decision.bias", "scores = scores - decision.bias", T),
    ("scale", ATTENTION, "scores.mul_(query.shape[-1] ** -0.5)", "scores.mul_(key.shape[-2] ** -0.5)", T),
    ("specials", DECODING, "left[:, FORBIDDEN_TOKENS] = -math.inf", "pass", IN_DECODING),
    ("strength", OBJECTIVE, "self.train.rdrop / 4", "self.train.rdrop / 2", IN_OBJECTIVE),
)
