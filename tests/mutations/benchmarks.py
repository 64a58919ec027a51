"""Ratios that are not those of a repeat, and peers that are believed whatever they compute."""

from __future__ import annotations

from mutations.mutant import family

HARNESS, DECODE, ATTENTION = (f"../benchmarks/{name}.py" for name in ("harness", "decode", "attention"))
T = "benchmarks/test_harness.py"

BENCHMARKS = family(
    "benchmarks",
    ("pairing", HARNESS, "zip(over, under, strict=True)", "zip(over, sorted(under), strict=True)", T),
    ("warm-up", HARNESS, "if i >= warm_up:", "if i >= 0:", T),
    ("order", HARNESS, "turn = i % len(names)", "turn = 0", T),
    ("peer", DECODE, "not worst <= TOLERANCE", "worst > TOLERANCE", "benchmarks/test_peers.py"),
    (
        "memory",
        ATTENTION,
        "(length / before) ** 2",
        "(length / before)",
        "benchmarks/test_benchmarks.py",
    ),
)
