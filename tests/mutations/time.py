"""Schedules, refresh, draws, the bank and the proof."""

from __future__ import annotations

from mutations.mutant import family

DRAWS, SCHEDULES, CLOCK = "masks/random_draws.py", "masks/schedules.py", "masks/clock.py"
BANK, PLACED, PROOF = "masks/pattern_cache.py", "masks/placement.py", "masks/mask_audit.py"
IN_PLAN, IN_PROOF, IN_BANK = "masks/test_plan.py", "masks/test_mask_audit.py", "masks/test_pattern_cache.py"
IN_SCHEDULES, IN_FREEZING = "masks/test_schedules.py", "masks/test_freezing.py"
TOKENS = "masks/strategies/inputs/test_token_masks.py"
CONFORMS = "masks/strategies/test_conformance.py"
_STREAM = "(self.site, self.name, self.ordinal, moment)"
_COUNT = 'count = clock.step if self.refresh.per == "step" else clock.epoch'
_OF_EXAMPLE = "examples if per_example else shared, per_example)"

SAMPLE, IN_SAMPLE = "masks/unit_sample.py", "masks/test_unit_sample.py"

TIME = family(
    "time",
    ("share", SAMPLE, "self.level += 1\n", "self.level += 2\n", IN_SAMPLE),
    ("repeats", SAMPLE, "self.sizes[index] += len(elements) - before", "self.sizes[index] += 1", IN_SAMPLE),
    ("view", DRAWS, "if clock.view:", "if False:", "training/test_training_objective.py"),
    ("variants", DRAWS, "count % int(variants)", "count", IN_PROOF),
    ("refresh", DRAWS, _COUNT, "count = clock.epoch", f"{IN_PROOF} {TOKENS}"),
    (
        "phases",
        DRAWS,
        'if clock.phase == "eval" or self.refresh.per == "run":',
        'if self.refresh.per == "run":',
        f"{CONFORMS} -k evaluation",
    ),
    ("key", DRAWS, _STREAM, "(self.name, self.ordinal, moment)", IN_PLAN),
    ("key", DRAWS, _STREAM, "(self.site, self.ordinal, moment)", IN_PLAN),
    ("key", DRAWS, _STREAM, "(self.site, self.name, moment)", IN_PLAN),
    (
        "batch row",
        DRAWS,
        _OF_EXAMPLE,
        f"torch.arange(len(examples)) if per_example {_OF_EXAMPLE[24:]}",
        f"{CONFORMS} -k batch_mates and (tokens or drop)",
    ),
    (
        "words",
        DRAWS,
        "philox(key, a.numpy(), b.numpy(), examples.numpy())",
        "philox(key, b.numpy(), a.numpy(), examples.numpy())",
        "masks/test_random_draws.py",
    ),
    (
        "phases",
        "training/trainer.py",
        "if not self.model.training:",
        "if False:",
        "training/test_training_trainer.py -k evaluation_mode",
    ),
    ("parts", DRAWS, '"part", *rest, index)', '"part", *rest)', "masks/strategies/attention/test_compose.py"),
    ("key", DRAWS, '"schedule-example", clock, clock.epoch)', '"schedule-example", clock, 0)', IN_PLAN),
    ("off by one", CLOCK, "self.step <= stop", "self.step < 0", IN_FREEZING),
    ("epoch", CLOCK, "stop // self.steps_per_epoch if", "self.epoch if", IN_FREEZING),
    ("key", PLACED, "words, ctx.layer", "words, 0", IN_BANK),
    ("key", PLACED, "words = None if ctx.draws is None else ctx.draws.key.words", "words = None", IN_BANK),
    ("denominator", PROOF, "picked.sum(), eligible.sum()", "picked.sum(), eligible.sum() + 1", IN_PROOF),
    ("denominator", PROOF, "legal = (r.legal & real)", "legal = (r.legal | real)", IN_PROOF),
    (
        "polarity",
        SCHEDULES,
        "values[0] + (values[1] - values[0]) * share",
        "values[1] + (values[0] - values[1]) * share",
        IN_SCHEDULES,
    ),
    ("polarity", PROOF, "(keep & legal).sum()", "(~keep & legal).sum()", IN_PROOF),
    ("axes", BANK, "[:, :, q0:q1, k0:k1]", "[:, :, : q1 - q0, : k1 - k0]", f"{CONFORMS} -k cached or bank"),
    ("rounding", SCHEDULES, "math.floor(value + 0.5)", "math.floor(value)", IN_SCHEDULES),
    (
        "freezing",
        PLACED,
        "moment = self.effective_clock(clock) if",
        "moment = clock if",
        IN_FREEZING,
    ),
    ("coverage", PROOF, "self.ever_picked.get(example, 0) | bits", "bits", IN_PROOF),
    ("legality", PROOF, "(keep & legal).sum()", "keep.expand_as(legal).sum()", IN_PROOF),
    ("legality", PROOF, "legal = (r.legal & real)", "legal = (r.legal | ~real)", IN_PROOF),
)
