"""perceiver-ar-pytorch, which gives scores after its prefix alone."""

from __future__ import annotations

from benchmarks.field.entry import Package

PACKAGE = Package(
    "perceiver-ar-pytorch",
    "0.0.10",
    "https://github.com/lucidrains/perceiver-ar-pytorch",
    missing="it gives scores only after its prefix, and the proofs need them at every position",
)
