"""titans-pytorch, which was not judged."""

from __future__ import annotations

from benchmarks.field.entry import Package

PACKAGE = Package(
    "titans-pytorch",
    "0.5.5",
    "https://github.com/lucidrains/titans-pytorch",
    missing="it was built; formats failed through a fault of maskbench, which puts a cached table of rotary positions back to zeros between passes and not the number beside it, so passes after the first had no positions; every part works and reach failed as well in some builds, and why was not decided",
)
