"""What the audit may overlook, or blame on the wrong cause."""

from __future__ import annotations

from mutations.mutant import family

GENERATORS = "audit/generators.py"
T = "audit/test_audit_gate.py"

LEAKS, IN_PROOFS = "audit/proofs/leaks.py", "audit/test_audit_proofs.py -k bounded"

AUDIT = family(
    "audit",
    ("budget", LEAKS, "case.rows_at_once(case.batch) // len(case.batch.ids)", "10_000", IN_PROOFS),
    ("stale", LEAKS, "if len(before) != len(piece):", "if not len(before):", IN_PROOFS),
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
        T,
    ),
)
