"""What the audit of any model may overlook, or accuse a sound model of."""

from __future__ import annotations

from mutations.mutant import family

CASE, PROOFS = "model_audit/case.py", "model_audit/proofs"
SOUND, FAULTS = "model_audit/test_architectures.py", "model_audit/test_planted_faults.py"
CONTROLS, UNUSUAL = "model_audit/test_model_controls.py", "model_audit/test_unusual_models.py"
STRUCTURES, SCRIPTS = "model_audit/test_structure.py", "model_audit/test_reproduction.py"

MODEL_AUDIT = family(
    "model_audit",
    (
        "off by one",
        f"{PROOFS}/future.py",
        "before[:, :place], after[:, :place], real[:, :place]",
        "before[:, : place + 1], after[:, : place + 1], real[:, : place + 1]",
        SOUND,
    ),
    (
        "unseen",
        f"{PROOFS}/future.py",
        "for place in range(1, inputs.target.length) for alone",
        "for place in range(1, 4) for alone",
        FAULTS,
    ),
    ("off by one", f"{PROOFS}/future.py", "(place > place[:, None])", "(place > place[:, None] + 1)", FAULTS),
    ("off by one", "model_audit/structure.py", "(back <= reach)", "(back < reach)", STRUCTURES),
    (
        "axes",
        f"{PROOFS}/structure.py",
        "torch.where(allowed[:, place]",
        "torch.where(allowed[place]",
        STRUCTURES,
    ),
    ("polarity", f"{PROOFS}/padding.py", "real[:, :, None] & ~case", "real[:, :, None] & case", CONTROLS),
    ("axes", f"{PROOFS}/padding.py", "after[changed.target.real]", "after[inputs.target.real]", SOUND),
    ("axes", f"{PROOFS}/batch.py", "rows(order), EVALUATION)[order]", "rows(order), EVALUATION)", SOUND),
    ("off by one", "model_audit/changes.py", "int(columns[-1]) + 1", "int(columns[-1])", CONTROLS),
    ("blame", CASE, "for row in range(self.inputs.batch):", "for row in range(1):", FAULTS),
    (
        "unseen",
        CASE,
        "return difference(again, self.unchanged().expand_as(again)) > self.limit(before)",
        "return False",
        FAULTS,
    ),
    ("blame", CASE, "if not self.repeats(mode):", "if False:", UNUSUAL),
    ("unseen", CASE, "if self._has_narrow_parts else nullcontext()", "if False else nullcontext()", UNUSUAL),
    (
        "infinity",
        "model_audit/rounding.py",
        "apart = torch.where(one == other, 0.0, (one - other).abs())\n    apart = apart.amax(-1)",
        "apart = (one - other).abs()\n    apart = apart.amax(-1)",
        UNUSUAL,
    ),
    (
        "infinity",
        "model_audit/rounding.py",
        "~(scores.isnan() | scores.isposinf())",
        "~scores.isposinf()",
        UNUSUAL,
    ),
    ("stale", "model_audit/generators.py", "    random.seed(seed)\n", "", UNUSUAL),
    (
        "off by one",
        f"{PROOFS}/reach.py",
        "moved[:, : place + 1] = False",
        "moved[:, :place] = False",
        CONTROLS,
    ),
    ("blame", f"{PROOFS}/reach.py", "asked &= (inputs.target.real & others).any(1)", "pass", SOUND),
    (
        "blame",
        f"{PROOFS}/numbers.py",
        "LARGEST_ATTENTION_SCORE = 1e8",
        "LARGEST_ATTENTION_SCORE = 1e30",
        SOUND,
    ),
    ("unseen", f"{PROOFS}/numbers.py", "FACTORS = (10.0, 100.0, 1000.0)", "FACTORS = (1.0,)", FAULTS),
    (
        "blame",
        f"{PROOFS}/parts.py",
        "for mode in (TRAINING, WITH_GRADIENTS):",
        "for mode in (TRAINING,):",
        CONTROLS,
    ),
    (
        "unseen",
        f"{PROOFS}/parts.py",
        "if p.requires_grad and p.grad is None",
        "if p.grad is None and False",
        CONTROLS,
    ),
    (
        "unseen",
        f"{PROOFS}/modes.py",
        "ROUNDINGS * torch.finfo(dtype).eps",
        "ROUNDINGS * torch.finfo(torch.bfloat16).eps",
        FAULTS,
    ),
    (
        "unseen",
        f"{PROOFS}/modes.py",
        "with case.running(EVALUATION), seeded(4):",
        "with case.running(EVALUATION), seeded(SEED):",
        CONTROLS,
    ),
    (
        "unseen",
        f"{PROOFS}/modes.py",
        "yield ProofResult.at_most(moved, 0.0, said)",
        "yield ProofResult.at_most(0.0, 0.0, said)",
        CONTROLS,
    ),
    ("unseen", f"{PROOFS}/caching.py", "[0, *range(first, length, size), length]", "[0, length]", FAULTS),
    ("off by one", f"{PROOFS}/caching.py", "prompt.target.length - 1 : -1", "prompt.target.length :", FAULTS),
    (
        "axes",
        "model_audit/jacobian.py",
        "torch.stack(of_side, 1)",
        "torch.stack(of_side, 2)",
        SOUND,
    ),
    ("unseen", "model_audit/audit.py", "for dtype in FORMATS]", "for dtype in FORMATS[:1]]", FAULTS),
    ("axes", "model_audit/locate.py", "enumerate(row.shape):", "enumerate(row.shape[:-1]):", SCRIPTS),
    ("stale", "model_audit/reproduction.py", "if mode.training else", "if not mode.training else", SCRIPTS),
)
