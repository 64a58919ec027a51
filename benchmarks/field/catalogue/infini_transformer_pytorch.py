"""infini-transformer-pytorch, which was not judged."""

from __future__ import annotations

from benchmarks.field.entry import Package

PACKAGE = Package(
    "infini-transformer-pytorch",
    "0.2.1",
    "https://github.com/lucidrains/infini-transformer-pytorch",
    missing="it was built, and no proof of a mask failed; formats did, and why was not found out, so no entry stands here",
)
