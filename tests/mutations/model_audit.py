"""What the audit of any model may overlook, or accuse a sound model of."""

from __future__ import annotations

from mutations.mutant import family

CASE, PROOFS = "model_audit/case.py", "model_audit/proofs"
COMPARABLE, PLAIN = "model_audit/comparable.py", "model_audit/adapters/plain.py"
SOUND, FAULTS = "model_audit/test_architectures.py", "model_audit/test_planted_faults.py"
CONTROLS, UNUSUAL = "model_audit/test_model_controls.py", "model_audit/test_unusual_models.py"
LONG, TORCH = "model_audit/test_long_inputs.py", "model_audit/test_torch_modules.py"
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
        "for place in range(1, case.inputs.target.length) for alone",
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
    ("axes", f"{PROOFS}/batch.py", "rows(order), mode)[order]", "rows(order), mode)", SOUND),
    ("off by one", "model_audit/changes.py", "int(columns[-1]) + 1", "int(columns[-1])", CONTROLS),
    ("blame", CASE, "for row in range(self.inputs.batch):", "for row in range(1):", FAULTS),
    ("blame", COMPARABLE, "if not is_repeatable(case, mode):", "if False:", UNUSUAL),
    ("unseen", CASE, "if self._has_narrow_parts else nullcontext()", "if False else nullcontext()", UNUSUAL),
    (
        "infinity",
        "model_audit/rounding.py",
        "far = torch.where(one == other, 0.0, (one.detach().double() - other.detach().double()).abs())",
        "far = (one.detach().double() - other.detach().double()).abs()",
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
        "device",
        "model_audit/generators.py",
        "        torch.cuda.manual_seed_all(seed)\n",
        "        pass\n",
        UNUSUAL,
    ),
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
    ("unseen", "model_audit/subject.py", "= (10.0, 100.0, 1000.0)", "= (1.0,)", FAULTS),
    (
        "blame",
        f"{PROOFS}/parts.py",
        "for mode in (case.training, case.evaluation.with_gradients()):",
        "for mode in (case.training,):",
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
        "roundings * torch.finfo(computed).eps",
        "roundings * 4 * torch.finfo(torch.bfloat16).eps",
        FAULTS,
    ),
    (
        "unseen",
        f"{PROOFS}/modes.py",
        "with seeded(4):",
        "with seeded(SEED):",
        CONTROLS,
    ),
    (
        "unseen",
        f"{PROOFS}/modes.py",
        "ProofResult.at_most(moved, 0.0, said), verdict",
        "ProofResult.at_most(0.0, 0.0, said), verdict",
        CONTROLS,
    ),
    ("unseen", f"{PROOFS}/caching.py", "[0, *range(first, length, size), length]", "[0, length]", FAULTS),
    ("off by one", f"{PROOFS}/caching.py", "prompt.target.length - 1 : -1", "prompt.target.length :", FAULTS),
    (
        "axes",
        "model_audit/jacobian.py",
        "[torch.stack(rows, 1) for rows in found]",
        "[torch.stack(rows, 2) for rows in found]",
        SOUND,
    ),
    ("unseen", "model_audit/audit.py", "for dtype in FORMATS]", "for dtype in FORMATS[:1]]", FAULTS),
    ("axes", "model_audit/locate.py", "enumerate(row.shape):", "enumerate(row.shape[:-1]):", SCRIPTS),
    (
        "unseen",
        "model_audit/audit.py",
        "if awake[0].is_finite and count_unread(awake[0]) <= count_unread(cases[0]):",
        "if False:",
        "model_audit/test_dormant.py",
    ),
    (
        "unseen",
        f"{PROOFS}/length.py",
        "(*CUTS, n // 2, 3 * n // 4, n - 1)",
        "(n // 2, 3 * n // 4, n - 1)",
        LONG,
    ),
    ("unseen", f"{PROOFS}/length.py", "[0, *range(n // 2, min(n, n // 2 + STRIDE)), n]", "[0, n]", LONG),
    ("stale", PLAIN, "copied(module).eval()", "module.eval()", "model_audit/test_plain_modules.py"),
    (
        "blame",
        PLAIN,
        "min(self._words, default",
        "max(self._words, default",
        "model_audit/test_plain_modules.py",
    ),
    ("blame", COMPARABLE, "elif mode.training and keeps_statistics(case):", "elif False:", TORCH),
    ("unseen", f"{PROOFS}/batch.py", "if reason and reason != STATISTICS:", "if reason:", CONTROLS),
    ("stale", "model_audit/reproduction.py", "if mode.training else", "if not mode.training else", SCRIPTS),
)
