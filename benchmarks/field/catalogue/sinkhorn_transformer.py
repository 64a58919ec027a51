"""sinkhorn-transformer, which was not judged."""

from __future__ import annotations

from benchmarks.field.entry import Package

PACKAGE = Package(
    "sinkhorn-transformer",
    "0.11.4",
    "https://github.com/lucidrains/sinkhorn-transformer",
    missing="it was built; truncation fails in the causal model, proofs of padding in the other, and whether that follows from the method was not decided",
)
