"""What the audit may overlook, or blame on the wrong cause."""

from __future__ import annotations

from mutations.mutant import family

GENERATORS, ARM = "audit/generators.py", "audit/arm_model.py"
T = "audit/test_audit_gate.py"

CASE, COMPARED = "model_audit/case.py", "model_audit/test_compare.py"

AUDIT = family(
    "audit",
    ("budget", CASE, "PASS_BYTES // self.subject.pass_bytes(self.inputs, before)", "10_000", COMPARED),
    ("stale", CASE, '("copies", mode, compute, len(piece))', '("copies", mode, compute)', COMPARED),
    ("mixed", CASE, "if self.mixes_rows(mode):", "if False:", COMPARED),
    (
        "links",
        ARM,
        "linked = max(target.length, known.tgt_in.shape[1]) if known_targets else target.length",
        "linked = target.length",
        "audit/test_audit_proofs.py -k decodes",
    ),
    ("annotations", ARM, "| filled,", ",", "audit/test_audit_proofs.py -k batch_is_made"),
    (
        "sentences",
        ARM,
        "known.ids[row] + 1000 * visit",
        "known.ids[row]",
        "audit/test_audit_proofs.py -k batch_is_made",
    ),
    (
        "unseen",
        GENERATORS,
        'states["Python\'s random module"] = random.getstate()',
        'states["Python\'s random module"] = None',
        T,
    ),
    ("unseen", GENERATORS, "if difference(again, first) else []", "if False else []", T),
    (
        "blame",
        GENERATORS,
        "case.answers(model, case.batch, clock, seed=None)\n    after",
        "None\n    after",
        T,
    ),
    (
        "device",
        "randomness.py",
        "        torch.manual_seed(seed)",
        "        torch.default_generator.manual_seed(seed)",
        "test_randomness.py",
    ),
)
