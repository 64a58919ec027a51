"""nystrom-attention, which was not judged."""

from __future__ import annotations

from benchmarks.field.entry import Package

PACKAGE = Package(
    "nystrom-attention",
    "0.0.14",
    "https://github.com/lucidrains/nystrom-attention",
    missing="an encoder was built; padding amount, batch mates, alone and long sentences fail, and whether that follows from the method was not decided",
)
