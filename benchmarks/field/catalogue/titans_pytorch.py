"""titans-pytorch, which was not judged."""

from __future__ import annotations

from benchmarks.field.entry import Package

PACKAGE = Package(
    "titans-pytorch",
    "0.5.5",
    "https://github.com/lucidrains/titans-pytorch",
    missing="it was built, and no proof of a mask failed; formats and every part works did, and why was not found out, so no entry stands here",
)
